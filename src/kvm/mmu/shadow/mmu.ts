import type { Gpa, Hpa } from '../../../base/address';
import { hpa } from '../../../base/address';
import { must } from '../../../base/assert';
import { hex } from '../../../base/hex';
import { cost } from '../../../host/costs';
import type { HostKernel } from '../../../host/kernel';
import { kvmStep, type Step, type TableAccess } from '../../../host/step';
import { FRAME_MASK, PTE_A, PTE_P } from '../../../isa/entries';
import type { SecondaryMmu } from '../secondary-mmu';
import type { Stats, VmStat } from '../../stats';
import type { GuestPaging } from './guest-walk';
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
import { isShadowLeaf, isShadowPresent, shadowFrame } from './spte';

/** Shadow pages a VM may have: KVM_NUM_MMU_PAGES of 2.6.20. */
const CLASSIC_PAGES = 256;
/** KVM_PERMILLE_MMU_PAGES and KVM_MIN_ALLOC_MMU_PAGES since. */
const MODERN_PERMILLE = 20n;
const MODERN_LEAST = 64n;
/** KVM_REFILL_PAGES: so many must be free before a fault is handled, which needs a few. */
const REFILL = 25;
/** The write that is one too many: after it a page is taken for something else than a table, or for one that is being filled anew. */
const FLOOD = 3;
/** PDPTEs have no rights (SDM vol. 3, table 4-8). */
const PAE_ROOT_BYTES = 32;
const DMA32_END = 1n << 32n;

/** What the loaded root is a shadow of. */
interface Root {
  readonly hpa: Hpa;
  readonly pages: readonly ShadowPage[];
  readonly paging: GuestPaging;
}

/** The shadow page tables of one VM: which pages there are, what hardware's root is, and what writes to guest tables do to them (drivers/kvm/mmu.c, arch/x86/kvm/mmu/mmu.c). */
export class ShadowMmu implements SecondaryMmu {
  readonly pages: ShadowPages;
  private root: Root | undefined;
  /** The four PDPTEs for guests of the 32-bit formats: CR3 has 32 bits there, so they lie below 4 GiB (alloc_mmu_pages, GFP_DMA32). */
  private readonly paeRoot: Hpa;
  private lastWrittenFrame = -1;
  private writesInARow = 0;

  constructor(
    readonly kernel: HostKernel,
    private readonly stats: Stats<VmStat>,
    readonly generation: ShadowGeneration,
    /** Bytes of guest RAM: what modern KVM's number of shadow pages goes by. */
    private readonly guestMemory: () => bigint,
    /** Asks every VCPU to forget cached translations before it enters again. */
    readonly flush: () => void,
  ) {
    this.pages = new ShadowPages(kernel, generation);
    this.paeRoot = must(kernel.frames.allocate(), 'a new VM finds a frame for its PAE root');
  }

  /** Whether a guest with 32-bit paging can be run: its top table must be within reach of a 32-bit CR3. */
  static reachable(address: bigint): boolean {
    return address + BigInt(PAE_ROOT_BYTES) <= DMA32_END;
  }
  get rootHpa(): Hpa | undefined {
    return this.root?.hpa;
  }
  get loaded(): Root | undefined {
    return this.root;
  }

  // ---- the root

