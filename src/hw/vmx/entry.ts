import { EFER, RFLAGS } from '../../isa/flags';
import { VMX_EXIT } from '../../isa/exits';
import { VECTOR } from '../../isa/exceptions';
import {
  ACTIVITY_STATE,
  ENTRY_CTL,
  EXIT_CTL,
  INTERRUPTIBILITY,
  INTR_INFO,
  INTR_TYPE,
  PIN,
  PROC,
  SECONDARY,
} from '../../isa/vmcs-controls';
import { FIELD } from '../../isa/vmcs-fields';
import type { VmExit } from '../state/event';
import { SLOT } from '../state/layout';
import { unmetChecks, unmetGuestChecks } from './checks';
import { pdptesAreValid, readPdptes } from './checks-guest';
import { eventToInject, recordEntryFailure, recordExit, recordLongMode } from './exit';
import type { Interruption } from '../state/interruption';
import { loadMsrArea, storeMsrArea } from './msr-area';
import type { VmxState } from './operation';
import { isNmiExit } from './qualification';
import type { UnmetCheck } from './rule';
import { FAIL_INVALID } from './status';
import type { VmxFailure } from './status';
import { loadGuestState, loadHostState, saveGuestState, usesPdptes } from './transfer';
import type { Vmcs } from './vmcs';

/** VM entry's outcome. */
export type EntryResult =
  | {
      readonly ok: true;
      /** To be delivered through the guest's IDT before its first instruction. */
      readonly inject: Interruption | undefined;
      /** The pending-debug-exceptions field: #DB is pending before the first instruction when it is not zero. */
      readonly pendingDebug: bigint;
    }
  /** Nothing was entered: VMfailInvalid or VMfailValid, control passes to the next instruction. */
  | { readonly ok: false; readonly kind: 'vmfail'; readonly status: VmxFailure; readonly unmet: readonly UnmetCheck[] }
  /** Failed while checking or loading guest state (26.8): recorded as a VM exit, host state loaded. `abort`: see Vmx.exit. */
  | {
      readonly ok: false;
      readonly kind: 'entry-failure';
      readonly exit: VmExit;
      readonly unmet: readonly UnmetCheck[];
      readonly abort: number;
    };

/** VMX-abort indicators (27.7). */
export const VMX_ABORT = { SAVE_GUEST_MSR: 1, HOST_PDPTE: 2, LOAD_HOST_MSR: 4 } as const;

const RF = 1n << BigInt(RFLAGS.RF);

export function enterGuest(vmx: VmxState, launch: boolean): EntryResult {
  const { state, memory, controls, capabilities } = vmx;
  const vmcs = vmx.current;
  const vmfail = (status: VmxFailure, unmet: readonly UnmetCheck[] = []): EntryResult => ({
    ok: false,
    kind: 'vmfail',
    status,
    unmet,
  });
  if (!vmcs) return vmfail(FAIL_INVALID);
  if ((state.get32(SLOT.INTERRUPTIBILITY) & INTERRUPTIBILITY.MOV_SS) !== 0) return vmfail(vmx.fail(26));
  if (launch && vmcs.launched) return vmfail(vmx.fail(4));
  if (!launch && !vmcs.launched) return vmfail(vmx.fail(5));

  const rootLongMode = (state.get(SLOT.EFER) & (1n << BigInt(EFER.LMA))) !== 0n;
  const context = { capabilities, memory, rootLongMode };
  // controls and host state rarely change between entries, and the CPU's mode in root operation is the one a VM exit gave it
  const unmet =
    vmcs.controlsAndHostChecked && vmcs.launched ? unmetGuestChecks(vmcs, context) : unmetChecks(vmcs, context);
  if (unmet.some((u) => u.area === 'control')) return vmfail(vmx.fail(7), unmet);
  if (unmet.some((u) => u.area === 'host')) return vmfail(vmx.fail(8), unmet);
  controls.decode(vmcs);
  const first = unmet[0];
  if (first) return failEntry(vmx, vmcs, VMX_EXIT.INVALID_STATE, BigInt(first.qualification), unmet);

  const fromMemory = (controls.secondary & SECONDARY.ENABLE_EPT) === 0 && (controls.entry & ENTRY_CTL.IA32E_MODE) === 0;
  const pdptes = fromMemory ? readPdptes(memory, vmcs.read(FIELD.GUEST_CR3)) : undefined;
  vmx.nmiBlockedInRoot = (state.get32(SLOT.INTERRUPTIBILITY) & INTERRUPTIBILITY.NMI) !== 0;
  loadGuestState(state, vmcs, controls, pdptes);

  const count = vmcs.read32(FIELD.VM_ENTRY_MSR_LOAD_COUNT);
  const bad = loadMsrArea(
    memory,
    vmx.ports.msr,
    vmcs.read(FIELD.VM_ENTRY_MSR_LOAD_ADDR),
    count,
    capabilities.maxMsrListEntries,
  );
  if (bad !== 0) return failEntry(vmx, vmcs, VMX_EXIT.MSR_LOAD_FAIL, BigInt(bad), []);

  vmcs.noteChecked();
  if (launch) vmcs.launched = true;
  vmx.operation = 'non-root';
  state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) + controls.tscOffset));
  vmx.enteredAt = state.get(SLOT.RETIRED);
  const timer = (controls.pin & PIN.PREEMPTION_TIMER) !== 0;
  vmx.timerDeadline = timer ? vmx.enteredAt + vmcs.read(FIELD.VMX_PREEMPTION_TIMER_VALUE) : undefined;
  const inject = takeInjection(vmx, eventToInject(vmcs));
  return { ok: true, inject, pendingDebug: vmcs.read(FIELD.GUEST_PENDING_DBG_EXCEPTIONS) };
}

