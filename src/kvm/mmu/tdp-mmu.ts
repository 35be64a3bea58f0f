import type { Gpa, Hpa } from '../../base/address';
import { gpa, hpa } from '../../base/address';
import { hex } from '../../base/hex';
import { must } from '../../base/assert';
import { cost } from '../../trace/costs';
import type { HostKernel } from '../../host/kernel';
import { TABLE_ENTRIES, levelIndex, levelSize } from '../../host/page-tables';
import { kvmStep, type Step, type TableAccess, type Work } from '../../trace/step';
import { readTable, type TableEntryView, type TableFormat, type TableRef } from '../../host/table-view';
import { EPTE_PS, EPTE_W } from '../../isa/entries';
import { decodeEptp } from '../../hw/paging/ept';
import type { SecondLevelTables } from '../../hw/paging/second-level';
import { decodeNpt } from '../../hw/paging/npt';
import type { PagingControls, PagingModel } from '../../hw/paging/controls';
import type { Stats, VmStat } from '../stats';
import type { SecondaryMmu } from './secondary-mmu';
import { isLastSpte, isPresentSpte, spteFrame, type SpteRights } from './spte';
import { EPT_FORMAT, NPT_FORMAT, type SpteFormat } from './spte-format';

/**
 * What a fault wants mapped: a page frame, or nothing if there is no slot. `valid` is called right before the leaf is
 * set: whether the lookup still holds. The kernel checks once under mmu_lock, which keeps notifiers out until the
 * leaf is set; here the user may cause a host event between any two steps.
 */
export type MapRequest =
  | {
      readonly kind: 'page';
      readonly gpa: Gpa;
      readonly frame: Hpa;
      readonly level: number;
      readonly rights: SpteRights;
      readonly valid?: () => boolean;
    }
  | { readonly kind: 'mmio'; readonly gpa: Gpa; readonly generation: number };

/** 'retry': the host took the page back meanwhile (RET_PF_RETRY). */
export type MapResult = 'fixed' | 'spurious' | 'emulate' | 'no-memory' | 'retry';

/**
 * Which tables a VM has. `ad`: EPT's accessed and dirty flags are on; `model`: the processor, which decides what is
 * reserved in EPT; `host`: the host kernel's paging, whose format nested tables have.
 */
export type TdpKind =
  | { readonly kind: 'ept'; readonly ad: boolean; readonly levels: TdpLevels; readonly model: PagingModel }
  | { readonly kind: 'npt'; readonly host: PagingControls };
export type TdpLevels = 4 | 5;

/**
 * kvm_mmu_get_tdp_level of VMX: five-level EPT if the processor supports it and the guest has more physical address
 * bits than four levels cover. NPT has the levels of the host's own paging (get_npt_level).
 */
export const eptLevels = (has5LevelEpt: boolean, guestPhysicalBits: number): TdpLevels =>
  has5LevelEpt && guestPhysicalBits > 48 ? 5 : 4;
/** With fewer, bit 51 of an ordinary entry is reserved; MMIO entries set it (kvm_mmu_reset_all_pte_masks). */
const MMIO_MASK_BITS = 52;

const PAGE_STAT: Readonly<Record<number, VmStat>> = { 1: 'pages_4k', 2: 'pages_2m', 3: 'pages_1g' };
const PAGE_NAME: Readonly<Record<number, string>> = { 1: '4 KiB', 2: '2 MiB', 3: '1 GiB' };

interface EntryPlace {
  readonly address: Hpa;
  readonly index: number;
}

interface LeafPlace extends EntryPlace {
  readonly level: number;
  readonly entry: bigint;
}

/**
 * The EPT or nested page tables of one VM: tables in host memory, edited the way KVM's TDP MMU edits them
 * (arch/x86/kvm/mmu/tdp_mmu.c).
 */
export class TdpMmu implements SecondaryMmu {
  readonly root: Hpa;
  readonly format: SpteFormat;
  /** Hardware sets accessed and dirty flags: with EPTP bit 6, and always under nested paging. */
  readonly ad: boolean;
  /** Level of the root. */
  readonly levels: number;

