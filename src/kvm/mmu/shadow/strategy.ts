import type { ShadowPage } from './pages';
import { roleEntryBytes, roleLevel, type ShadowGeneration } from './role';

/** A write by the instruction emulator to a shadowed guest table. */
export interface TableWrite {
  readonly gfn: number;
  /** Offset in the table, and number of bytes written. */
  readonly offset: number;
  readonly size: number;
}

/** Counts writes to guest tables, to detect tables that are no longer used as such or are being refilled. */
export interface FloodDetector {
  /** Called for each write, before its pages are examined. */
  begin(write: TableWrite): void;
  /** Whether to zap `page`, which shadows the written table. */
  overflows(page: ShadowPage, write: TableWrite): boolean;
  save(): readonly number[];
  restore(saved: readonly number[]): void;
}

/** The number of writes that triggers zapping. */
const FLOOD = 3;

/** The differences between the two generations of shadow paging. Bits of their entries: spte.ts. */
export interface ShadowStrategy {
  readonly name: ShadowGeneration;
  /** Roots kept for a guest that comes back to them (KVM_MMU_NUM_PREV_ROOTS). */
  readonly previousRoots: number;
  /**
   * The guest may write last-level tables, which are synchronised when its TLB would be flushed: at a load of CR3, at
   * INVLPG, at a new root.
   */
  readonly unsync: boolean;
  /** A large guest page backed by a large host page gets one large entry. */
  readonly largePages: boolean;
  /** Whether a leaf was used is known from its A flag, which hardware sets; otherwise a leaf is dropped to find out. */
  readonly agesByFlag: boolean;
  /** MMIO marks record their memslot generation; otherwise they are dropped when slots change. */
  readonly marksHaveGeneration: boolean;
  /** A zapped root is replaced before the next entry; otherwise it stays, as an empty table. */
  readonly replacesZappedRoots: boolean;
  /**
   * Shadow pages that must be free before a fault is handled; if fewer are, the oldest are recycled until REFILL are.
   */
  readonly leastFree: number;
  /** Limit on shadow pages for a VM with this many bytes of RAM. */
  limit(memory: bigint): number;
  flood(): FloodDetector;
}

/** KVM_REFILL_PAGES. */
export const REFILL = 25;

/** The write covers more than one entry. */
const spans = (w: TableWrite, bytes: number): boolean =>
  Math.floor(w.offset / bytes) !== Math.floor((w.offset + w.size - 1) / bytes);

/** 2.6.20 counts consecutive writes to one frame (last_pt_write_gfn, last_pt_write_count). */
class LastWrite implements FloodDetector {
  private gfn = -1;
  private inARow = 0;

  begin({ gfn }: TableWrite): void {
    this.inARow = gfn === this.gfn ? this.inARow + 1 : 1;
    this.gfn = gfn;
  }
  overflows(page: ShadowPage, write: TableWrite): boolean {
    return this.inARow >= FLOOD || write.size < 4 || spans(write, roleEntryBytes(page.role));
  }
  save(): readonly number[] {
    return [this.gfn, this.inARow];
  }
  restore([gfn = -1, inARow = 0]: readonly number[]): void {
    this.gfn = gfn;
    this.inARow = inARow;
  }
}

/**
 * detect_write_misaligned and detect_write_flooding: each page counts its own writes, except on the last level, whose
 * pages go out of sync instead. Systems set and clear flags by writing a single byte at the start of an entry.
 */
const perPage: FloodDetector = {
  begin: () => undefined,
  overflows(page, write) {
    const flags = write.size === 1 && write.offset % roleEntryBytes(page.role) === 0;
    if (!flags && (write.size < 4 || spans(write, roleEntryBytes(page.role)))) return true;
    return roleLevel(page.role) > 1 && ++page.writes >= FLOOD;
  },
  save: () => [],
  restore: () => undefined,
};

/** KVM_NUM_MMU_PAGES of 2.6.20. */
const CLASSIC_PAGES = 256;
/** KVM_PERMILLE_MMU_PAGES and KVM_MIN_ALLOC_MMU_PAGES since. */
const MODERN_PERMILLE = 20n;
const MODERN_LEAST = 64n;

/** Linux 2.6.20, drivers/kvm/mmu.c. MMU notifiers came later: here they act as in the first KVM that had them. */
const CLASSIC: ShadowStrategy = {
  name: 'classic',
  previousRoots: 0,
  unsync: false,
  largePages: false,
  agesByFlag: false,
  marksHaveGeneration: false,
  replacesZappedRoots: false,
  leastFree: REFILL,
  limit: () => CLASSIC_PAGES,
  flood: () => new LastWrite(),
};

/** arch/x86/kvm/mmu/mmu.c. */
const MODERN: ShadowStrategy = {
  name: 'modern',
  previousRoots: 3,
  unsync: true,
  largePages: true,
  agesByFlag: true,
  marksHaveGeneration: true,
  replacesZappedRoots: true,
  // KVM_MIN_FREE_MMU_PAGES
  leastFree: 5,
  limit(memory) {
    const n = ((memory >> 12n) * MODERN_PERMILLE) / 1000n;
    return Number(n > MODERN_LEAST ? n : MODERN_LEAST);
  },
  flood: () => perPage,
};

export const STRATEGIES: Readonly<Record<ShadowGeneration, ShadowStrategy>> = { classic: CLASSIC, modern: MODERN };
