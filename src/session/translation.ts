/**
 * The chain of an address as the session computes it: protocol/translation.ts with bigints where that has hex strings.
 * wire/ encodes one into the other, and the compiler checks that they agree.
 */
import type { DriftMark } from './drift';
import type { Space } from '../base/address';

export type Walker = 'cpu' | 'kvm' | 'host' | 'vmm';
export type WalkMode = 'non-root' | 'root' | 'kernel' | 'user';

export interface ChainRights {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  /** From CPL 3. */
  readonly user: boolean;
}

/** One table entry loaded. */
export interface ChainStep {
  readonly level: number;
  readonly name: string;
  readonly index: number;
  readonly entryAddress: bigint;
  readonly space: Space;
  readonly entryHpa?: bigint;
  readonly entry: bigint;
  readonly flags: readonly string[];
  readonly target?: bigint;
  readonly problem?: string;
  readonly nested: readonly ChainStep[];
}

export interface WalkStage {
  readonly stage: 'guest' | 'shadow' | 'ept' | 'npt' | 'host';
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  readonly input?: bigint;
  readonly output?: bigint;
  readonly root?: { readonly name: string; readonly value: bigint };
  readonly pageSize?: number;
  readonly rights?: ChainRights;
  readonly references?: number;
  /** Of the shadow's stage: how its deciding entry stands to the guest's (session/drift.ts). */
  readonly drift?: readonly DriftMark[];
  readonly steps: readonly ChainStep[];
}

export interface MemslotStage {
  readonly stage: 'memslot';
  readonly who: Walker;
  readonly mode: WalkMode;
  readonly from: Space;
  readonly to: Space;
  readonly input?: bigint;
  readonly output?: bigint;
  readonly slot?: number;
  readonly base?: bigint;
  readonly size?: bigint;
  readonly hva?: bigint;
  readonly readOnly?: boolean;
  readonly rights?: ChainRights;
}
export type Stage = WalkStage | MemslotStage;

/** An entry of the walk that lacks what the access needs. */
export interface LackingEntry {
  readonly level: number;
  readonly name: string;
  readonly entryAddress: bigint;
  readonly entry: bigint;
}

export interface ChainFailure {
  readonly stage: Stage['stage'];
  readonly level?: number;
  readonly reason: string;
  readonly event?: string;
  readonly explanation?: string;
  /** Of a #PF. */
  readonly errorCode?: bigint;
  /** The bit of an entry that denies the access, as `U/S = 0`, `XD = 1`, `W = 0`. */
  readonly bit?: string;
  /** The entries in which it does, topmost first; the first is that of `level`. */
  readonly lacking?: readonly LackingEntry[];
  /** Bits of registers without which the access would have been allowed, as `CR0.WP = 1`. */
  readonly controls?: readonly string[];
  /** Of a reserved bit or a misconfiguration: what is wrong with the entry, one cause each. */
  readonly wrong?: readonly string[];
}

/** What the CPU would use in place of the tables, and where that leads elsewhere. */
export interface StaleAnswer {
  /** `TLB`, or the paging-structure cache that the walk begins at: `PDE cache`. */
  readonly source: string;
  /** Where the access goes by it, as far as that is known. */
  readonly gpa?: bigint;
  readonly hpa?: bigint;
  /** How it differs from the tables. */
  readonly why: string;
  /** The invalidation that is missing, by the entry's tags: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly missing: string;
  /** What one might think drops it, and does not. */
  readonly note?: string;
  /** All of it in one or two sentences. */
  readonly explanation: string;
}

export interface ChainTlb {
  /** An entry gives the access without a walk. */
  readonly hit: boolean;
  readonly stale: StaleAnswer | null;
  /** Level of the table at which the next walk begins, where the paging-structure caches spare the levels above: 1 where the PDE cache answers. */
  readonly walkStart?: number;
  /** That cache's entry. */
  readonly cache?: {
    readonly name: string;
    /** Of the entry that is cached: 2 in the PDE cache. */
    readonly level: number;
    readonly table: bigint;
    readonly tableHpa: bigint;
    readonly stale: { readonly why: string; readonly missing: string; readonly explanation: string } | null;
  };
}

export interface Chain {
  readonly ok: boolean;
  readonly gva?: bigint;
  readonly gpa?: bigint;
  readonly hva?: bigint;
  readonly hpa?: bigint;
  readonly rights: ChainRights;
  readonly references: number;
  readonly tlb: ChainTlb;
  readonly stages: readonly Stage[];
  readonly failure?: ChainFailure;
}

/** A leaf of the shadow tables that maps the frame, as KVM's reverse map has it. */
export interface ShadowMapping {
  readonly level: number;
  readonly entry: bigint;
  readonly entryAddress: bigint;
  /** Linear addresses at which the current root reaches it. */
  readonly gva: readonly bigint[];
}

/** From `hpa` or `hva`: every guest address that leads there. */
export interface ReverseChain {
  readonly ok: boolean;
  readonly gva: readonly bigint[];
  readonly gpa: readonly bigint[];
  readonly hva?: bigint;
  readonly hpa?: bigint;
  /** Under shadow paging. */
  readonly rmap?: readonly ShadowMapping[];
  readonly stages: readonly Stage[];
  readonly failure?: ChainFailure;
}

export interface TranslateQuery {
  readonly address: bigint;
  readonly space: Space;
  /** Default: a read. */
  readonly access?: 'r' | 'w' | 'x';
  /** As from CPL 3; default: the guest's present privilege level. */
  readonly user?: boolean;
}

export type TranslateAnswer =
  { readonly kind: 'forward'; readonly chain: Chain } | { readonly kind: 'reverse'; readonly chain: ReverseChain };
