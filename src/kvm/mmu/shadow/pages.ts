import type { Hpa } from '../../../base/address';
import { hpa } from '../../../base/address';
import { must } from '../../../base/assert';
import type { HostKernel } from '../../../host/kernel';
import type { TableAccess } from '../../../trace/step';
import { PTE_A } from '../../../isa/entries';
import { roleDirect, roleLevel, rolePaging, type RoleWord, type ShadowGeneration } from './role';
import { isShadowLeaf, isShadowPresent, isShadowWritable, makeShadowTable, shadowWriteBits, shadowFrame } from './spte';

/** struct kvm_mmu_page. */
export interface ShadowPage {
  /** Number of the guest frame whose table this page shadows; for a direct page, of the first frame it maps. */
  readonly gfn: number;
  readonly role: RoleWord;
  /** The 512 entries that hardware walks. */
  readonly spt: Hpa;
  /** Guest frame of each leaf, by index, and the guest's ACC_* when it was made (shadowed_translation). */
  readonly gfns: Float64Array;
  readonly access: Uint8Array;
  /** Addresses of the entries that point here (parent_ptes). */
  readonly parents: Set<Hpa>;
  /** VCPU roots that are this page (root_count). */
  roots: number;
  /** Writes to the guest's table since an entry of it was last used (write_flooding_count). */
  writes: number;
  /** The guest may write its table, so entries here may be stale. */
  unsync: boolean;
  /** A zapped root: lookups no longer find it, and it is freed with its last user (role.invalid). */
  invalid: boolean;
}

const ENTRIES = 512;

/**
 * The shadow pages of a VM, by guest frame and role, and the reverse map from guest frames to the leaves that map
 * them (kvm->arch.mmu_page_hash, rmap). The entries themselves are in host memory, where hardware walks them.
 */
export class ShadowPages {
  private readonly byFrame = new Map<number, Set<ShadowPage>>();
  /** In creation order: the first is the first to be recycled. */
  private readonly byTable = new Map<bigint, ShadowPage>();
  private readonly rmap = new Map<number, Set<Hpa>>();
  private readonly outOfSync = new Set<ShadowPage>();

  constructor(
    private readonly kernel: HostKernel,
    private readonly generation: ShadowGeneration,
    /** Counts pages as they go out of sync and come back (kvm->stat.mmu_unsync). */
    private readonly countUnsync: (n: 1 | -1) => void,
  ) {}

  get count(): number {
    return this.byTable.size;
  }
  all(): IterableIterator<ShadowPage> {
    return this.byTable.values();
  }
  ofTable(table: bigint): ShadowPage | undefined {
    return this.byTable.get(table);
  }
  /** Shadow pages of the guest table in this frame, without direct ones (for_each_gfn_valid_sp). */
  ofFrame(gfn: number): readonly ShadowPage[] {
    return [...(this.byFrame.get(gfn) ?? [])].filter((p) => !roleDirect(p.role));
  }
  isShadowed(gfn: number): boolean {
    for (const p of this.byFrame.get(gfn) ?? []) if (!roleDirect(p.role)) return true;
    return false;
  }
  /** Whether a table lies in any of these frames. */
  anyShadowed(first: number, frames: number): boolean {
    for (const p of this.byTable.values())
      if (p.gfn >= first && p.gfn < first + frames && !roleDirect(p.role)) return true;
    return false;
  }
  find(gfn: number, role: RoleWord): ShadowPage | undefined {
    for (const p of this.byFrame.get(gfn) ?? []) if (p.role === role) return p;
    return undefined;
  }
  /** A new, empty page; undefined if the host has no frame for it. */
  create(gfn: number, role: RoleWord): ShadowPage | undefined {
    const spt = this.kernel.frames.allocate();
    if (spt === undefined) return undefined;
    const page: ShadowPage = {
      gfn,
      role,
      spt,
      gfns: new Float64Array(ENTRIES),
      access: new Uint8Array(ENTRIES),
      parents: new Set(),
      roots: 0,
      writes: 0,
      unsync: false,
      invalid: false,
    };
    this.add(page);
    return page;
  }
  private add(page: ShadowPage): void {
    this.byTable.set(page.spt, page);
    if (page.unsync) this.outOfSync.add(page);
    if (page.invalid) return;
    const same = this.byFrame.get(page.gfn);
    if (same) same.add(page);
    else this.byFrame.set(page.gfn, new Set([page]));
  }

