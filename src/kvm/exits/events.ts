import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { CR0, RFLAGS } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { because } from '../../isa/reasons/index';
import { SLOT } from '../../hw/state/layout';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import { KICK_VECTOR } from '../kick';
import { REENTER, toUserspace, type Handled } from '../userspace-exit';
import { kvmEmulateInstruction } from '../emulator/emulate';
import type { Vcpu } from '../vcpu';
import { HYPERCALLS, isHypercall } from '../x86/hypercall';
import type { ExitHandler } from './handler';

/**
 * handle_ud: the emulator knows one instruction that this CPU lacks, the other vendor's hypercall (EmulateOnUD in its
 * decode tables). Any other #UD is the guest's.
 */
export const handleInvalidOpcode: ExitHandler = function* (v) {
  const { foreign } = HYPERCALLS[v.ops.name];
  const code = v.emulator.peek();
  if (code && isHypercall(code, foreign)) {
    yield v.step('handle_ud', `${foreign.name} was an invalid opcode: the emulator supports it`, cost('kvmHandler'));
    return yield* kvmEmulateInstruction(v);
  }
  v.injectUd(because('injected'));
  yield v.step('handle_ud', "an invalid opcode: #UD is the guest's", cost('kvmHandler'));
  return REENTER;
};
/** #AC, intercepted so that a guest cannot loop on it. `fn`: the handler's name in this extension. */
export function* alignmentCheck(v: Vcpu, errorCode: number, fn: string): Work<Handled> {
  const guests = bit(v.regs.cr0, CR0.AM) && bit(v.regs.rflags, RFLAGS.AC) && v.regs.cpl === 3;
  v.events.queueException({ vector: VECTOR.AC, errorCode, why: because('injected') });
  yield v.step(fn, `#AC is the guest's${guests ? '' : ' although it has alignment checks off'}`, cost('kvmHandler'));
  return REENTER;
}

/** Triple fault or shutdown. */
export const handleTripleFault: ExitHandler = function* (v) {
  yield v.step(
    v.ops.name === 'vmx' ? 'handle_triple_fault' : 'shutdown_interception',
    'the guest could not deliver #DF: shutdown',
    cost('kvmHandler'),
  );
  return toUserspace({ reason: 'KVM_EXIT_SHUTDOWN' });
};

/**
 * handle_dr, dr_interception: the first access gives the guest the real debug registers until the next exit; the
 * instruction runs again.
 */
export function* giveDebugRegisters(v: Vcpu, fn: string): Work<Handled> {
  v.ops.interceptDebugRegisters(false);
  v.debugRegistersLoaded = true;
  for (let i = 0; i < 4; i++) v.cpu.state.set(SLOT.DR0 + i, v.saved.get(SLOT.DR0 + i));
  yield v.step(fn, 'gives the guest its debug registers until the next exit', cost('kvmHandler'));
  return REENTER;
}

/**
 * handle_external_interrupt, intr_interception: the host's own interrupt handler has run; its effects are handled
 * before the next entry.
 */
export function* hostInterrupt(v: Vcpu, vector: number, fn: string): Work<Handled> {
  v.stats.add('irq_exits');
  yield v.step(
    fn,
    `the host's interrupt ${hex(vector)} arrived in the guest${vector === KICK_VECTOR ? ': a kick, which asks only for this exit' : ''}`,
    cost('kvmHandler'),
  );
  return REENTER;
}
