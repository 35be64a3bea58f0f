import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { CR0, RFLAGS } from '../../isa/flags';
import { VECTOR, vectorName } from '../../isa/exceptions';
import { INTERRUPTIBILITY, INTR_INFO, INTR_TYPE, PROC } from '../../isa/vmcs-controls';
import { SLOT } from '../../hw/state/layout';
import { cost } from '../../host/costs';
import { KICK_VECTOR } from '../kick';
import { setControl } from '../events';
import { REENTER, internalError, toUserspace } from '../userspace-exit';
import type { ExitHandler } from './handler';
import { handlePageFault } from './page-fault';

const DR6_BS = 1n << 14n;
const DR6_BD = 1n << 13n;
const DR7_GD = 13;

/** handle_exception_nmi: the exceptions that KVM's exception bitmap has. */
export const handleExceptionNmi: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const { vmcs } = v;
  const info = Number(vmcs.read('VM_EXIT_INTR_INFO'));
  const vector = info & INTR_INFO.VECTOR_MASK;
  const type = (info >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK;
  switch (vector) {
    case VECTOR.UD:
      // handle_ud: the emulator knows nothing that this CPU lacks, so the exception is the guest's
      v.injectUd();
      yield v.step('handle_ud', "an invalid opcode: #UD is the guest's", cost('kvmHandler'));
      return REENTER;
    case VECTOR.DB: {
      const dr6 = vmcs.read('EXIT_QUALIFICATION');
      if (type === INTR_TYPE.PRIV_SW_EXCEPTION) v.skipEmulatedInstruction();
      // a fault-like #DB under blocking by STI or MOV SS with TF set: VM entry wants the single step pending (SDM vol. 3, 26.3.1.5)
      else if (
        bit(v.regs.rflags, RFLAGS.TF) &&
        (Number(vmcs.read('GUEST_INTERRUPTIBILITY_INFO')) & (INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS)) !== 0
      ) {
        vmcs.write('GUEST_PENDING_DBG_EXCEPTIONS', vmcs.read('GUEST_PENDING_DBG_EXCEPTIONS') | DR6_BS);
      }
      v.events.queueException({ vector, payload: dr6 });
      yield v.step('handle_exception_nmi', `#DB with ${hex(dr6)} for DR6 is the guest's`, cost('kvmHandler'));
      return REENTER;
    }
    case VECTOR.AC: {
      const guests = bit(v.regs.cr0, CR0.AM) && bit(v.regs.rflags, RFLAGS.AC) && v.regs.cpl === 3;
      const errorCode = Number(vmcs.read('VM_EXIT_INTR_ERROR_CODE'));
      v.events.queueException({ vector, errorCode });
      yield v.step(
        'vmx_guest_inject_ac',
        `#AC is the guest's${guests ? '' : ' although it has alignment checks off'}`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
    case VECTOR.PF:
      return yield* handlePageFault(vcpu);
    default:
      return internalError('SIMUL_EX', `an exit for ${vectorName(vector)}, which KVM does not intercept`);
  }
};

/** handle_triple_fault. */
export const handleTripleFault: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  yield v.step('handle_triple_fault', 'the guest could not deliver #DF: shutdown', cost('kvmHandler'));
  return toUserspace({ reason: 'KVM_EXIT_SHUTDOWN' });
};

/** handle_interrupt_window: the guest can take the interrupt now. */
export const handleInterruptWindow: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  setControl(v.regs, PROC.INTR_WINDOW_EXITING, false);
  v.stats.add('irq_window_exits');
  yield v.step('handle_interrupt_window', 'the guest can take interrupts', cost('kvmHandler'));
  return REENTER;
};

/** handle_dr: the first access gives the guest the real debug registers until the next exit, and runs again. */
export const handleDr: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  // the exit comes before general detect, which is then KVM's to raise
  if (bit(v.vmcs.read('GUEST_DR7'), DR7_GD)) {
    v.events.queueException({ vector: VECTOR.DB, payload: DR6_BD });
    yield v.step('handle_dr', 'DR7.GD makes the access a #DB with DR6.BD', cost('kvmHandler'));
    return REENTER;
  }
  setControl(v.regs, PROC.MOV_DR_EXITING, false);
  v.debugRegistersLoaded = true;
  for (let i = 0; i < 4; i++) v.cpu.state.set(SLOT.DR0 + i, v.regs.saved.get(SLOT.DR0 + i));
  yield v.step('handle_dr', 'gives the guest its debug registers until the next exit', cost('kvmHandler'));
  return REENTER;
};

/** handle_nmi_window: the guest can take the NMI now. */
export const handleNmiWindow: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  setControl(v.regs, PROC.NMI_WINDOW_EXITING, false);
  v.stats.add('nmi_window_exits');
  yield v.step('handle_nmi_window', 'the guest can take NMIs', cost('kvmHandler'));
  return REENTER;
};

/** handle_preemption_timer: the hardware counted down to the local APIC timer's expiry (kvm_lapic_expired_hv_timer). */
export const handlePreemptionTimer: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const fired = v.lapic.checkTimer();
  yield v.step(
    'handle_preemption_timer',
    fired ? "the local APIC's timer fires" : 'the deadline is further away than the hardware counts',
    cost('kvmHandler'),
  );
  return REENTER;
};

/** handle_external_interrupt: the host's own interrupt handler has run with the vector that the exit acknowledged; what it was for is seen before the next entry. */
export const handleExternalInterrupt: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const vector = Number(v.vmcs.read('VM_EXIT_INTR_INFO')) & INTR_INFO.VECTOR_MASK;
  v.stats.add('irq_exits');
  yield v.step(
    'handle_external_interrupt',
    `the host's interrupt ${hex(vector)} arrived in the guest${vector === KICK_VECTOR ? ': a kick, which asks nothing but this exit' : ''}`,
    cost('kvmHandler'),
  );
  return REENTER;
};
