import type { Gpa, Hpa } from '../../../base/address';
import { gpa, gva } from '../../../base/address';
import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { kvmStep, type Step, type TableAccess } from '../../../trace/step';
import { PTE_G } from '../../../isa/entries';
import { gpteAccess, type GuestPaging, type GuestWalk } from './guest-walk';
import type { ShadowMmu } from './mmu';
import type { ShadowPage } from './pages';
import { ACC, roleAccess, roleDirect, rootLevel, usesPaeRoot, type Role } from './role';
import {
  isShadowLeaf,
  isShadowPresent,
  makeClassicLeaf,
  makeClassicMmio,
  makeModernLeaf,
  makeModernMmio,
  sameClassicEntry,
  shadowFrame,
  type GuestBits,
} from './spte';

/** What a fault needs from the shadow tables. */
export interface FillRequest {
  readonly linear: bigint;
  readonly walk: GuestWalk;
  readonly write: boolean;
  /** ACC_* of the translation, after KVM's changes (a clean entry, CR0.WP = 0). */
  readonly access: number;
  readonly target:
    | { readonly kind: 'page'; readonly frame: Hpa; readonly level: number; readonly hostWritable: boolean }
    | { readonly kind: 'mmio'; readonly generation: number };
}

export type FillResult =
  /** 'tracing': the frame is a shadowed guest table, so the entry stays read-only and the write is emulated. */
  { readonly kind: 'fixed' | 'spurious' | 'tracing'; readonly steps: readonly Step[] } | { readonly kind: 'no-memory' };

/**
 * FNAME(fetch): from the root down, a shadow page for every table of the guest's walk and direct pages below a large
 * guest page, then the leaf. Runs in one piece: no host event intervenes.
 */
export function fill(mmu: ShadowMmu, paging: GuestPaging, request: FillRequest): FillResult {
  const { linear, walk, target } = request;
  const goal = target.kind === 'page' ? target.level : 1;
  let page = topPage(mmu, paging, linear);
  if (!page) return { kind: 'no-memory' };
  const steps: Step[] = [fetchStep(mmu, paging, linear)];
  for (let level: number = rootLevel(paging.controls.format); ; level--) {
    const index = Number((linear >> BigInt(12 + 9 * (level - 1))) & 0x1ffn);
    page.writes = 0;
    if (level === goal) return { ...leaf(mmu, page, index, level, request, steps), steps };
    const { gfn, role } = childOf(paging, walk, linear, level, request.access);
    const entry = mmu.pages.read(page, index);
    const there: ShadowPage | undefined =
      isShadowPresent(mmu.generation, entry) && !isShadowLeaf(entry, level)
        ? mmu.pages.ofTable(shadowFrame(entry))
        : undefined;
    if (
      there &&
      there.gfn === gfn &&
      roleDirect(there.role) === role.direct &&
      roleAccess(there.role) === role.access
    ) {
      page = there;
      continue;
    }
    // validate_direct_spte: the guest now has another table there; drop_large_spte: a large page being split
    if (isShadowPresent(mmu.generation, entry)) mmu.flush();
    const writes: TableAccess[] = [];
    const known = mmu.pages.count;
    const child = mmu.get(paging, gfn, role, writes);
    if (!child) return { kind: 'no-memory' };
    writes.push(mmu.pages.setTable(page, index, child));
    const made = mmu.pages.count > known;
    const of = role.direct
      ? `frames from GPA ${hex(gfn * 4096)} on, one to one`
      : `the guest's table at GPA ${hex(gfn * 4096)}${writes.length > 1 ? ', which is read-only to the guest from now on' : ''}`;
    steps.push(
      kvmStep(
        made ? 'kvm_mmu_alloc_shadow_page' : 'kvm_mmu_find_shadow_page',
        `${made ? 'a new shadow page' : 'the shadow page'} of level ${level - 1} at HPA ${hex(child.spt)}: ${of}`,
        (made ? cost('eptTable') : cost('kvmHandler')) + cost('eptEntry', writes.length),
        {
          addresses: { gpa: gpa(BigInt(gfn) << 12n), hpa: child.spt },
          writes,
        },
      ),
    );
    page = child;
  }
}

/**
 * FNAME(fetch), or direct_map and nonpaging_map for a guest without paging: the depth that the shadow tables already
 * reach.
 */
function fetchStep(mmu: ShadowMmu, paging: GuestPaging, linear: bigint): Step {
  const reads = mmu.read(linear);
  const last = reads.at(-1);
  const found =
    last === undefined || last.value === 0n
      ? `there is no entry of level ${last?.level ?? rootLevel(paging.controls.format)} yet`
      : `they have an entry of level ${last.level}`;
  const direct = mmu.generation === 'classic' ? 'nonpaging_map' : 'direct_map';
  return kvmStep(
    paging.controls.format === 'none' ? direct : 'fetch',
    `walks the shadow tables for GVA ${hex(linear)}: ${found}`,
    cost('kvmHandler') + cost('tableReference', reads.length),
    { addresses: { gva: gva(linear) }, reads },
  );
}

/** The page that the root register, or the PDPTE for `linear`, points to. */
function topPage(mmu: ShadowMmu, paging: GuestPaging, linear: bigint): ShadowPage | undefined {
  const root = mmu.loaded;
  if (!root) return undefined;
  if (!usesPaeRoot(paging.controls.format)) return root.pages[0];
  const [pdpte] = mmu.read(linear);
  return pdpte && mmu.pages.ofTable(shadowFrame(pdpte.value));
}

