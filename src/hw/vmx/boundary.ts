import { RFLAGS } from '../../isa/flags';
import { VMX_EXIT } from '../../isa/exits';
import { ACTIVITY_STATE, EXIT_CTL, INTERRUPTIBILITY, PIN, PROC } from '../../isa/vmcs-controls';
import type { VmExit } from '../state/event';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import type { VmxControls } from './controls';
import { externalInterruptExit, nmiExit } from './qualification';

/** PENDING_INTR holds PENDING | vector while a physical interrupt waits. */
const PENDING = 0x100;

/** Whether these controls can cause exits between instructions on their own, so that every boundary must be looked at. A physical interrupt or NMI that becomes pending is another reason to look. */
export const watchesBoundaries = (c: VmxControls): boolean =>
  (c.pin & PIN.PREEMPTION_TIMER) !== 0 ||
  (c.proc & (PROC.INTR_WINDOW_EXITING | PROC.NMI_WINDOW_EXITING | PROC.MONITOR_TRAP_FLAG)) !== 0;

/**
 * The VM exit that happens between two instructions, by priority (SDM vol. 3, 25.2, 25.5.1, 25.5.2): monitor trap flag, preemption timer, NMI window,
 * NMI, interrupt window, external interrupt. The event that exits is taken: an acknowledged interrupt or an NMI is no longer pending.
 *
 * @param trapPending a monitor-trap-flag exit is pending
 * @param timerExpired the VMX-preemption timer has counted down to zero
 */
export function boundaryExit(
  state: CpuState,
  c: VmxControls,
  trapPending: boolean,
  timerExpired: boolean,
): VmExit | undefined {
  const activity = state.get32(SLOT.ACTIVITY);
  const blocking = state.get32(SLOT.INTERRUPTIBILITY);
  const waits = activity === ACTIVITY_STATE.WAIT_SIPI;
  if (trapPending && activity === ACTIVITY_STATE.ACTIVE) return plain(VMX_EXIT.MONITOR_TRAP_FLAG);
  if (timerExpired && !waits) return plain(VMX_EXIT.PREEMPTION_TIMER);
  if (waits) return undefined;

  const movSs = (blocking & INTERRUPTIBILITY.MOV_SS) !== 0;
  const nmiBlocked = (blocking & INTERRUPTIBILITY.NMI) !== 0;
  if ((c.proc & PROC.NMI_WINDOW_EXITING) !== 0 && !nmiBlocked && !movSs) return plain(VMX_EXIT.NMI_WINDOW);
  // with virtual NMIs the blocking bit is about those; physical ones are not blocked in non-root operation
  const physicalBlocked = movSs || ((c.pin & PIN.VIRTUAL_NMIS) === 0 && nmiBlocked);
  if ((c.pin & PIN.NMI_EXITING) !== 0 && state.get32(SLOT.PENDING_NMI) !== 0 && !physicalBlocked) {
    state.set32(SLOT.PENDING_NMI, 0);
    return nmiExit();
  }
  if (activity === ACTIVITY_STATE.SHUTDOWN) return undefined;

  const shadow = (blocking & (INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS)) !== 0;
  if ((c.proc & PROC.INTR_WINDOW_EXITING) !== 0 && state.systemFlag(RFLAGS.IF) && !shadow)
    return plain(VMX_EXIT.INTERRUPT_WINDOW);
  const pending = state.get32(SLOT.PENDING_INTR);
  if ((c.pin & PIN.EXT_INTR) !== 0 && (pending & PENDING) !== 0 && !movSs) {
    const acknowledge = (c.exit & EXIT_CTL.ACK_INTR_ON_EXIT) !== 0;
    if (acknowledge) state.set32(SLOT.PENDING_INTR, 0);
    return externalInterruptExit(acknowledge ? pending & 0xff : undefined);
  }
  return undefined;
}

const plain = (reason: number): VmExit => ({ reason, qualification: 0n });
