/** KVM_RUN in parts (vcpu_enter_guest, arch/x86/kvm/x86.c), so the caller can stop between any two of them. */
import { invariant } from '../base/assert';
import { hex } from '../base/hex';
import type { CpuStop } from '../hw/cpu/cpu';
import { SLOT } from '../hw/state/layout';
import type { Interruption } from '../hw/state/interruption';
import { cost } from '../trace/costs';
import { step, type Work } from '../trace/step';
import { completeEmulation } from './emulator/emulate';
import { deliverByHand } from './emulator/deliver';
import { emulateInvalidState } from './emulator/invalid-state';
import type { ExitInfo } from './exit-info';
import { completeFastPio } from './exits/io';
import { reloadRoot } from './mmu/shadow/load-root';
import { REENTER, toUserspace, type Handled } from './userspace-exit';
import type { Vcpu } from './vcpu';
import { emulationRequired } from './vmx/guest-state';

const RSP = 4;
/** L0 G0 … L3 G3. */
const DR7_ENABLES = 0xffn;

/**
 * The outcome of running the VCPU. 'emulated': hardware cannot run the guest in its current state; the work emulates
 * some instructions.
 */
export type VcpuStop = CpuStop | { readonly kind: 'emulated'; readonly work: Work<Handled> };

/**
 * vcpu_enter_guest up to VMRESUME or VMRUN: carries out flushes, injects pending events, loads what hardware does
 * not, and enters. 'reenter' means entered.
 */
export function* enter(v: Vcpu): Work<Handled> {
  const { ops, cpu } = v;
  for (;;) {
    if (v.events.tripleFault) return toUserspace({ reason: 'KVM_EXIT_SHUTDOWN' });
    if (v.apf) yield* v.apf.beforeEntry();
    const unloaded = yield* reloadRoot(v);
    if (unloaded) return unloaded;
    yield* flush(v);
    yield* ops.beforeEntry();
    v.lapic.checkTimer();
    const injected = yield* v.events.inject(ops, v.lapic);
    if (injected === 'interrupt') v.stats.add('irq_injections');
    if (injected === 'nmi') v.stats.add('nmi_injections');
    if (!requested(v)) break;
    // kvm_vcpu_exit_request: requests that the host made meanwhile come first
    v.events.cancelInjection(ops);
    yield v.step(
      'kvm_vcpu_exit_request',
      'the host has taken entries away meanwhile: the VM entry is prepared again',
      cost('kvmHandler'),
    );
  }
  v.emulating = emulationRequired(v);
  if (v.emulating) {
    // no VM entry will inject it
    const event = ops.takeInjected();
    return event ? yield* emulatedDelivery(v, event) : REENTER;
  }
  const guest = v.saved;
  const s = cpu.state;
  for (let i = 0; i < 16; i++) if (i !== RSP) s.set(i, guest.get(i));
  s.set(SLOT.CR8, guest.get(SLOT.CR8));
  s.set(SLOT.LAST_EVENT, guest.get(SLOT.LAST_EVENT));
  // KVM_DEBUGREG_BP_ENABLED: breakpoints that the guest has set must trigger
  if ((guest.get(SLOT.DR7) & DR7_ENABLES) !== 0n) for (let i = SLOT.DR0; i < SLOT.DR0 + 4; i++) s.set(i, guest.get(i));
  // kvm_load_guest_fpu and kvm_load_guest_xsave_state
  s.fp.set(guest.fp);
  s.set(SLOT.XCR0, guest.get(SLOT.XCR0));
  const entered = ops.enter();
  if (!entered.ok) {
    const { why, hardwareReason, unmet } = entered;
    yield v.step(`${ops.name}_vcpu_enter_exit`, `the VM entry fails: ${why}`, cost('vmEntry'));
    return toUserspace({ reason: 'KVM_EXIT_FAIL_ENTRY', hardwareReason, why, unmet });
  }
  v.inGuest = true;
  yield step('cpu', 'non-root', entered.how, `enters the guest at RIP ${hex(s.rip)}`, cost('vmEntry'), {
    vmcs: ops.takeAccesses(),
  });
  return REENTER;
}