  constructor(
    private readonly kernel: HostKernel,
    private readonly stats: Stats<VmStat>,
    private readonly kind: TdpKind,
    /** Requests every VCPU to flush cached translations before it enters again. */
    private readonly flush: () => void,
    root: Hpa | undefined = kernel.frames.allocate(),
  ) {
    this.root = must(root, 'a new VM finds a frame for its root table');
    this.format = kind.kind === 'npt' ? NPT_FORMAT : EPT_FORMAT;
    this.ad = kind.kind === 'npt' || kind.ad;
    this.levels = kind.kind === 'ept' ? kind.levels : this.tables.levels;
  }

  /**
   * The root pointer for hardware. construct_eptp: write-back, the walk length minus one, A/D as configured; nCR3 is
   * the root alone.
   */
  get pointer(): bigint {
    if (this.kind.kind === 'npt') return this.root;
    return this.root | 6n | (BigInt(this.levels - 1) << 3n) | (this.ad ? 1n << 6n : 0n);
  }
  /** As the hardware walks them. */
  get tables(): SecondLevelTables {
    return this.kind.kind === 'npt'
      ? decodeNpt(this.pointer, this.kind.host)
      : decodeEptp(this.pointer, this.kind.model.pages1g);
  }

  /** Entries can be marked as MMIO (enable_mmio_caching). */
  get marksMmio(): boolean {
    return this.kind.kind === 'ept' || this.kind.host.physicalBits < MMIO_MASK_BITS;
  }

  /** The entries on the path to `address`, root first, down to the last one present. */
  read(address: Gpa): readonly TableAccess[] {
    const out: TableAccess[] = [];
    let table = this.root;
    for (let level = this.levels; level >= 1; level--) {
      const at = this.entryAt(table, address, level);
      const value = this.kernel.memory.read64(at.address);
      out.push({ table: this.format.table, level, index: at.index, address: at.address, value });
      if (!isPresentSpte(value) || isLastSpte(value, level)) break;
      table = hpa(spteFrame(value));
    }
    return out;
  }

  /** Bytes of the page that maps `address` for the guest, 0 if none does; and the address up to which that holds. */
  mappedSize(address: Gpa): { readonly size: number; readonly until: bigint } {
    const last = must(this.read(address).at(-1), 'a walk reads the root');
    const span = levelSize(last.level);
    return { size: isPresentSpte(last.value) ? Number(span) : 0, until: (address & ~(span - 1n)) + span };
  }

  /** get_mmio_spte. */
  mmioSpte(address: Gpa): TableAccess | undefined {
    const last = this.read(address).at(-1);
    return last && this.format.isMmio(last.value) ? last : undefined;
  }

  /**
   * kvm_tdp_mmu_map: walks down, links missing tables, and sets the leaf. Filling an entry that was not present needs
   * no INVEPT.
   */
  *map(request: MapRequest): Work<MapResult> {
    const goal = request.kind === 'page' ? request.level : 1;
    const reads = this.read(request.gpa).filter((r) => r.level >= goal);
    const last = must(reads.at(-1), 'a walk reads the root');
    yield kvmStep(
      'kvm_tdp_mmu_map',
      `walks the ${this.format.name} for GPA ${hex(request.gpa)} towards level ${goal}: the entry of level ${last.level} ${isPresentSpte(last.value) ? 'is present' : 'is not present'}`,
      cost('kvmHandler') + cost('tableReference', reads.length),
      { addresses: { gpa: request.gpa }, reads },
    );
    let table = this.root;
    for (let level = this.levels; ; level--) {
      const at = this.entryAt(table, request.gpa, level);
      const old = this.kernel.memory.read64(at.address);
      if (level === goal) return yield* this.setLeaf(request, at.address, old, level);
      if (isPresentSpte(old) && !isLastSpte(old, level)) {
        table = hpa(spteFrame(old));
        continue;
      }
      const child = this.kernel.frames.allocate();
      if (child === undefined) return 'no-memory';
      yield isPresentSpte(old)
        ? this.split(request.gpa, child, at, old, level)
        : this.link(request.gpa, child, at, level);
      table = child;
    }
  }

  /** tdp_mmu_link_sp: installs an empty table. */
  private link(address: Gpa, child: Hpa, at: EntryPlace, level: number): Step {
    const write = this.set(at.address, level, at.index, this.format.nonleaf(child, this.ad));
    return kvmStep(
      'tdp_mmu_link_sp',
      `links a new ${this.format.name} table of level ${level - 1} at HPA ${hex(child)} for GPA ${hex(address)}`,
      cost('eptTable') + cost('eptEntry'),
      {
        addresses: { gpa: address, hpa: child },
        writes: [write],
      },
    );
  }

