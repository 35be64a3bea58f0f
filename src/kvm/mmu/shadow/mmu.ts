import type { Gpa, Hpa } from '../../../base/address';
import { hpa } from '../../../base/address';
import { must } from '../../../base/assert';
import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import type { HostKernel } from '../../../host/kernel';
import { kvmStep, type Step, type TableAccess } from '../../../trace/step';
import type { PagingModel } from '../../../hw/paging/controls';
import { FRAME_MASK, PTE_A, PTE_P } from '../../../isa/entries';
import type { EntryRules } from '../../../isa/reserved-bits';
import type { SecondaryMmu } from '../secondary-mmu';
import type { GuestPaging } from './guest-walk';
import type { ShadowOwner } from './owner';
import { ShadowPages, type ShadowPage, type ShadowPagesState } from './pages';
import {
  ACC,
  roleDirect,
  roleEntryBytes,
  roleLevel,
  roleQuadrant,
  roleWord,
  rootLevel,
  usesPaeRoot,
  type Role,
  type ShadowGeneration,
} from './role';
import { ShadowRoots, type Root, type RootsState } from './roots';
import { isShadowLeaf, isShadowMmio, isShadowPresent, shadowFrame } from './spte';
import { REFILL, STRATEGIES, type FloodDetector, type ShadowStrategy } from './strategy';
import { ShadowSync } from './sync';

/** PDPTEs have no rights (SDM vol. 3, table 4-8). */
const PAE_ROOT_BYTES = 32;
const DMA32_END = 1n << 32n;

/**
 * The outcome of loading the guest's CR3: the root stayed, an earlier one was found, or a new one was made and starts
 * out empty.
 */
export type RootChange =
  { readonly kind: 'same' | 'cached' | 'loaded'; readonly steps: readonly Step[] } | { readonly kind: 'no-memory' };

/**
 * The shadow page tables of one VM: its shadow pages, hardware's root, and the effects of writes to guest tables
 * (drivers/kvm/mmu.c, arch/x86/kvm/mmu/mmu.c).
 */
export class ShadowMmu implements SecondaryMmu {
  readonly kernel: HostKernel;
  readonly strategy: ShadowStrategy;
  readonly pages: ShadowPages;
  readonly sync: ShadowSync;
  readonly roots: ShadowRoots;
  private readonly flood: FloodDetector;
  /** The four PDPTEs for guests of the 32-bit formats: CR3 has 32 bits there, so they lie below 4 GiB (alloc_mmu_pages, GFP_DMA32). */
  private readonly paeRoot: Hpa;

  constructor(
    private readonly owner: ShadowOwner,
    readonly generation: ShadowGeneration,
    private readonly model: PagingModel,
  ) {
    this.kernel = owner.kernel;
    this.strategy = STRATEGIES[generation];
    this.flood = this.strategy.flood();
    this.pages = new ShadowPages(this.kernel, generation, (n) => owner.stats.add('mmu_unsync', n));
    this.sync = new ShadowSync(this.pages, owner, (page, writes) => this.zapPage(page, writes));
    this.roots = new ShadowRoots(this.pages, this.strategy.previousRoots);
    this.paeRoot = must(this.kernel.frames.allocate(), 'a new VM finds a frame for its PAE root');
  }

  /** Requests every VCPU to flush cached translations before it enters again. */
  flush(): void {
    this.owner.requestFlush();
  }

  /** Whether a guest with 32-bit paging can run: its top table must be reachable from a 32-bit CR3. */
  static reachable(address: bigint): boolean {
    return address + BigInt(PAE_ROOT_BYTES) <= DMA32_END;
  }
  /** How hardware reads the tables, with NX always enabled by KVM; undefined: no root is loaded. */
  get entryRules(): EntryRules | undefined {
    if (!this.loaded) return undefined;
    const level = rootLevel(this.loaded.paging.controls.format);
    const { physicalBits, vendor, pages1g = true } = this.model;
    return { format: level === 2 ? 'pae' : `${level}level`, nxe: true, pse: true, physicalBits, vendor, pages1g };
  }
  get rootHpa(): Hpa | undefined {
    return this.loaded?.hpa;
  }
  get loaded(): Root | undefined {
    return this.roots.current;
  }
  /** Hardware may use the root: there is one, and none of its pages was zapped. */
  get usable(): boolean {
    return this.loaded?.pages.every((p) => !p.invalid) === true;
  }

  // ---- the root