/** Runs the guest. After an exit, KVM's exit code has stored the guest's general registers in the save area. */
export function runGuest(v: Vcpu, budget: number): VcpuStop {
  if (v.emulating) {
    const linear = v.emulatedBreakpoint();
    if (linear === undefined) return { kind: 'emulated', work: emulateInvalidState(v, budget) };
    v.passed = { linear, instructions: v.instructions };
    return { kind: 'breakpoint', linear };
  }
  invariant(v.inGuest, 'a VCPU runs after it was entered');
  const stop = v.ops.runGuest(budget);
  if (stop.kind === 'exit') saveGuest(v);
  return stop;
}

/** kvm_x86_ops.handle_exit. */
export function* handleExit(v: Vcpu, info: ExitInfo): Work<Handled> {
  const { ops } = v;
  v.stats.add('exits');
  yield* ops.atExit(info);
  v.events.complete(ops);
  yield* ops.tellExit(info);
  return yield* v.handleExit(info);
}

/** complete_userspace_io: the next KVM_RUN after an exit that needed data. */
export function* complete(v: Vcpu, value: bigint): Work<Handled> {
  const waiting = v.waiting;
  v.waiting = undefined;
  if (!waiting) return REENTER;
  switch (waiting.kind) {
    case 'fast-pio':
      return yield* completeFastPio(v, waiting.input, waiting.size, value);
    case 'emulation':
      return yield* completeEmulation(v, value);
  }
}

function* emulatedDelivery(v: Vcpu, event: Interruption): Work<Handled> {
  const handled = yield* deliverByHand(v, event);
  const { events, regs, lapic } = v;
  // the resulting event is due now
  return handled.kind === 'reenter' && (events.tripleFault || events.runnable(regs, lapic)) ? yield* enter(v) : handled;
}

/**
 * kvm_request_pending, for requests that may arrive while an entry is prepared: a flush, or an obsolete root
 * (KVM_REQ_MMU_FREE_OBSOLETE_ROOTS).
 */
function requested(v: Vcpu): boolean {
  const { vm } = v;
  if (v.flushCurrent !== undefined || v.flushGuest || v.flushesSeen !== vm.flushCount) return true;
  return vm.shadow !== undefined && !emulationRequired(v) && !vm.shadow.usable;
}

/** KVM_REQ_TLB_FLUSH and KVM_REQ_TLB_FLUSH_GUEST. */
function* flush(v: Vcpu): Work<void> {
  const { vm } = v;
  if (v.flushCurrent !== undefined || v.flushesSeen !== vm.flushCount) {
    const why = v.flushCurrent ?? `entries of the ${vm.shadow ? 'shadow tables' : vm.mmu.format.name} were taken away`;
    v.flushesSeen = vm.flushCount;
    v.flushCurrent = undefined;
    v.stats.add('tlb_flush');
    yield* v.ops.flushCurrent(why);
  }
  if (v.flushGuest) {
    v.flushGuest = false;
    v.stats.add('tlb_flush');
    yield* v.ops.flushGuest();
  }
}

/**
 * The assembly after VMRESUME and VMRUN (vmenter.S) and the end of vmx_vcpu_run and svm_vcpu_run: saves what hardware
 * does not.
 */
function saveGuest(v: Vcpu): void {
  const { cpu } = v;
  v.inGuest = false;
  const guest = v.saved;
  const s = cpu.state;
  for (let i = 0; i < 16; i++) if (i !== RSP) guest.set(i, s.get(i));
  guest.fp.set(s.fp);
  guest.set(SLOT.LAST_EVENT, s.get(SLOT.LAST_EVENT));
  v.ops.saveGuest();
  if (v.debugRegistersLoaded) {
    // sync_dirty_debug_regs: the guest owned them since its MOV DR
    for (let i = 0; i < 4; i++) guest.set(SLOT.DR0 + i, s.get(SLOT.DR0 + i));
    guest.set(SLOT.DR7, v.regs.dr7);
    v.debugRegistersLoaded = false;
    v.ops.interceptDebugRegisters(true);
    v.ops.takeAccesses();
  }
}
