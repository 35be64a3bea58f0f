import type { Gpa, Gva, Hpa } from '../../../base/address';
import { gpa } from '../../../base/address';
import { bit } from '../../../base/bits';
import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { describeHostFault } from '../../../host/fault';
import { levelSize } from '../../../host/page-tables';
import { kvmStep, type Work } from '../../../trace/step';
import type { Access } from '../../../hw/paging/access';
import { pageFaultErrorCode, pageFaultReason } from '../../../hw/paging/page-fault';
import { PF_ERROR } from '../../../isa/exceptions';
import { type FaultReason } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import { kvmFaultinPfn } from '../fault';
import { slotMaxLevel, type Memslot } from '../../memslots';
import type { AsyncPf } from '../../async-pf';
import type { Vcpu } from '../../vcpu';
import { fill } from './fill';
import { guestPaging, probeGuest, walkGuest, type GuestPaging, type GuestWalk } from './guest-walk';
import type { ShadowMmu } from './mmu';
import { ACC, rootLevel } from './role';
import { shadowMmioCurrent, shadowMmioGpa } from './spte';

/**
 * Why hardware raised a #PF while the guest ran on shadow tables:
 *
 *   guest     the guest's own tables deny the access: its own fault, which is injected
 *   mmio      no slot, or a write to a read-only one
 *   tracing   a write to a guest page table, which is write-protected so that KVM sees it
 *   dirty     the first write through an entry whose guest D flag was clear: the shadow entry was read-only until now
 *   hidden    the guest's tables allow the access, but the shadow tables have not caught up
 */
export const SHADOW_FAULTS = ['guest', 'mmio', 'tracing', 'dirty', 'hidden'] as const;
export type ShadowFaultKind = (typeof SHADOW_FAULTS)[number];

/** Tables that a fault may need, with five levels. */
const MOST_LEVELS = 5;
const on = (code: number, n: number): boolean => ((code >> n) & 1) === 1;

/** The access described by a #PF's error code. Hardware does not distinguish implicit supervisor accesses. */
const accessOf = (code: number): Access => ({
  op: on(code, PF_ERROR.I) ? 'fetch' : on(code, PF_ERROR.W) ? 'write' : 'read',
  user: on(code, PF_ERROR.U),
  implicit: false,
});
/** RFLAGS.AC suspends SMAP at CPL 0 to 2; a supervisor access at CPL 3 is an implicit one. */
const acOf = (v: Vcpu): boolean => bit(v.regs.rflags, RFLAGS.AC) && v.regs.cpl < 3;

/** Classifies the fault without changing anything. Must be called before it is handled. */
export function classifyShadowFault(
  v: Vcpu,
  mmu: ShadowMmu,
  linear: bigint,
  code: number,
): { readonly kind: ShadowFaultKind; readonly gpa: Gpa | undefined } {
  const paging = guestPaging(v.regs, v.model);
  const access = accessOf(code);
  const mark = currentMark(v, mmu, linear, code);
  if (mark !== undefined) return { kind: 'mmio', gpa: mark };
  const walk = probeGuest(v.vm, paging, linear, access, acOf(v));
  if (!walk.ok)
    return {
      kind: walk.out.reason === 'no-memory' && v.vm.memslots.find(gpa(walk.out.failedAddress)) ? 'hidden' : 'guest',
      gpa: undefined,
    };
  const address = gpa(walk.out.address);
  const slot = v.vm.memslots.find(address);
  const write = access.op === 'write';
  if (!slot || (write && slot.readonly)) return { kind: 'mmio', gpa: address };
  if (write && mmu.pages.ofFrame(Number(address >> 12n)).some((p) => !p.unsync))
    return { kind: 'tracing', gpa: address };
  if (write && on(code, PF_ERROR.P) && !walk.out.dirty) return { kind: 'dirty', gpa: address };
  return { kind: 'hidden', gpa: address };
}

export type ShadowResult =
  | { readonly kind: 'fixed' | 'spurious' | 'retry' }
  | { readonly kind: 'emulate'; readonly gpa: Gpa; readonly tracing: boolean; readonly mmio: boolean }
  /** The guest's own fault, with its error code and reason. */
  | { readonly kind: 'guest'; readonly errorCode: number; readonly why: FaultReason }
  | { readonly kind: 'error'; readonly gpa: Gpa; readonly why: string };

