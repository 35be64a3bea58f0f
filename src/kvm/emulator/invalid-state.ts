import type { Work } from '../../trace/step';
import { REENTER, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import { emulationRequired } from '../vmx/guest-state';
import { kvmEmulateInstruction } from './emulate';

/** Instructions emulated before control returns to the caller that drives the VCPU. */
const MOST_INSTRUCTIONS = 32;

/**
 * handle_invalid_guest_state: instruction by instruction while the state stays invalid, nothing waits to be injected,
 * and no breakpoint is hit.
 */
export function* emulateInvalidState(v: Vcpu, budget: number): Work<Handled> {
  for (let n = 0; n < Math.min(budget, MOST_INSTRUCTIONS); n++) {
    if (n > 0 && v.emulatedBreakpoint() !== undefined) break;
    // the guest's clock counts retired instructions, and hardware does not retire these
    v.passTimeUntil(v.hostTsc + 1n);
    const handled = yield* kvmEmulateInstruction(v);
    if (handled.kind === 'userspace') return handled;
    if (v.events.tripleFault || !emulationRequired(v) || v.events.runnable(v.regs, v.lapic)) break;
  }
  return REENTER;
}