/** The guest table that the shadow page below an entry of `level` shadows. */
function childOf(
  paging: GuestPaging,
  walk: GuestWalk,
  linear: bigint,
  level: number,
  access: number,
): { readonly gfn: number; readonly role: Role } {
  const { format } = paging.controls;
  if (format === 'none' || level <= walk.leafLevel) {
    const frames = 512 ** (level - 1);
    const gfn = Number(walk.out.address >> 12n);
    return { gfn: gfn - (gfn % frames), role: { level: level - 1, direct: true, quadrant: 0, access } };
  }
  const top = walk.out.depth + walk.leafLevel - 1;
  const quadrant = format === '32bit' ? Number((linear >> 21n) & 1n) : 0;
  return {
    gfn: Number((walk.out.addresses[top - (level - 1)] as bigint) >> 12n),
    role: { level: level - 1, direct: false, quadrant, access: inherited(paging, walk, top, level) },
  };
}

/** pt_access: the rights of the guest's entries down to `level`, ANDed. */
function inherited(paging: GuestPaging, walk: GuestWalk, top: number, level: number): number {
  let access: number = ACC.ALL;
  for (let i = 0; i <= top - level; i++) access &= gpteAccess(paging.controls, walk.out.entries[i] as bigint);
  return access;
}

/** mmu_set_spte. */
function leaf(
  mmu: ShadowMmu,
  page: ShadowPage,
  index: number,
  level: number,
  r: FillRequest,
  steps: Step[],
): { readonly kind: 'fixed' | 'spurious' | 'tracing' } {
  const { target, access } = r;
  const frames = 512 ** (level - 1);
  const exact = Number(r.walk.out.address >> 12n);
  const gfn = exact - (exact % frames);
  const address: Gpa = gpa(BigInt(gfn) << 12n);
  const old = mmu.pages.read(page, index);
  const guest = guestBits(mmu, r);
  if (target.kind === 'mmio') {
    const mark = guest ? makeClassicMmio(address, access, guest) : makeModernMmio(address, target.generation, access);
    if (mark === old) return { kind: 'spurious' };
    const write = mmu.pages.setLeaf(page, index, mark, gfn, access);
    const how =
      mmu.generation === 'classic'
        ? 'not present, with a mark'
        : `present with a reserved bit, so that the error code says so; memslot generation ${target.generation}`;
    steps.push(
      kvmStep(guest ? setName(r) : 'mark_mmio_spte', `marks GPA ${hex(address)} as MMIO: ${how}`, cost('eptEntry'), {
        addresses: { gpa: address },
        writes: [write],
      }),
    );
    return { kind: 'fixed' };
  }
  const unsync = mmu.pages.unsyncCount;
  const wanted = target.hostWritable && (access & ACC.WRITE) !== 0;
  const shadowed = wanted && !mmu.mayWrite(gfn);
  const granted = wanted && !shadowed ? access : access & ~ACC.WRITE;
  const classic = mmu.generation === 'classic';
  const spte = classic
    ? makeClassicLeaf(target.frame, granted, guest)
    : makeModernLeaf(target.frame, level, { granted, hostWritable: target.hostWritable });
  const tracing = r.write && shadowed;
  if (spte === old || (classic && !guest && sameClassicEntry(spte, old)))
    return { kind: tracing ? 'tracing' : 'spurious' };
  const write = mmu.pages.setLeaf(page, index, spte, gfn, access);
  // removed rights, or another frame, may still be cached
  if (isShadowPresent(mmu.generation, old)) mmu.flush();
  const rights = `${(granted & ACC.USER) !== 0 ? 'user' : 'supervisor'}, ${(granted & ACC.WRITE) !== 0 ? 'writable' : 'read-only'}${(granted & ACC.EXEC) === 0 ? ', no execute' : ''}`;
  const because =
    (access & ACC.WRITE) !== 0 && (granted & ACC.WRITE) === 0
      ? shadowed
        ? ': the frame is a guest page table'
        : ': the host allows no more'
      : mmu.pages.unsyncCount > unsync
        ? ': the frame is a last-level page table of the guest’s, whose shadow is out of sync from now on'
        : '';
  steps.push(
    kvmStep(
      classic ? (guest ? leafName(r, old) : 'nonpaging_map') : 'mmu_set_spte',
      `maps GVA ${hex(r.linear & ~((1n << BigInt(12 + 9 * (level - 1))) - 1n))} (GPA ${hex(address)}) to HPA ${hex(target.frame)}, ${rights}${because}`,
      cost('eptEntry'),
      {
        addresses: { gpa: address, hpa: target.frame },
        writes: [write],
      },
    ),
  );
  return { kind: tracing ? 'tracing' : 'fixed' };
}

/**
 * The guest bits that a classic entry copies; undefined if there is nothing to copy. A write has set D
 * (fix_write_pf).
 */
function guestBits(mmu: ShadowMmu, { walk, write }: FillRequest): GuestBits | undefined {
  const { out } = walk;
  if (mmu.generation !== 'classic' || mmu.loaded?.paging.controls.format === 'none') return undefined;
  const access = (out.writable ? ACC.WRITE : 0) | (out.user ? ACC.USER : 0);
  const entry = out.entries[out.depth - 1] ?? 0n;
  return { access, dirty: out.dirty || write, global: (entry & PTE_G) !== 0n };
}

const setName = ({ walk }: FillRequest): string => (walk.leafLevel > 1 ? 'set_pde' : 'set_pte');
/**
 * 2.6.20: set_pte makes a new entry, or set_pde below a large page; fix_write_pf makes an entry writable that was
 * read-only while the guest's was clean, fix_read_pf undoes the effect of CR0.WP = 0.
 */
function leafName(r: FillRequest, old: bigint): string {
  if (!isShadowPresent('classic', old)) return setName(r);
  return r.write ? 'fix_write_pf' : 'fix_read_pf';
}