  /** tdp_mmu_split_huge_page: a table of 512 smaller entries replaces the large one. */
  private split(address: Gpa, child: Hpa, at: EntryPlace, huge: bigint, level: number): Step {
    this.splitInto(child, huge, level);
    this.stats.add(must(PAGE_STAT[level], 'a leaf level'), -1);
    this.stats.add(must(PAGE_STAT[level - 1], 'a leaf level'), TABLE_ENTRIES);
    const write = this.set(at.address, level, at.index, this.format.nonleaf(child, this.ad));
    this.flush();
    return kvmStep(
      'tdp_mmu_split_huge_page',
      `splits the ${PAGE_NAME[level]} entry for GPA ${hex(address)} into a table of level ${level - 1}`,
      cost('eptTable') + cost('eptEntry', TABLE_ENTRIES),
      {
        addresses: { gpa: address, hpa: child },
        writes: [write],
      },
    );
  }

  /** tdp_mmu_map_handle_target_level. */
  private *setLeaf(request: MapRequest, address: Hpa, old: bigint, level: number): Work<MapResult> {
    const index = levelIndex(request.gpa, level);
    if (request.kind === 'mmio') {
      const write = this.set(address, level, index, this.format.mmio(request.gpa, request.generation));
      yield kvmStep(
        'make_mmio_spte',
        `marks GPA ${hex(request.gpa)} as MMIO: an entry ${this.format.table === 'ept' ? 'that hardware misconfigures on' : 'with a reserved bit, which faults'}, of memslot generation ${request.generation}`,
        cost('eptEntry'),
        {
          addresses: { gpa: request.gpa },
          writes: [write],
        },
      );
      return 'emulate';
    }
    if (request.valid?.() === false) {
      yield kvmStep(
        'is_page_fault_stale',
        `the host changed its mapping for GPA ${hex(request.gpa)} meanwhile: the fault is taken again`,
        cost('kvmHandler'),
        { addresses: { gpa: request.gpa } },
      );
      return 'retry';
    }
    const spte = this.format.leaf(request.frame, level, request.rights, this.ad);
    if (spte === old) return 'spurious';
    const change = this.set(address, level, index, spte);
    if (isPresentSpte(old)) {
      if (!isLastSpte(old, level)) this.freeTable(hpa(spteFrame(old)), level - 1);
      else this.stats.add(must(PAGE_STAT[level], 'a leaf level'), -1);
      // adding a right to the same frame needs no flush: the violation itself dropped the cached translation
      if (!isLastSpte(old, level) || spteFrame(old) !== request.frame) this.flush();
    }
    this.stats.add(must(PAGE_STAT[level], 'a leaf level'));
    const rights = request.rights.writable ? 'read, write and execute' : 'read and execute';
    yield kvmStep(
      'make_spte',
      `maps GPA ${hex(request.gpa & ~(levelSize(level) - 1n))} to HPA ${hex(request.frame)}, ${PAGE_NAME[level]}, ${rights}`,
      cost('eptEntry'),
      {
        addresses: { gpa: request.gpa, hpa: request.frame },
        writes: [change],
      },
    );
    return 'fixed';
  }

