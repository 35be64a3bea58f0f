/** `pagewalk/tlb`: what the CPU's TLB and paging-structure caches hold (src/model/tlb.ts). */
import type * as model from '../model/tlb';
import type { Hex } from '../model/value';

export interface TlbArguments {
  /** Limit on TLB entries, and on entries of the paging-structure caches. Default: all (a TLB has at most 1024). */
  readonly most?: number;
}

export type TlbStaleness = model.TlbStaleness<Hex>;
export type TlbEntry = model.TlbEntry<Hex>;
export type WalkCacheEntry = model.WalkCacheEntry<Hex>;
export type TlbReply = model.TlbContents<Hex>;