  /** kvm_mmu_load where the guest's CR3 or paging mode is another than the root's. The steps; none where the root stays. 'no-memory': the host has no frame. */
  load(paging: GuestPaging): readonly Step[] | 'no-memory' {
    if (this.root && samePaging(this.root.paging, paging)) return [];
    const before = this.pages.count;
    this.unload();
    this.recycle();
    const { format } = paging.controls;
    const steps: Step[] = [];
    const writes: TableAccess[] = [];
    let root: Root;
    if (usesPaeRoot(format)) {
      const pages: ShadowPage[] = [];
      for (let i = 0; i < 4; i++) {
        const pdpte = paging.pdptes[i] ?? 0n;
        const absent = format === 'pae' && (pdpte & PTE_P) === 0n;
        const page = absent
          ? undefined
          : this.rootPage(
              paging,
              i,
              format === 'none'
                ? i << 18
                : Number((format === 'pae' ? pdpte & FRAME_MASK : paging.cr3 & 0xffff_f000n) >> 12n),
            );
        if (!absent && !page) return 'no-memory';
        if (page) {
          page.roots++;
          pages.push(page);
        }
        writes.push(this.writePaeRoot(i, page ? page.spt | PTE_P : 0n));
      }
      root = { hpa: this.paeRoot, pages, paging };
    } else {
      const page = this.rootPage(paging, 0, Number((paging.cr3 & FRAME_MASK) >> 12n));
      if (!page) return 'no-memory';
      page.roots++;
      root = { hpa: page.spt, pages: [page], paging };
    }
    this.root = root;
    const made = this.pages.count - before;
    const of =
      format === 'none'
        ? 'a guest without paging: frames one to one'
        : `the table at the guest's CR3 ${hex(paging.cr3)}`;
    steps.push(
      kvmStep(
        'mmu_alloc_roots',
        `the root at HPA ${hex(root.hpa)} shadows ${of}${made > 0 ? `; ${made} new shadow ${made === 1 ? 'page' : 'pages'}` : ', and was kept from earlier'}`,
        cost('kvmHandler') + cost('eptTable', Math.max(0, made)),
        {
          addresses: { hpa: root.hpa },
          writes,
        },
      ),
    );
    return steps;
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
  /** mmu_free_roots: the pages stay, as shadows of their frames, for the next load of that CR3. */
  unload(): void {
    for (const p of this.root?.pages ?? []) p.roots--;
    this.root = undefined;
  }

  // ---- pages

  /** kvm_mmu_get_page: the shadow of a guest table in that role. A new one makes its frame read-only to the guest everywhere; writes are then seen. */
  get(paging: GuestPaging, gfn: number, role: Role, writes?: TableAccess[]): ShadowPage | undefined {
    const word = roleWord(paging.mode, role);
    const found = this.pages.find(gfn, word);
    if (found) return found;
    const page = this.pages.create(gfn, word);
    if (page && !role.direct) {
      const large = this.dropLarge(gfn);
      if (this.pages.writeProtect(gfn, writes) || large) this.flush();
    }
    return page;
  }
  /** A large leaf that covers the frame goes: small ones take its place, fault by fault, and that of the table is read-only. */
  private dropLarge(gfn: number): boolean {
    let dropped = false;
    for (const span of LARGE_SPANS) {
      for (const { page, index } of this.pages.leavesOf(gfn - (gfn % span))) {
        if (leafFrames(page) === span) dropped = this.pages.clear(page, index) || dropped;
      }
    }
    return dropped;
  }
  /** kvm_mmu_zap_page. */
  zapPage(page: ShadowPage, writes?: TableAccess[]): void {
    this.stats.add('mmu_shadow_zapped');
    this.pages.zap(page, writes);
  }
  /** kvm_mmu_free_some_pages: the oldest pages that are no root go until enough can be made. Due before a fault is handled. */
  recycle(): void {
    let excess = this.pages.count + REFILL - this.limit;
    if (excess <= 0) return;
    for (const page of [...this.pages.all()]) {
      if (excess <= 0) break;
      if (page.roots > 0) continue;
      this.zapPage(page);
      this.stats.add('mmu_recycled');
      excess--;
    }
    this.flush();
  }
  get limit(): number {
    if (this.generation === 'classic') return CLASSIC_PAGES;
    const n = ((this.guestMemory() >> 12n) * MODERN_PERMILLE) / 1000n;
    return Number(n > MODERN_LEAST ? n : MODERN_LEAST);
  }
  /** kvm_mmu_unprotect_page: the frame is no table any more, as far as KVM knows, and may be written. A root stays. True: pages went. */
  unprotect(gfn: number): boolean {
    const pages = this.pages.ofFrame(gfn);
    for (const p of pages) this.zapPage(p);
    if (pages.length > 0) this.flush();
    return pages.length > 0 && !this.pages.isShadowed(gfn);
  }

  // ---- writes to guest tables

  /**
   * kvm_mmu_pte_write: `size` bytes at `address` of guest memory have been written by the instruction emulator. Entries that shadow them are dropped; a table that is
   * written three times in a row, or not entry by entry, is no longer shadowed at all.
   */
  pteWrite(address: Gpa, size: number): Step | undefined {
    const gfn = Number(address >> 12n);
    const pages = this.pages.ofFrame(gfn);
    if (pages.length === 0) return undefined;
    this.stats.add('mmu_pte_write');
    const flooded = this.flooded(gfn, pages);
    const offset = Number(address & 0xfffn);
    const writes: TableAccess[] = [];
    let zapped = 0;
    let dropped = false;
    for (const page of pages) {
      const bytes = roleEntryBytes(page.role);
      const misaligned = size < 4 || (offset & (bytes - 1)) + size > bytes;
      if (flooded || misaligned) {
        this.zapPage(page, writes);
        zapped++;
        continue;
      }
      for (const index of shadowIndices(page, offset)) dropped = this.pages.clear(page, index, writes) || dropped;
    }
    if (flooded && zapped > 0) this.stats.add('mmu_flooded');
    if (zapped > 0 || dropped) this.flush();
    const what =
      zapped > 0
        ? `${flooded ? 'too many writes in a row' : 'a write that is not one entry'}: ${zapped} shadow ${zapped === 1 ? 'page' : 'pages'} of the table zapped`
        : dropped
          ? 'the shadow entry is dropped; the next access fills it'
          : 'nothing was shadowed there yet';
    return kvmStep(
      'kvm_mmu_pte_write',
      `the guest wrote its page table at GPA ${hex(address)}: ${what}`,
      cost('kvmHandler') + cost('eptEntry', writes.length),
      {
        addresses: { gpa: address },
        writes: writes.slice(0, MOST_WRITES),
      },
    );
  }
  /** 2.6.20 counts writes in a row to one frame; later each page counts its own, last-level tables excepted, until one of its entries is used. */
  private flooded(gfn: number, pages: readonly ShadowPage[]): boolean {
    if (this.generation === 'classic') {
      this.writesInARow = gfn === this.lastWrittenFrame ? this.writesInARow + 1 : 0;
      this.lastWrittenFrame = gfn;
      return this.writesInARow >= FLOOD;
    }
    let flooded = false;
    for (const p of pages) if (roleLevel(p.role) > 1 && ++p.writes >= FLOOD) flooded = true;
    return flooded;
  }

  // ---- SecondaryMmu: by ranges of guest memory

  zapRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean {
    let changed = false;
    this.eachLeaf(start, end, (page, index) => (changed = this.pages.clear(page, index, writes) || changed));
    if (this.generation === 'classic') this.dropMarks(start, end);
    return changed;
  }
  /** Shadow entries' A is set ahead, so a leaf goes and counts as used (kvm_age_rmapp without an accessed mask). */
  ageRange(start: Gpa, end: Gpa): boolean {
    return this.zapRange(start, end);
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
  /** First frames of leaves that map a part of the range. */
  private frames(start: Gpa, end: Gpa): readonly number[] {
    const first = Number(start >> 12n);
    const last = Number((end - 1n) >> 12n);
    return this.pages.mappedFrames().filter((gfn) => {
      if (gfn > last) return false;
      const [leaf] = this.pages.leavesOf(gfn);
      return leaf !== undefined && gfn + leafFrames(leaf.page) > first;
    });
  }
  /** MMIO marks of classic pages carry no generation; where a slot appears or goes, the marks there do too. */
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

  /** Entries on hardware's way to `linear`, root first, as far as they are present. Changes nothing. */
  read(linear: bigint): readonly TableAccess[] {
    const root = this.root;
    if (!root) return [];
    const out: TableAccess[] = [];
    const pae = usesPaeRoot(root.paging.controls.format);
    let table: bigint = root.hpa;
    for (let level: number = pae ? 3 : rootLevel(root.paging.controls.format); level >= 1; level--) {
      const index = Number((linear >> BigInt(12 + 9 * (level - 1))) & (pae && level === 3 ? 3n : 0x1ffn));
      const address = hpa(table + BigInt(index * 8));
      const value = this.kernel.memory.read64(address);
      out.push({ table: 'shadow', level, index, address, value });
      if (
        !(pae && level === 3 ? (value & PTE_P) !== 0n : isShadowPresent(this.generation, value)) ||
        isShadowLeaf(value, level)
      )
        break;
      table = shadowFrame(value);
    }
    return out;
  }

  save(): ShadowMmuState {
    return {
      pages: this.pages.save(),
      root: this.root && { hpa: this.root.hpa, tables: this.root.pages.map((p) => p.spt), paging: this.root.paging },
      lastWrittenFrame: this.lastWrittenFrame,
      writesInARow: this.writesInARow,
    };
  }
  restore(s: ShadowMmuState): void {
    this.pages.restore(s.pages);
    this.root = s.root && {
      hpa: s.root.hpa,
      paging: s.root.paging,
      pages: s.root.tables.map((t) => must(this.pages.ofTable(t), 'a root is a shadow page')),
    };
    this.lastWrittenFrame = s.lastWrittenFrame;
    this.writesInARow = s.writesInARow;
  }
}

export interface ShadowMmuState {
  readonly pages: ShadowPagesState;
  readonly root: { readonly hpa: Hpa; readonly tables: readonly Hpa[]; readonly paging: GuestPaging } | undefined;
  readonly lastWrittenFrame: number;
  readonly writesInARow: number;
}

/** Entries that one step lists. */
const MOST_WRITES = 64;
const LARGE_SPANS = [512, 512 * 512] as const;
/** Frames that a leaf of this page maps. */
const leafFrames = (page: ShadowPage): number => 512 ** (roleLevel(page.role) - 1);

const samePaging = (a: GuestPaging, b: GuestPaging): boolean =>
  a.mode === b.mode &&
  (a.controls.format === 'none' || (a.cr3 === b.cr3 && a.pdptes.every((p, i) => p === b.pdptes[i])));

/**
 * Indices of the shadow entries for a byte offset in the guest's table. Entries of 8 bytes have one; a 4-byte one of a page table has one in one of two quadrants,
 * and a 4-byte directory entry, which spans 4 MiB, two neighbours in one of four.
 */
function shadowIndices(page: ShadowPage, offset: number): readonly number[] {
  if (roleDirect(page.role)) return [];
  if (roleEntryBytes(page.role) === 8) return [offset >> 3];
  const directory = roleLevel(page.role) === 2;
  const entry = (offset >> 2) * (directory ? 2 : 1);
  if (entry >> 9 !== roleQuadrant(page.role)) return [];
  return directory ? [entry & 511, (entry & 511) + 1] : [entry & 511];
}
