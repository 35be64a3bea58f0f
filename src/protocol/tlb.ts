/** `pagewalk/tlb`: what the CPU's TLB and paging-structure caches hold, each entry compared with the tables as they are now. */
import type { Hex } from './translation';

export interface TlbArguments {
  /** At most so many entries, and as many of the paging-structure caches'. Default: all (a TLB has at most 1024). */
  readonly most?: number;
}

/** An instruction or event that drops an entry. INVLPGA and TLB_CONTROL are AMD's, INVVPID and INVEPT Intel's. */
export type Invalidation =
  'INVLPG' | 'INVPCID' | 'MOV CR3' | 'MOV CR4' | 'INVVPID' | 'INVEPT' | 'INVLPGA' | 'TLB_CONTROL' | 'VM entry';

/** How an entry differs from the tables in memory. */
export interface TlbStaleness {
  /**
   * absent: the tables have no translation any more; elsewhere: they lead to another page; wider: the entry has a right that they do not; dirty: the entry
   * lets writes pass that would have to set a dirty flag.
   */
  readonly kind: 'absent' | 'elsewhere' | 'wider' | 'dirty';
  /** Whose tables. */
  readonly where: 'guest' | 'ept' | 'npt' | 'shadow';
  /** Where those tables lead now: a GPA for `guest`, else an HPA. */
  readonly now?: Hex;
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

export interface TlbTags {
  readonly vpid: number;
  /** Process-context identifier; null: a global entry, found under each. */
  readonly pcid: number | null;
  /** Root of the second-level tables; absent without EPT or NPT. */
  readonly eptp?: Hex;
  /** Address-space identifier on SVM. */
  readonly asid?: number;
}

export interface TlbEntry {
  readonly set: number;
  readonly way: number;
  readonly linear: Hex;
  /** Without a second level the same as `hpa`. */
  readonly gpa: Hex;
  readonly hpa: Hex;
  readonly tags: TlbTags;
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
  readonly stale?: TlbStaleness;
  /** What it could be compared with: an entry of a PCID that is not loaded only with the second level, since no register says where its tables are. */
  readonly compared: 'all' | 'second-level' | 'nothing';
}

/** An entry of the paging-structure caches: a way into the tables below their root. */
export interface WalkCacheEntry {
  /** 2: PDE cache, 3: PDPTE cache, 4: PML4 cache, 5: PML5 cache. */
  readonly level: number;
  /** First linear address that it serves, and how many bytes. */
  readonly linear: Hex;
  readonly size: Hex;
  /** The table that it leads to: a GPA, or an HPA where the CPU walks shadow tables; and where that lies. */
  readonly table: Hex;
  readonly tableHpa: Hex;
  readonly tags: TlbTags;
  readonly current: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
  readonly stale?: TlbStaleness;
}

export interface TlbReply {
  /** 0 ways: the TLB is off. */
  readonly sets: number;
  readonly ways: number;
  readonly hits: number;
  readonly misses: number;
  /** By set and way. */
  readonly entries: readonly TlbEntry[];
  /** How many entries there are in all, and how many of them are stale. */
  readonly total: number;
  readonly staleCount: number;
  /** Absent where the CPU has none (`walk-caches=off`). */
  readonly walkCaches?: readonly WalkCacheEntry[];
}
