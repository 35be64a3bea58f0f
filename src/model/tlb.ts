/** What the CPU's TLB and paging-structure caches hold, each entry compared with the tables as they are now. */
import type { TableSet } from './tables';
import type { Value } from './value';

/** An instruction or event that drops an entry. INVLPGA and TLB_CONTROL are AMD's, INVVPID and INVEPT Intel's. */
export type Invalidation =
  'INVLPG' | 'INVPCID' | 'MOV CR3' | 'MOV CR4' | 'INVVPID' | 'INVEPT' | 'INVLPGA' | 'TLB_CONTROL' | 'VM entry';

/** Tables that a TLB entry can come from. */
export type CachedTables = Exclude<TableSet, 'host'>;

/** How an entry differs from the tables in memory. */
export interface TlbStaleness<N extends Value> {
  /**
   * absent: the tables have no translation any more; elsewhere: they lead to another page; wider: the entry has a right that they do not; dirty: the entry
   * lets writes pass that would have to set a dirty flag.
   */
  readonly kind: 'absent' | 'elsewhere' | 'wider' | 'dirty';
  /** Whose tables. */
  readonly where: CachedTables;
  /** Where those tables lead now: a GPA for `guest`, else an HPA. */
  readonly now?: N;
  /** One sentence. */
  readonly why: string;
  /** Any of these would have dropped the entry. */
  readonly missing: readonly Invalidation[];
  /** The same in words that fit the entry: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly advice: string;
  /** What one might think drops it, and does not: `a load of CR3 keeps global pages`. */
  readonly note?: string;
  /** The hypervisor has asked for the invalidation already: it is carried out before the next VM entry. */
  readonly requested: boolean;
}

export interface TlbTags<N extends Value> {
  readonly vpid: number;
  /** Process-context identifier; null: a global entry, found under each. */
  readonly pcid: number | null;
  /** Root of the second-level tables; absent without EPT or NPT. */
  readonly eptp?: N;
  /** Address-space identifier on SVM. */
  readonly asid?: number;
}

export interface TlbEntry<N extends Value> {
  readonly set: number;
  readonly way: number;
  readonly linear: N;
  /** Without a second level the same as `hpa`. */
  readonly gpa: N;
  readonly hpa: N;
  readonly tags: TlbTags<N>;
  /** The guest's next access to `linear` finds it. */
  readonly current: boolean;
  /** Bytes: of the page that the guest's (or the shadow) tables map, and of the second level's. The entry itself stands for 4 KiB. */
  readonly guestPageSize: number;
  readonly secondPageSize: number;
  readonly rights: { readonly r: boolean; readonly w: boolean; readonly x: boolean; readonly user: boolean };
  readonly secondRights: { readonly r: boolean; readonly w: boolean; readonly x: boolean };
  readonly dirty: boolean;
  readonly protectionKey: number;
  /** Fills since this one; 0: the newest. */
  readonly age: number;
  /** What the guest can do to drop it, by its tags. */
  readonly drops: string;
  readonly stale?: TlbStaleness<N>;
  /** What it could be compared with: an entry of a PCID that is not loaded only with the second level, since no register says where its tables are. */
  readonly compared: 'all' | 'second-level' | 'nothing';
}

/** An entry of the paging-structure caches: a way into the tables below their root. */
export interface WalkCacheEntry<N extends Value> {
  /** 2: PDE cache, 3: PDPTE cache, 4: PML4 cache, 5: PML5 cache. */
  readonly level: number;
  /** First linear address that it serves, and how many bytes. */
  readonly linear: N;
  readonly size: N;
  /** The table that it leads to: a GPA, or an HPA where the CPU walks shadow tables; and where that lies. */
  readonly table: N;
  readonly tableHpa: N;
  readonly tags: TlbTags<N>;
  readonly current: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
  readonly stale?: TlbStaleness<N>;
}

export interface TlbContents<N extends Value> {
  /** 0 ways: the TLB is off. */
  readonly sets: number;
  readonly ways: number;
  readonly hits: number;
  readonly misses: number;
  /** By set and way. */
  readonly entries: readonly TlbEntry<N>[];
  /** How many entries there are in all, and how many of them are stale. */
  readonly total: number;
  readonly staleCount: number;
  /** Absent where the CPU has none (`walk-caches=off`). */
  readonly walkCaches?: readonly WalkCacheEntry<N>[];
}