  /**
   * Makes the root that shadows the guest's CR3 and paging mode current: kvm_mmu_new_pgd, or kvm_mmu_load if there is
   * none yet. 'no-memory': the host has no frame.
   */
  load(paging: GuestPaging): RootChange {
    const found = this.roots.switchTo(paging);
    if (found === 'same') return { kind: 'same', steps: [] };
    if (found === 'cached') {
      const root = must(this.loaded, 'a root was found');
      for (const p of root.pages) p.writes = 0;
      return { kind: 'cached', steps: [cachedStep(root)] };
    }
    const before = this.pages.count;
    this.recycle();
    const writes: TableAccess[] = [];
    const root = usesPaeRoot(paging.controls.format) ? this.allocatePaeRoot(paging, writes) : this.allocateRoot(paging);
    if (!root) return { kind: 'no-memory' };
    this.roots.set(root);
    return {
      kind: 'loaded',
      steps: [allocatedStep(root, this.pages.count - before, writes), ...this.syncRoot(paging)],
    };
  }
  private allocateRoot(paging: GuestPaging): Root | undefined {
    const page = this.rootPage(paging, 0, Number((paging.cr3 & FRAME_MASK) >> 12n));
    return page && { hpa: page.spt, pages: [page], paging };
  }
  private allocatePaeRoot(paging: GuestPaging, writes: TableAccess[]): Root | undefined {
    const { format } = paging.controls;
    const pages: ShadowPage[] = [];
    for (let i = 0; i < 4; i++) {
      const pdpte = paging.pdptes[i] ?? 0n;
      const absent = format === 'pae' && (pdpte & PTE_P) === 0n;
      const frame = format === 'pae' ? pdpte & FRAME_MASK : paging.cr3 & 0xffff_f000n;
      const page = absent ? undefined : this.rootPage(paging, i, format === 'none' ? i << 18 : Number(frame >> 12n));
      if (!absent && !page) return undefined;
      if (page) pages.push(page);
      writes.push(this.writePaeRoot(i, page ? page.spt | PTE_P : 0n));
    }
    return { hpa: this.paeRoot, pages, paging };
  }
  private rootPage(paging: GuestPaging, i: number, gfn: number): ShadowPage | undefined {
    const { format } = paging.controls;
    const level = rootLevel(format);
    const direct = format === 'none';
    return this.get(paging, gfn, { level, direct, quadrant: format === '32bit' ? i : 0, access: ACC.ALL });
  }
  private writePaeRoot(index: number, value: bigint): TableAccess {
    const address = hpa(this.paeRoot + BigInt(index * 8));
    const previous = this.kernel.memory.read64(address);
    this.kernel.memory.write64(address, value & ~PTE_A);
    return { table: 'shadow', level: 3, index, address, value, previous };
  }
  /** kvm_mmu_unload: no root, current or kept. */
  unload(): void {
    this.roots.free(() => true);
  }

  // ---- the guest's own TLB flushes

  /** kvm_mmu_sync_roots: the guest has flushed its TLB, so its writes to its tables take effect from now on. */
  syncRoot(paging: GuestPaging): readonly Step[] {
    const root = this.loaded;
    if (!root || !this.strategy.unsync) return [];
    const tables = root.pages.reduce((n, p) => n + this.pages.unsyncBelow(p).length, 0);
    if (tables === 0) return [];
    const writes: TableAccess[] = [];
    let flush = false;
    for (const page of root.pages) flush = this.sync.children(page, paging, writes) || flush;
    if (flush) this.flush();
    return [
      kvmStep(
        'kvm_mmu_sync_roots',
        `${tables} last-level ${tables === 1 ? 'table' : 'tables'} of the guest's may have been written: their shadows are brought up to date (${writes.length} ${writes.length === 1 ? 'entry changes' : 'entries change'}), and they are read-only again`,
        cost('kvmHandler') + cost('eptEntry', writes.length),
        { writes: writes.slice(0, MOST_WRITES) },
      ),
    ];
  }
  /**
   * kvm_mmu_sync_prev_roots: kept roots that lead to tables out of sync are dropped, and synchronised when they are
   * made again.
   */
  freeUnsyncPrevious(): void {
    this.roots.freePrevious((r) => r.pages.some((p) => this.pages.unsyncBelow(p).length > 0));
  }
  /**
   * kvm_mmu_invalidate_addr: synchronises the entry for `linear` in the roots selected by `which`, if its page is out
   * of sync. Returns the entries changed.
   */
  invalidateAddress(linear: bigint, which: (root: Root) => boolean): readonly TableAccess[] {
    const writes: TableAccess[] = [];
    let flush = false;
    for (const root of [...(this.loaded ? [this.loaded] : []), ...this.roots.previous]) {
      const last = which(root) ? this.readFrom(root, linear).at(-1) : undefined;
      const page = last && this.pages.ofTable(last.address & ~0xfffn);
      if (!last || !page?.unsync) continue;
      const synced = this.sync.entry(page, last.index, root.paging, writes);
      if (synced === 'failed') this.pages.clear(page, last.index, writes);
      flush ||= synced !== 'same';
    }
    if (flush) this.flush();
    return writes;
  }

