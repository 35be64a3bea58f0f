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
   * absent: the tables no longer have a translation; elsewhere: they lead to another page; wider: the entry has a
   * right that they lack; dirty: the entry allows writes that should first set a dirty flag.
   */
  readonly kind: 'absent' | 'elsewhere' | 'wider' | 'dirty';
  /** Which tables. */
  readonly where: CachedTables;
  /** Where those tables lead now: a GPA for `guest`, otherwise an HPA. */
  readonly now?: N;
  /** One sentence. */
  readonly why: string;
  /** Any of these would have dropped the entry. */
  readonly missing: readonly Invalidation[];
  /** The same as a phrase that fits the entry: `INVLPG, INVPCID or a write of CR4.PGE`. */
  readonly advice: string;
  /** What might be expected to drop it but does not: `a load of CR3 keeps global pages`. */
  readonly note?: string;
  /** The hypervisor has already requested the invalidation: it takes effect before the next VM entry. */
  readonly requested: boolean;
}

export interface TlbTags<N extends Value> {
  readonly vpid: number;
  /** Process-context identifier; null: a global entry, which matches every PCID. */
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
  /** Equals `hpa` without a second level. */
  readonly gpa: N;
  readonly hpa: N;
  readonly tags: TlbTags<N>;
  /** The guest's next access to `linear` hits it. */
  readonly current: boolean;
  /**
   * Page sizes in bytes: of the guest's (or shadow) mapping, and of the second level's. The entry itself covers 4
   * KiB.
   */
  readonly guestPageSize: number;
  readonly secondPageSize: number;
  readonly rights: { readonly r: boolean; readonly w: boolean; readonly x: boolean; readonly user: boolean };
  readonly secondRights: { readonly r: boolean; readonly w: boolean; readonly x: boolean };
  readonly dirty: boolean;
  readonly protectionKey: number;
  /** Fills since this one; 0: the newest. */
  readonly age: number;
  /** What the guest can do to drop it, given its tags. */
  readonly drops: string;
  readonly stale?: TlbStaleness<N>;
  /**
   * What it could be compared with. An entry of a PCID that is not loaded is compared with the second level only,
   * since no register holds the root of its tables.
   */
  readonly compared: 'all' | 'second-level' | 'nothing';
}

/** An entry of the paging-structure caches: it lets a walk start below the root. */
export interface WalkCacheEntry<N extends Value> {
  /** 2: PDE cache, 3: PDPTE cache, 4: PML4 cache, 5: PML5 cache. */
  readonly level: number;
  /** First linear address it covers, and how many bytes. */
  readonly linear: N;
  readonly size: N;
  /** The table it leads to: a GPA, or an HPA if the CPU walks shadow tables; and the HPA of that table. */
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
  /** Total number of entries, and how many of them are stale. */
  readonly total: number;
  readonly staleCount: number;
  /** Absent if the CPU has none (`walk-caches=off`). */
  readonly walkCaches?: readonly WalkCacheEntry<N>[];
}