/** What injection does to the state before the event is delivered (26.6.1, 26.7.1): no blocking by STI or MOV SS, the CPU active, an NMI blocking NMIs. */
function takeInjection(vmx: VmxState, event: Interruption | undefined): Interruption | undefined {
  const other = event?.type === INTR_TYPE.OTHER_EVENT;
  // with "monitor trap flag" an injected event leaves the exit pending before the first instruction of its handler (25.5.2)
  vmx.trapPending = other || (event !== undefined && (vmx.controls.proc & PROC.MONITOR_TRAP_FLAG) !== 0);
  if (!event || other) return undefined;
  const { state } = vmx;
  let blocking = state.get32(SLOT.INTERRUPTIBILITY) & ~(INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS);
  if (event.type === INTR_TYPE.NMI_INTR) blocking |= INTERRUPTIBILITY.NMI;
  state.set32(SLOT.INTERRUPTIBILITY, blocking);
  state.set32(SLOT.ACTIVITY, ACTIVITY_STATE.ACTIVE);
  return event;
}

/** A VM-entry failure during or after loading guest state (26.8): like a VM exit, but nothing of the guest is saved. */
function failEntry(
  vmx: VmxState,
  vmcs: Vmcs,
  reason: typeof VMX_EXIT.INVALID_STATE | typeof VMX_EXIT.MSR_LOAD_FAIL,
  qualification: bigint,
  unmet: readonly UnmetCheck[],
): EntryResult {
  const blocked = vmx.state.get32(SLOT.INTERRUPTIBILITY) & INTERRUPTIBILITY.NMI;
  const exit = recordEntryFailure(vmcs, reason, qualification);
  const nmi = reason === VMX_EXIT.INVALID_STATE ? blocked !== 0 : vmx.nmiBlockedInRoot;
  return { ok: false, kind: 'entry-failure', exit, unmet, abort: enterRoot(vmx, vmcs, nmi) };
}