  // ---- pages

  /**
   * kvm_mmu_get_page: the shadow of a guest table in that role, synchronised with the guest's table: hardware must
   * not see an old entry through a new path. A new page makes its frame read-only to the guest everywhere, so writes
   * are seen.
   */
  get(paging: GuestPaging, gfn: number, role: Role, writes?: TableAccess[]): ShadowPage | undefined {
    const word = roleWord(paging.mode, role);
    if (!role.direct && role.level > 1) this.zapUnsync(gfn);
    const found = this.pages.find(gfn, word);
    const synced = found?.unsync === true ? this.sync.page(found, paging, writes) : 'same';
    if (synced !== 'same') this.flush();
    if (found && synced !== 'failed') {
      found.writes = 0;
      this.syncBelow(found, paging, writes);
      return found;
    }
    const page = this.pages.create(gfn, word);
    if (page && !role.direct) {
      const large = this.dropLarge(gfn);
      if (this.pages.writeProtect(gfn, writes) || large) this.flush();
    }
    return page;
  }
  /**
   * A table of a higher level stays read-only, so no shadow of it may be out of sync: the guest seems to have reused
   * the frame.
   */
  private zapUnsync(gfn: number): void {
    for (const p of this.pages.ofFrame(gfn)) if (p.unsync) this.zapPage(p);
  }
  private syncBelow(page: ShadowPage, paging: GuestPaging, writes: TableAccess[] = []): void {
    if (roleLevel(page.role) > 1 && !roleDirect(page.role) && this.sync.children(page, paging, writes)) this.flush();
  }
  /**
   * Whether a leaf of this frame may be writable (mmu_try_to_unsync_pages). Not if the frame holds a write-tracked
   * table; if it holds only last-level ones, modern KVM lets them go out of sync instead, until the guest's next
   * flush.
   */
  mayWrite(gfn: number): boolean {
    if (!this.watched(gfn)) {
      for (const p of this.pages.ofFrame(gfn)) this.pages.setUnsync(p, true);
      return true;
    }
    return false;
  }
  /** Whether every write to the frame must be seen (kvm_gfn_is_write_tracked). */
  watched(gfn: number): boolean {
    return this.strategy.unsync
      ? this.pages.ofFrame(gfn).some((p) => roleLevel(p.role) > 1)
      : this.pages.isShadowed(gfn);
  }
  /**
   * Drops a large leaf that covers the frame: small ones replace it, fault by fault, and that of the table is
   * read-only.
   */
  private dropLarge(gfn: number): boolean {
    let dropped = false;
    for (const span of LARGE_SPANS) {
      for (const { page, index } of this.pages.leavesOf(gfn - (gfn % span))) {
        if (leafFrames(page) === span) dropped = this.pages.clear(page, index) || dropped;
      }
    }
    return dropped;
  }
  /** kvm_mmu_zap_page, kvm_mmu_prepare_zap_page: zaps the page and those out of sync below it. */
  zapPage(page: ShadowPage, writes?: TableAccess[]): void {
    for (const p of [...this.pages.unsyncBelow(page), page]) {
      if (p !== page && this.pages.ofTable(p.spt) !== p) continue;
      this.owner.stats.add('mmu_shadow_zapped');
      this.pages.zap(p, writes, this.strategy.replacesZappedRoots);
    }
  }
  /**
   * kvm_mmu_free_some_pages, make_mmu_pages_available: recycles the oldest non-root pages until enough can be made.
   * Required before a fault is handled.
   */
  recycle(): void {
    const free = this.limit - this.pages.count;
    if (free >= this.strategy.leastFree) return;
    let excess = REFILL - free;
    for (const page of [...this.pages.all()]) {
      if (excess <= 0) break;
      if (page.roots > 0 || this.pages.ofTable(page.spt) !== page) continue;
      const before = this.pages.count;
      this.zapPage(page);
      this.owner.stats.add('mmu_recycled');
      excess -= before - this.pages.count;
    }
    this.flush();
  }
  get limit(): number {
    return this.strategy.limit(this.owner.memslots.all.reduce((n, s) => n + (s.end - s.start), 0n));
  }
  /**
   * kvm_mmu_unprotect_page: KVM no longer treats the frame as a table, so it may be written. A root stays. True:
   * pages were zapped.
   */
  unprotect(gfn: number): boolean {
    const pages = this.pages.ofFrame(gfn);
    for (const p of pages) this.zapPage(p);
    if (pages.length > 0) this.flush();
    return pages.length > 0 && !this.pages.isShadowed(gfn);
  }

