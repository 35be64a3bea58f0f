/** What is known of cached translations, and how that is told in a line. */
import type * as model from '../../model/tlb';

export type { CachedTables, Invalidation } from '../../model/tlb';
export type TlbStaleness = model.TlbStaleness<bigint>;
export type TlbTags = model.TlbTags<bigint>;
export type TlbEntryState = model.TlbEntry<bigint>;
export type WalkCacheState = model.WalkCacheEntry<bigint>;
export type TlbState = model.TlbContents<bigint>;

const LETTERS = (r: { readonly r: boolean; readonly w: boolean; readonly x: boolean }): string =>
  `${r.r ? 'R' : ''}${r.w ? 'W' : ''}${r.x ? 'X' : ''}`;

/** `RWX US D G EPT RWX`; an entry with an ASID is of a processor that has NPT. */
export const tlbRights = (e: TlbEntryState): string =>
  [
    LETTERS(e.rights),
    e.rights.user ? 'US' : 'S',
    e.dirty ? 'D' : '',
    e.tags.pcid === null ? 'G' : '',
    e.tags.eptp === undefined ? '' : `${e.tags.asid === undefined ? 'EPT' : 'NPT'} ${LETTERS(e.secondRights)}`,
  ]
    .filter((t) => t !== '')
    .join(' ');

/** `…; INVLPG or a load of CR3 is missing`. */
export const staleWords = (s: TlbStaleness): string =>
  `${s.why}; ${s.advice} is missing${s.requested ? ', and asked for before the next VM entry' : ''}${s.note === undefined ? '' : ` (${s.note})`}`;
export const staleText = (s: TlbStaleness): string => `stale: ${staleWords(s)}`;
