import type { Gpa, Hpa } from '../../../base/address';
import { gpa } from '../../../base/address';
import type { TableAccess } from '../../../trace/step';
import { reservedMask } from '../../../isa/reserved-bits';
import { FRAME_MASK, PTE_A, PTE_D, PTE_P, PTE_PS } from '../../../isa/entries';
import { gpteAccess, type GuestPaging } from './guest-walk';
import type { ShadowOwner } from './owner';
import type { ShadowPage, ShadowPages } from './pages';
import { ACC, roleAccess, roleEntryBytes, roleLevel, roleQuadrant } from './role';
import {
  isHostWritable,
  isMmioOfAccess,
  isShadowMmio,
  isShadowPresent,
  makeModernLeaf,
  shadowFrame,
  shadowMmioCurrent,
  shadowMmioGpa,
} from './spte';

/** 'failed': the guest's table cannot be read, so the page is useless. */
export type Synced = 'same' | 'changed' | 'failed';

/**
 * Brings shadow pages up to date with guest tables written meanwhile. Only existing shadow entries can be stale:
 * where there is none, the guest's entry is read when hardware faults.
 */
export class ShadowSync {
  constructor(
    private readonly pages: ShadowPages,
    private readonly owner: ShadowOwner,
    private readonly zap: (page: ShadowPage, writes: TableAccess[] | undefined) => void,
  ) {}

  /**
   * mmu_sync_children: synchronises everything that `top` leads to and makes it read-only to the guest again. True:
   * cached translations may grant too much.
   */
  children(top: ShadowPage, paging: GuestPaging, writes: TableAccess[]): boolean {
    const pages = this.pages.unsyncBelow(top);
    let flush = false;
    for (const page of pages) flush = this.pages.writeProtect(page.gfn, writes) || flush;
    for (const page of pages) {
      this.pages.setUnsync(page, false);
      flush = this.page(page, paging, writes) !== 'same' || flush;
    }
    return flush;
  }

  /** kvm_sync_page: compares the existing entries with the guest's current ones. */
  page(page: ShadowPage, paging: GuestPaging, writes?: TableAccess[]): Synced {
    let changed = false;
    for (let i = 0; i < 512; i++) {
      const synced = this.entry(page, i, paging, writes);
      if (synced === 'failed') {
        this.zap(page, writes);
        return 'failed';
      }
      changed ||= synced === 'changed';
    }
    return changed ? 'changed' : 'same';
  }

  /**
   * FNAME(sync_spte). Linux gives an MMIO mark the current generation and rights; here an old mark is dropped, and
   * the next access makes it again.
   */
  entry(page: ShadowPage, index: number, paging: GuestPaging, writes?: TableAccess[]): Synced {
    const { pages, owner } = this;
    const spte = pages.read(page, index);
    if (spte === 0n) return 'same';
    const entry = this.guestEntry(page, index);
    if (entry === undefined) return 'failed';
    const drop = (): Synced => (pages.clear(page, index, writes) ? 'changed' : 'same');
    // FNAME(prefetch_invalid_gpte)
    if ((entry & PTE_P) === 0n || (entry & PTE_A) === 0n || invalid(paging, entry)) return drop();
    const gfn = Number((entry & FRAME_MASK) >> 12n);
    const access =
      roleAccess(page.role) & gpteAccess(paging.controls, entry) & ((entry & PTE_D) === 0n ? ~ACC.WRITE : ACC.ALL);
    if (isShadowMmio('modern', spte)) {
      const good = shadowMmioGpa(spte, 0n) >> 12n === BigInt(gfn) && shadowMmioCurrent(spte, owner.memslots.generation);
      return good && isMmioOfAccess(spte, access) ? 'same' : drop();
    }
    if (gfn !== page.gfns[index]) return drop();
    if (access === page.access[index]) return 'same';
    const hostWritable = isHostWritable(spte);
    // a table stays read-only here: the guest's flush is carried out before anything else goes out of sync
    const granted = hostWritable && !pages.isShadowed(gfn) ? access : access & ~ACC.WRITE;
    const value = makeModernLeaf(shadowFrame(spte) as Hpa, 1, { granted, hostWritable });
    const write = pages.setLeaf(page, index, value, gfn, access);
    writes?.push(write);
    if ((granted & ACC.WRITE) !== 0) owner.markPageDirty(gpa(BigInt(gfn) << 12n));
    return isShadowPresent('modern', spte) && value !== spte ? 'changed' : 'same';
  }

  /**
   * The guest entry that an entry of a last-level shadow page shadows, from guest memory; undefined if it cannot be
   * read.
   */
  guestEntry(page: ShadowPage, index: number): bigint | undefined {
    const at = guestEntryAddress(page, index);
    const found = this.owner.lookup(at)?.hpa;
    if (found === undefined) return undefined;
    const { memory } = this.owner.kernel;
    return roleEntryBytes(page.role) === 8 ? memory.read64(found) : BigInt(memory.read32(found));
  }
}

/**
 * Address of the guest entry that entry `index` of `page` shadows. A page shadows half of a table of 4-byte entries,
 * or a quarter of such a directory, each entry twice.
 */
function guestEntryAddress(page: ShadowPage, index: number): Gpa {
  const bytes = roleEntryBytes(page.role);
  const table = BigInt(page.gfn) << 12n;
  if (bytes === 8) return gpa(table + BigInt(index * 8));
  const entry = (roleQuadrant(page.role) << 9) + index;
  return gpa(table + BigInt((roleLevel(page.role) === 1 ? entry : entry >> 1) * 4));
}

const invalid = (p: GuestPaging, entry: bigint): boolean =>
  (entry & reservedMask(p.controls, 1, false, (entry & PTE_PS) !== 0n)) !== 0n;