  // ---- writes to guest tables

  /**
   * kvm_mmu_track_write, kvm_mmu_pre_write in 2.6.20: the instruction emulator has written `size` bytes at `address`
   * of guest memory. Entries that shadow them are dropped; a table that is written three times in a row, or not entry
   * by entry, is no longer shadowed.
   */
  pteWrite(address: Gpa, size: number): Step | undefined {
    const gfn = Number(address >> 12n);
    const pages = this.pages.ofFrame(gfn);
    if (pages.length === 0) return undefined;
    this.owner.stats.add('mmu_pte_write');
    const offset = Number(address & 0xfffn);
    const write = { gfn, offset, size };
    this.flood.begin(write);
    const writes: TableAccess[] = [];
    let zapped = 0;
    let dropped = false;
    for (const page of pages) {
      if (this.flood.overflows(page, write)) {
        this.zapPage(page, writes);
        zapped++;
        continue;
      }
      for (const index of shadowIndices(page, offset)) dropped = this.pages.clear(page, index, writes) || dropped;
    }
    if (zapped > 0) this.owner.stats.add('mmu_flooded', zapped);
    if (zapped > 0 || dropped) this.flush();
    const what =
      zapped > 0
        ? `too many writes in a row, or one that is not one entry: ${zapped} shadow ${zapped === 1 ? 'page' : 'pages'} of the table zapped`
        : dropped
          ? 'the shadow entry is dropped; the next access fills it'
          : 'nothing was shadowed there yet';
    return kvmStep(
      'kvm_mmu_track_write',
      `the guest wrote its page table at GPA ${hex(address)}: ${what}`,
      cost('kvmHandler') + cost('eptEntry', writes.length),
      {
        addresses: { gpa: address },
        writes: writes.slice(0, MOST_WRITES),
      },
    );
  }
  // ---- SecondaryMmu: by ranges of guest memory

  zapRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    let changed = false;
    this.eachLeaf(start, end, (page, index) => (changed = this.pages.clear(page, index, writes) || changed));
    if (!this.strategy.marksHaveGeneration) this.dropMarks(start, end);
    return changed;
  }
  flushSlot(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    const [first, last] = [Number(start >> 12n), Number((end - 1n) >> 12n)];
    const tables = [...this.pages.all()].filter((p) => !roleDirect(p.role) && p.gfn >= first && p.gfn <= last);
    for (const p of tables) if (this.pages.ofTable(p.spt) === p) this.zapPage(p, writes);
    return this.zapRange(start, end, writes) || tables.length > 0;
  }
  zapAll(writes?: TableAccess[]): boolean {
    const pages = [...this.pages.all()];
    for (const p of pages) if (this.pages.ofTable(p.spt) === p) this.zapPage(p, writes);
    return pages.length > 0;
  }
  /** Hardware sets A in shadow entries (kvm_age_rmap); if it is not used, a leaf is dropped and counts as used. */
  ageRange(start: Gpa, end: Gpa): boolean {
    if (!this.strategy.agesByFlag) return this.zapRange(start, end);
    let young = false;
    this.eachLeaf(start, end, (page, index) => (young = this.pages.clearAccessed(page, index) || young));
    return young;
  }
  testAgeRange(start: Gpa, end: Gpa): boolean {
    return [...this.frames(start, end)].some((gfn) => this.pages.leavesOf(gfn).length > 0);
  }
  writeProtectRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    let changed = false;
    for (const gfn of this.frames(start, end)) changed = this.pages.writeProtect(gfn, writes) || changed;
    return changed;
  }
  clearDirtyRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    return this.writeProtectRange(start, end, writes);
  }
  private eachLeaf(start: Gpa, end: Gpa, visit: (page: ShadowPage, index: number) => void): void {
    for (const gfn of this.frames(start, end))
      for (const { page, index } of this.pages.leavesOf(gfn)) visit(page, index);
  }
  /** First frames of leaves that map part of the range. */
  private frames(start: Gpa, end: Gpa): readonly number[] {
    const first = Number(start >> 12n);
    const last = Number((end - 1n) >> 12n);
    return this.pages.mappedFrames().filter((gfn) => {
      if (gfn > last) return false;
      const [leaf] = this.pages.leavesOf(gfn);
      return leaf !== undefined && gfn + leafFrames(leaf.page) > first;
    });
  }
  /**
   * MMIO marks of classic pages carry no generation; when a slot is added or deleted, the marks in it are dropped
   * too.
   */
  private dropMarks(start: Gpa, end: Gpa): void {
    for (const page of this.pages.all()) {
      if (roleLevel(page.role) !== 1) continue;
      for (let i = 0; i < 512; i++) {
        const entry = this.pages.read(page, i);
        if (
          entry !== 0n &&
          !isShadowPresent(this.generation, entry) &&
          shadowFrame(entry) >= start &&
          shadowFrame(entry) < end
        )
          this.pages.clear(page, i);
      }
    }
  }

  /** Entries on hardware's path to `linear`, root first, down to the first one not present. Changes nothing. */
  read(linear: bigint): readonly TableAccess[] {
    return this.loaded ? this.readFrom(this.loaded, linear) : [];
  }
  private readFrom(root: Root, linear: bigint): readonly TableAccess[] {
    const out: TableAccess[] = [];
    const pae = usesPaeRoot(root.paging.controls.format);
    let table: bigint = root.hpa;
    for (let level: number = pae ? 3 : rootLevel(root.paging.controls.format); level >= 1; level--) {
      const index = Number((linear >> BigInt(12 + 9 * (level - 1))) & (pae && level === 3 ? 3n : 0x1ffn));
      const address = hpa(table + BigInt(index * 8));
      const value = this.kernel.memory.read64(address);
      out.push({ table: 'shadow', level, index, address, value });
      const present = pae && level === 3 ? (value & PTE_P) !== 0n : isShadowPresent(this.generation, value);
      if (!present || isShadowLeaf(value, level)) break;
      table = shadowFrame(value);
    }
    return out;
  }
  /** get_mmio_spte. */
  mmioSpte(linear: bigint): bigint | undefined {
    const last = this.read(linear).at(-1)?.value;
    return last !== undefined && isShadowMmio(this.generation, last) ? last : undefined;
  }

  save(): ShadowMmuState {
    return { pages: this.pages.save(), roots: this.roots.save(), flood: this.flood.save() };
  }
  restore(s: ShadowMmuState): void {
    this.pages.restore(s.pages);
    this.roots.restore(s.roots);
    this.flood.restore(s.flood);
  }
}