/** The GPA of an MMIO mark that the access hit, if it belongs to the current memslots. */
function currentMark(v: Vcpu, mmu: ShadowMmu, linear: bigint, code: number): Gpa | undefined {
  if (!mmu.strategy.marksHaveGeneration || !on(code, PF_ERROR.RSVD)) return undefined;
  const spte = mmu.mmioSpte(linear);
  return spte !== undefined && shadowMmioCurrent(spte, v.vm.memslots.generation)
    ? shadowMmioGpa(spte, linear)
    : undefined;
}

/**
 * handle_mmio_page_fault: the reserved bit alone shows that no lookup is needed, unless the memslots have changed
 * since.
 */
function* handleMmioPageFault(v: Vcpu, mmu: ShadowMmu, linear: Gva, code: number): Work<Gpa | undefined> {
  const mark = currentMark(v, mmu, linear, code);
  const what =
    mark !== undefined
      ? `the entry for GVA ${hex(linear)} is marked MMIO and of the current memslots: GPA ${hex(mark)}`
      : `the entry for GVA ${hex(linear)} is not an MMIO entry of memslot generation ${v.vm.memslots.generation}: the fault is taken as if there were none`;
  yield kvmStep('handle_mmio_page_fault', what, cost('kvmHandler'), {
    addresses: mark === undefined ? { gva: linear } : { gva: linear, gpa: mark },
    reads: mmu.read(linear),
  });
  return mark;
}

/**
 * paging_page_fault in 2.6.20, FNAME(page_fault) since; nonpaging_page_fault for a guest without paging. `async`:
 * absent when mapping ahead (prefetch).
 */
export function* shadowPageFault(
  v: Vcpu,
  mmu: ShadowMmu,
  linear: Gva,
  code: number,
  async?: AsyncPf,
): Work<ShadowResult> {
  const { vm } = v;
  if (mmu.strategy.marksHaveGeneration && on(code, PF_ERROR.RSVD)) {
    const mark = yield* handleMmioPageFault(v, mmu, linear, code);
    if (mark !== undefined) return { kind: 'emulate', gpa: mark, tracing: false, mmio: true };
  }
  const paging = guestPaging(v.regs, v.model);
  const access = accessOf(code);
  const write = access.op === 'write';
  // mmu_topup_memory_caches: shadow pages are kernel memory, allocated before anything is looked up
  yield* vm.space.makeRoom(MOST_LEVELS);
  const seen = vm.notifier.count;
  const generation = vm.memslots.generation;
  const { steps, ...walk } = walkGuest(vm, paging, linear, access, acOf(v));
  yield* steps;
  const denied = (reason = walk.out.reason): ShadowResult => ({
    kind: 'guest',
    errorCode: pageFaultErrorCode(reason === 'no-memory' ? 'not-present' : reason, access, paging.controls),
    why: pageFaultReason(walk.out, access, paging.controls, reason),
  });
  if (!walk.ok) return denied();
  const address = gpa(walk.out.address);
  const pfn = yield* kvmFaultinPfn(
    vm,
    { gpa: address, write, exec: access.op === 'fetch', present: on(code, PF_ERROR.P), rsvd: false },
    async && { setup: (page, at) => async.setup(page, at, write, { linear, code, cr3: paging.cr3 }) },
  );
  if (pfn.kind === 'async') return { kind: 'retry' };
  if (pfn.kind === 'error') return { kind: 'error', gpa: address, why: describeHostFault(pfn.error) };
  // kvm_mmu_set_mmio_spte_mask: with 52 physical address bits no bit of an entry is reserved, so MMIO cannot be
  // marked
  if (pfn.kind === 'noslot' && mmu.strategy.marksHaveGeneration && v.cpu.model.physicalBits >= 52)
    return { kind: 'emulate', gpa: address, tracing: false, mmio: true };
  // nonpaging_page_fault in 2.6.20 marks nothing
  if (pfn.kind === 'noslot' && mmu.generation === 'classic' && paging.controls.format === 'none')
    return { kind: 'emulate', gpa: address, tracing: false, mmio: true };
  if (pfn.kind === 'readonly-slot') return { kind: 'emulate', gpa: address, tracing: false, mmio: true };
  const rights = effectiveAccess(paging, walk, access);
  if (rights === 'emulate') return { kind: 'emulate', gpa: address, tracing: false, mmio: false };
  const stale = vm.notifier.retry(seen) || vm.memslots.generation !== generation || !mmu.usable;
  if (stale) {
    yield kvmStep(
      'is_page_fault_stale',
      `the host changed its mapping for GPA ${hex(address)} meanwhile: the fault is taken again`,
      cost('kvmHandler'),
      { addresses: { gpa: address } },
    );
    return { kind: 'retry' };
  }
  mmu.recycle();
  const level = pfn.kind === 'page' ? goalLevel(mmu, paging, walk, address, pfn.slot, pfn.page.pageShift) : 1;
  const target =
    pfn.kind === 'page'
      ? ({
          kind: 'page',
          level,
          frame: (pfn.page.frame & ~(levelSize(level) - 1n)) as Hpa,
          hostWritable: pfn.writable,
        } as const)
      : ({ kind: 'mmio', generation } as const);
  const filled = fill(mmu, paging, { linear, walk, write, access: rights, target });
  if (filled.kind === 'no-memory')
    return {
      kind: 'error',
      gpa: address,
      why: `host memory is exhausted: no frame for a shadow page for GVA ${hex(linear)}`,
    };
  if (pfn.kind === 'page' && pfn.writable && (rights & ACC.WRITE) !== 0) vm.markPageDirty(address);
  yield* filled.steps;
  if (pfn.kind === 'noslot') return { kind: 'emulate', gpa: address, tracing: false, mmio: true };
  if (filled.kind === 'tracing') return { kind: 'emulate', gpa: address, tracing: true, mmio: false };
  // the entry is as wanted, yet the access was denied: an implicit access to a user page, for which RFLAGS.AC does
  // not suspend SMAP
  if (filled.kind === 'spurious' && on(code, PF_ERROR.P) && !access.user && paging.controls.smap && walk.out.user)
    return denied('smap');
  return { kind: filled.kind };
}