  /** tdp_mmu_zap_leafs. */
  zapRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    let flush = false;
    this.eachEntry(start, end, (e) => {
      const write = this.set(e.address, e.level, e.index, 0n);
      writes?.push(write);
      if (!isPresentSpte(e.entry)) return;
      this.stats.add(must(PAGE_STAT[e.level], 'a leaf level'), -1);
      flush = true;
    });
    return flush;
  }
  flushSlot(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    return this.zapRange(start, end, writes);
  }
  zapAll(writes?: TableAccess[]): boolean {
    return this.zapRange(gpa(0n), gpa(levelSize(this.levels + 1)), writes);
  }

  /**
   * kvm_tdp_mmu_age_gfn_range. Without A flags a leaf is dropped and counts as used: the next use causes a violation.
   */
  ageRange(start: Gpa, end: Gpa): boolean {
    if (!this.ad) return this.zapRange(start, end);
    let young = false;
    this.eachEntry(start, end, (e) => {
      if (!isPresentSpte(e.entry) || (e.entry & this.format.accessed) === 0n) return;
      young = true;
      this.set(e.address, e.level, e.index, e.entry & ~this.format.accessed);
    });
    return young;
  }

  /** kvm_tdp_mmu_test_age_gfn. Without A flags a present leaf counts as used: aging removes it. */
  testAgeRange(start: Gpa, end: Gpa): boolean {
    let young = false;
    this.eachEntry(start, end, (e) => {
      young ||= isPresentSpte(e.entry) && (!this.ad || (e.entry & this.format.accessed) !== 0n);
    });
    return young;
  }

  /** kvm_tdp_mmu_wrprot_slot. A large leaf is protected whole; the fault of the first write splits it. */
  writeProtectRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    return this.clear(start, end, () => EPTE_W | this.format.dirty, writes);
  }

  /** kvm_tdp_mmu_clear_dirty_slot. A large leaf would log only one of its pages, so it loses write access instead. */
  clearDirtyRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    return this.clear(start, end, (level) => (level > 1 ? EPTE_W | this.format.dirty : this.format.dirty), writes);
  }

  private clear(start: Gpa, end: Gpa, mask: (level: number) => bigint, writes: TableAccess[] | undefined): boolean {
    let changed = false;
    this.eachEntry(start, end, (e) => {
      const value = e.entry & ~mask(e.level);
      if (!isPresentSpte(e.entry) || value === e.entry) return;
      const write = this.set(e.address, e.level, e.index, value);
      writes?.push(write);
      changed = true;
    });
    return changed;
  }

  rootTable(): TableRef {
    const { kind } = this;
    const format: TableFormat =
      kind.kind === 'npt'
        ? { kind: 'npt', rules: kind.host }
        : { kind: 'ept', rules: { physicalBits: kind.model.physicalBits, pages1g: kind.model.pages1g ?? true } };
    return { format, level: this.levels, table: this.root, start: 0n };
  }
  readTable(ref: TableRef): readonly TableEntryView[] {
    return readTable(this.kernel.memory, ref);
  }

  /** Visits every leaf and every MMIO entry that covers part of the range. */
  private eachEntry(
    start: bigint,
    end: bigint,
    visit: (e: LeafPlace) => void,
    table = this.root,
    level = this.levels,
    base = 0n,
  ): void {
    const size = levelSize(level);
    const first = start > base ? Number((start - base) / size) : 0;
    for (let index = first; index < TABLE_ENTRIES; index++) {
      const from = base + BigInt(index) * size;
      if (from >= end) break;
      const address = hpa(table + BigInt(index * 8));
      const entry = this.kernel.memory.read64(address);
      if (entry === 0n) continue;
      if (isPresentSpte(entry) && !isLastSpte(entry, level))
        this.eachEntry(start, end, visit, hpa(spteFrame(entry)), level - 1, from);
      else visit({ address, index, level, entry });
    }
  }

  private freeTable(table: Hpa, level: number): void {
    for (let index = 0; index < TABLE_ENTRIES; index++) {
      const entry = this.kernel.memory.read64(hpa(table + BigInt(index * 8)));
      if (!isPresentSpte(entry)) continue;
      if (isLastSpte(entry, level)) this.stats.add(must(PAGE_STAT[level], 'a leaf level'), -1);
      else this.freeTable(hpa(spteFrame(entry)), level - 1);
    }
    this.kernel.frames.free(table);
  }

  /** make_huge_page_split_spte, 512 times: the same frames and rights one level down. */
  private splitInto(child: Hpa, huge: bigint, level: number): void {
    const step = levelSize(level - 1);
    const keepLarge = level - 1 > 1;
    for (let i = 0; i < TABLE_ENTRIES; i++) {
      const entry = huge + BigInt(i) * step;
      this.kernel.memory.write64(hpa(child + BigInt(i * 8)), keepLarge ? entry : entry & ~EPTE_PS);
    }
  }

  private entryAt(table: Hpa, address: Gpa, level: number): EntryPlace {
    const index = levelIndex(address, level);
    return { address: hpa(table + BigInt(index * 8)), index };
  }

  private set(address: Hpa, level: number, index: number, value: bigint): TableAccess {
    const previous = this.kernel.memory.read64(address);
    this.kernel.memory.write64(address, value);
    return { table: this.format.table, level, index, address, value, previous };
  }
}