  // ---- entries

  entryAddress(page: ShadowPage, index: number): Hpa {
    return hpa(page.spt + BigInt(index * 8));
  }
  read(page: ShadowPage, index: number): bigint {
    return this.kernel.memory.read64(this.entryAddress(page, index));
  }
  /** Writes a leaf or an MMIO mark over the previous entry. */
  setLeaf(page: ShadowPage, index: number, value: bigint, gfn: number, access: number): TableAccess {
    const previous = this.read(page, index);
    this.unlink(page, index, previous);
    page.gfns[index] = gfn;
    page.access[index] = access;
    if (isShadowPresent(this.generation, value)) {
      const at = this.entryAddress(page, index);
      const same = this.rmap.get(gfn);
      if (same) same.add(at);
      else this.rmap.set(gfn, new Set([at]));
    }
    return this.write(page, index, value, previous);
  }
  /** link_shadow_page. */
  setTable(page: ShadowPage, index: number, child: ShadowPage): TableAccess {
    const previous = this.read(page, index);
    this.unlink(page, index, previous);
    child.parents.add(this.entryAddress(page, index));
    const large = roleDirect(child.role) && roleLevel(child.role) === 1;
    const below = !rolePaging(child.role) ? 'nonpaging' : large ? 'large' : 'table';
    return this.write(page, index, makeShadowTable(this.generation, child.spt, below), previous);
  }
  /** mmu_page_zap_pte: true if a translation or a table was dropped. */
  clear(page: ShadowPage, index: number, writes?: TableAccess[]): boolean {
    const previous = this.read(page, index);
    if (previous === 0n) return false;
    this.unlink(page, index, previous);
    const write = this.write(page, index, 0n, previous);
    writes?.push(write);
    return isShadowPresent(this.generation, previous);
  }
  private write(page: ShadowPage, index: number, value: bigint, previous: bigint): TableAccess {
    const address = this.entryAddress(page, index);
    this.kernel.memory.write64(address, value);
    return { table: 'shadow', level: roleLevel(page.role), index, address, value, previous };
  }
  /** Removes an entry that is about to change from the reverse map or its child's parents. */
  private unlink(page: ShadowPage, index: number, entry: bigint): void {
    if (!isShadowPresent(this.generation, entry)) return;
    const at = this.entryAddress(page, index);
    if (!isShadowLeaf(entry, roleLevel(page.role))) {
      this.byTable.get(shadowFrame(entry))?.parents.delete(at);
      return;
    }
    const gfn = page.gfns[index] as number;
    const same = this.rmap.get(gfn);
    same?.delete(at);
    if (same?.size === 0) this.rmap.delete(gfn);
  }

  // ---- synchronisation

  /** kvm_unsync_page, and kvm_unlink_unsync_page. */
  setUnsync(page: ShadowPage, unsync: boolean): void {
    if (page.unsync === unsync) return;
    page.unsync = unsync;
    if (unsync) this.outOfSync.add(page);
    else this.outOfSync.delete(page);
    this.countUnsync(unsync ? 1 : -1);
  }
  get unsyncCount(): number {
    return this.outOfSync.size;
  }
  /**
   * Pages out of sync that `top` is or leads to. Linux keeps bitmaps of such children in each page; there are few
   * here, so parents are followed upward.
   */
  unsyncBelow(top: ShadowPage): readonly ShadowPage[] {
    return [...this.outOfSync].filter((page) => this.leadsTo(top, page, new Set()));
  }
  private leadsTo(top: ShadowPage, page: ShadowPage, seen: Set<ShadowPage>): boolean {
    if (page === top) return true;
    if (seen.has(page)) return false;
    seen.add(page);
    for (const at of page.parents) if (this.leadsTo(top, this.place(at).page, seen)) return true;
    return false;
  }