export function leaveGuest(
  vmx: VmxState,
  exit: VmExit,
  vectoring: Interruption | undefined,
  pendingDebug: bigint,
): number {
  const { state, memory, controls, capabilities } = vmx;
  const vmcs = vmx.current as Vmcs;
  state.set(SLOT.TSC_OFFSET, BigInt.asUintN(64, state.get(SLOT.TSC_OFFSET) - controls.tscOffset));
  saveGuestState(state, vmcs, controls, rflagsImage(vmx, exit, vectoring), pendingDebug);
  if (vmx.timerDeadline !== undefined && (controls.exit & EXIT_CTL.SAVE_VMX_PREEMPTION_TIMER) !== 0) {
    const left = vmx.timerDeadline - state.get(SLOT.RETIRED);
    vmcs.write(FIELD.VMX_PREEMPTION_TIMER_VALUE, left > 0n ? left : 0n);
  }
  recordExit(vmcs, exit, vectoring);
  recordLongMode(vmcs, (state.get(SLOT.EFER) & (1n << BigInt(EFER.LMA))) !== 0n);

  const virtualNmis = (controls.pin & PIN.VIRTUAL_NMIS) !== 0;
  const blocked = (state.get32(SLOT.INTERRUPTIBILITY) & INTERRUPTIBILITY.NMI) !== 0;
  const nmi = isNmiExit(exit) || (virtualNmis ? vmx.nmiBlockedInRoot : blocked);
  const count = vmcs.read32(FIELD.VM_EXIT_MSR_STORE_COUNT);
  const bad = storeMsrArea(
    memory,
    vmx.ports.msr,
    vmcs.read(FIELD.VM_EXIT_MSR_STORE_ADDR),
    count,
    capabilities.maxMsrListEntries,
  );
  if (bad !== 0) return abort(vmx, vmcs, VMX_ABORT.SAVE_GUEST_MSR);
  return enterRoot(vmx, vmcs, nmi);
}

/**
 * RFLAGS as saved (27.3.3): an event that would be delivered through the IDT leaves the image it would have pushed, where faults have RF set.
 * #DB is left as it is: whether it is a fault is said by its own handler's DR6.
 */
function rflagsImage(vmx: VmxState, exit: VmExit, vectoring: Interruption | undefined): bigint {
  const rflags = vmx.state.rflags;
  const fault = (type: number, vector: number): boolean =>
    type === INTR_TYPE.HARD_EXCEPTION && vector !== VECTOR.DB && vector !== VECTOR.DF;
  if (vectoring) return fault(vectoring.type, vectoring.vector) ? rflags | RF : rflags;
  const info = exit.interruptionInfo ?? 0;
  if (exit.reason !== VMX_EXIT.EXCEPTION_NMI || (info & INTR_INFO.VALID) === 0) return rflags;
  return fault((info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK, info & INTR_INFO.VECTOR_MASK)
    ? rflags | RF
    : rflags;
}

/** The second half of a VM exit (27.5, 27.6): host state, then the host's MSRs. */
function enterRoot(vmx: VmxState, vmcs: Vmcs, nmiBlocked: boolean): number {
  const { state, memory, controls, capabilities } = vmx;
  vmx.operation = 'root';
  vmx.timerDeadline = undefined;
  vmx.trapPending = false;
  loadHostState(state, vmcs, controls);
  state.set32(SLOT.INTERRUPTIBILITY, nmiBlocked ? INTERRUPTIBILITY.NMI : 0);
  if (usesPdptes(state.get(SLOT.CR0), state.get(SLOT.CR4), state.get(SLOT.EFER))) {
    const pdptes = readPdptes(memory, state.get(SLOT.CR3));
    if (!pdptes || !pdptesAreValid(pdptes, capabilities.processor.physicalBits))
      return abort(vmx, vmcs, VMX_ABORT.HOST_PDPTE);
    pdptes.forEach((p, i) => state.set(SLOT.PDPTE0 + i, p));
  }
  const count = vmcs.read32(FIELD.VM_EXIT_MSR_LOAD_COUNT);
  const bad = loadMsrArea(
    memory,
    vmx.ports.msr,
    vmcs.read(FIELD.VM_EXIT_MSR_LOAD_ADDR),
    count,
    capabilities.maxMsrListEntries,
  );
  return bad === 0 ? 0 : abort(vmx, vmcs, VMX_ABORT.LOAD_HOST_MSR);
}

/** VMX abort: the indicator in the VMCS region, and the CPU in shutdown. */
function abort(vmx: VmxState, vmcs: Vmcs, indicator: number): number {
  vmcs.abortIndicator = indicator;
  vmx.operation = 'root';
  vmx.state.set32(SLOT.ACTIVITY, ACTIVITY_STATE.SHUTDOWN);
  return indicator;
}
