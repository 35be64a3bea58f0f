/** The chain of an address as the session computes it: src/model/translation.ts in bigint. */
import type { Space } from '../../base/address';
import type * as model from '../../model/translation';

export type { Rights as ChainRights } from '../../model/translation';
/** One table entry loaded. */
export type ChainStep = model.WalkStep<bigint>;
export type WalkStage = model.WalkStage<bigint>;
export type MemslotStage = model.MemslotStage<bigint>;
export type Stage = model.Stage<bigint>;
export type ChainFailure = model.TranslationFailure<bigint>;
export type StaleAnswer = model.StaleAnswer<bigint>;
export type ChainTlb = model.TlbAnswer<bigint>;
export type Chain = model.Translation<bigint>;
export type ShadowMapping = model.ShadowMapping<bigint>;
export type ReverseChain = model.ReverseTranslation<bigint>;

export interface TranslateQuery {
  readonly address: bigint;
  readonly space: Space;
  /** Default: a read. */
  readonly access?: 'r' | 'w' | 'x';
  /** As from CPL 3; default: the guest's present privilege level. */
  readonly user?: boolean;
}

export type Translate = (query: TranslateQuery) => TranslateAnswer;
export type TranslateAnswer =
  { readonly kind: 'forward'; readonly chain: Chain } | { readonly kind: 'reverse'; readonly chain: ReverseChain };