  // ---- by guest frame

  /** The leaves that map a guest frame (gfn_to_rmap). */
  leavesOf(gfn: number): readonly { readonly page: ShadowPage; readonly index: number }[] {
    return [...(this.rmap.get(gfn) ?? [])].map((at) => this.place(at));
  }
  private place(at: Hpa): { readonly page: ShadowPage; readonly index: number } {
    const page = must(this.byTable.get(at & ~0xfffn), 'the reverse map names entries of shadow pages');
    return { page, index: Number((at & 0xfffn) >> 3n) };
  }
  /** First frames that leaves map, with the leaves: for ranges. */
  mappedFrames(): readonly number[] {
    return [...this.rmap.keys()];
  }
  /** rmap_write_protect: write-protects every leaf of this frame. True: one was writable. */
  writeProtect(gfn: number, writes?: TableAccess[]): boolean {
    let changed = false;
    for (const { page, index } of this.leavesOf(gfn)) {
      const entry = this.read(page, index);
      if (!isShadowWritable(entry)) continue;
      const write = this.write(page, index, entry & ~shadowWriteBits(this.generation), entry);
      writes?.push(write);
      changed = true;
    }
    return changed;
  }

  /** Clears the A flag, which hardware set when it used the leaf; true: it was set. */
  clearAccessed(page: ShadowPage, index: number): boolean {
    const entry = this.read(page, index);
    if ((entry & PTE_A) === 0n) return false;
    this.write(page, index, entry & ~PTE_A, entry);
    return true;
  }

  // ---- removal

  /** kvm_mmu_unlink_parents. */
  private unlinkParents(page: ShadowPage): void {
    for (const at of [...page.parents]) {
      const { page: parent, index } = this.place(at);
      this.clear(parent, index);
    }
  }
  /**
   * kvm_mmu_zap_page, kvm_mmu_prepare_zap_page: unlinks and empties the page and returns it to the host. A root is
   * still in use: it stays as an empty table or, `invalid`, until its last user releases it.
   */
  zap(page: ShadowPage, writes: TableAccess[] | undefined, invalid: boolean): void {
    this.unlinkParents(page);
    for (let i = 0; i < ENTRIES; i++) this.clear(page, i, writes);
    page.writes = 0;
    this.setUnsync(page, false);
    if (page.roots > 0 && !invalid) return;
    if (!page.invalid) this.forget(page);
    page.invalid = true;
    if (page.roots === 0) this.free(page);
  }
  /** A root loses one user. */
  release(page: ShadowPage): void {
    page.roots--;
    if (page.roots > 0 || !page.invalid) return;
    for (let i = 0; i < ENTRIES; i++) this.clear(page, i);
    this.free(page);
  }
  private forget(page: ShadowPage): void {
    const same = this.byFrame.get(page.gfn);
    same?.delete(page);
    if (same?.size === 0) this.byFrame.delete(page.gfn);
  }
  private free(page: ShadowPage): void {
    this.byTable.delete(page.spt);
    this.kernel.frames.free(page.spt);
  }

  save(): ShadowPagesState {
    return {
      pages: [...this.byTable.values()].map((p) => ({
        ...p,
        gfns: p.gfns.slice(),
        access: p.access.slice(),
        parents: [...p.parents],
      })),
      rmap: [...this.rmap].map(([gfn, at]) => [gfn, [...at]] as const),
    };
  }
  /** Host memory, which holds the entries, is restored by its owner. */
  restore(s: ShadowPagesState): void {
    this.byFrame.clear();
    this.byTable.clear();
    this.rmap.clear();
    this.outOfSync.clear();
    for (const p of s.pages)
      this.add({ ...p, gfns: p.gfns.slice(), access: p.access.slice(), parents: new Set(p.parents) });
    for (const [gfn, at] of s.rmap) this.rmap.set(gfn, new Set(at));
  }
}

export interface ShadowPagesState {
  readonly pages: readonly (Omit<ShadowPage, 'parents'> & { readonly parents: readonly Hpa[] })[];
  readonly rmap: readonly (readonly [number, readonly Hpa[]])[];
}