/**
 * ACC_* for the leaf. A clean guest entry is not writable until a write sets its D flag (protect_clean_gpte). With
 * guest CR0.WP clear, which hardware never has here, a supervisor's write to a read-only user page gets a writable
 * supervisor entry, not executable under SMEP; a user's next access changes it back. With SMAP such an entry would
 * let the supervisor read what it may not, so only that write is emulated.
 */
function effectiveAccess(paging: GuestPaging, walk: GuestWalk, access: Access): number | 'emulate' {
  const { controls: c } = paging;
  if (c.format === 'none') return ACC.ALL;
  const { out } = walk;
  const write = access.op === 'write';
  let rights =
    (out.writable ? ACC.WRITE : 0) | (out.user ? ACC.USER : 0) | (out.executeDisable && c.nxe ? 0 : ACC.EXEC);
  if (!out.dirty && !write) rights &= ~ACC.WRITE;
  if (write && !access.user && !c.wp && (rights & ACC.WRITE) === 0) {
    rights |= ACC.WRITE;
    if ((rights & ACC.USER) !== 0) {
      if (c.smap) return 'emulate';
      rights &= ~ACC.USER;
      if (c.smep) rights &= ~ACC.EXEC;
    }
  }
  return rights;
}

/** kvm_mmu_hugepage_adjust; 2.6.20 has 4 KiB entries only. A large entry must not cover a write-protected table. */
function goalLevel(
  mmu: ShadowMmu,
  paging: GuestPaging,
  walk: GuestWalk,
  address: Gpa,
  slot: Memslot,
  hostShift: number,
): 1 | 2 | 3 {
  if (!mmu.strategy.largePages || slot.logDirty) return 1;
  const { format } = paging.controls;
  const most = Math.min(
    format === 'none' ? 2 : walk.leafLevel,
    rootLevel(format) === 2 ? 2 : 3,
    slotMaxLevel(slot, address),
    (hostShift - 12) / 9 + 1,
  );
  for (let level = most; level > 1; level--) {
    const frames = 512 ** (level - 1);
    const gfn = Number(address >> 12n);
    if (!mmu.pages.anyShadowed(gfn - (gfn % frames), frames)) return level as 2 | 3;
  }
  return 1;
}