export interface ShadowMmuState {
  readonly pages: ShadowPagesState;
  readonly roots: RootsState;
  readonly flood: readonly number[];
}

const shadowOf = ({ paging }: Root): string =>
  paging.controls.format === 'none'
    ? 'a guest without paging: frames one to one'
    : `the table at the guest's CR3 ${hex(paging.cr3)}`;

const cachedStep = (root: Root): Step =>
  kvmStep(
    'fast_pgd_switch',
    `the root at HPA ${hex(root.hpa)}, which shadows ${shadowOf(root)}, was kept`,
    cost('kvmHandler'),
    {
      addresses: { hpa: root.hpa },
    },
  );

const allocatedStep = (root: Root, made: number, writes: readonly TableAccess[]): Step =>
  kvmStep(
    root.paging.controls.format === 'none' ? 'mmu_alloc_direct_roots' : 'mmu_alloc_shadow_roots',
    `the root at HPA ${hex(root.hpa)} shadows ${shadowOf(root)}${made > 0 ? `; ${made} new shadow ${made === 1 ? 'page' : 'pages'}` : ', and was kept from earlier'}`,
    cost('kvmHandler') + cost('eptTable', Math.max(0, made)),
    { addresses: { hpa: root.hpa }, writes },
  );

/** Limit on the entries that one step lists. */
const MOST_WRITES = 64;
const LARGE_SPANS = [512, 512 * 512] as const;
/** Frames that a leaf of this page maps. */
const leafFrames = (page: ShadowPage): number => 512 ** (roleLevel(page.role) - 1);

/**
 * Indices of the shadow entries for a byte offset in the guest's table. An 8-byte entry has one; a 4-byte page-table
 * entry has one, in one of two quadrants; a 4-byte directory entry, which spans 4 MiB, has two adjacent ones, in one
 * of four.
 */
function shadowIndices(page: ShadowPage, offset: number): readonly number[] {
  if (roleDirect(page.role)) return [];
  if (roleEntryBytes(page.role) === 8) return [offset >> 3];
  const directory = roleLevel(page.role) === 2;
  const entry = (offset >> 2) * (directory ? 2 : 1);
  if (entry >> 9 !== roleQuadrant(page.role)) return [];
  return directory ? [entry & 511, (entry & 511) + 1] : [entry & 511];
}
