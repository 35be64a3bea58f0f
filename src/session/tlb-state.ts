/** What is known of cached translations, and how that is told in a line. */
/** What drops an entry; see protocol/tlb.ts, whose types these are with bigint for hex. */
export type Invalidation =
  'INVLPG' | 'INVPCID' | 'MOV CR3' | 'MOV CR4' | 'INVVPID' | 'INVEPT' | 'INVLPGA' | 'TLB_CONTROL' | 'VM entry';
/** Whose tables an entry was made from. */
export type CachedTables = 'guest' | 'ept' | 'npt' | 'shadow';

export interface TlbStaleness {
  readonly kind: 'absent' | 'elsewhere' | 'wider' | 'dirty';
  readonly where: CachedTables;
  readonly now?: bigint;
  readonly why: string;
  readonly missing: readonly Invalidation[];
  readonly advice: string;
  readonly note?: string;
  readonly requested: boolean;
}
export interface TlbTags {
  readonly vpid: number;
  readonly pcid: number | null;
  readonly eptp?: bigint;
  readonly asid?: number;
}
export interface TlbEntryState {
  readonly set: number;
  readonly way: number;
  readonly linear: bigint;
  readonly gpa: bigint;
  readonly hpa: bigint;
  readonly tags: TlbTags;
  readonly current: boolean;
  readonly guestPageSize: number;
  readonly secondPageSize: number;
  readonly rights: { readonly r: boolean; readonly w: boolean; readonly x: boolean; readonly user: boolean };
  readonly secondRights: { readonly r: boolean; readonly w: boolean; readonly x: boolean };
  readonly dirty: boolean;
  readonly protectionKey: number;
  readonly age: number;
  readonly drops: string;
  readonly stale?: TlbStaleness;
  readonly compared: 'all' | 'second-level' | 'nothing';
}
export interface WalkCacheState {
  readonly level: number;
  readonly linear: bigint;
  readonly size: bigint;
  readonly table: bigint;
  readonly tableHpa: bigint;
  readonly tags: TlbTags;
  readonly current: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
  readonly stale?: TlbStaleness;
}
export interface TlbState {
  readonly sets: number;
  readonly ways: number;
  readonly hits: number;
  readonly misses: number;
  readonly entries: readonly TlbEntryState[];
  readonly total: number;
  readonly staleCount: number;
  readonly walkCaches?: readonly WalkCacheState[];
}

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
