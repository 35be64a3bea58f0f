import { gva } from '../../../base/address';
import { bit } from '../../../base/bits';
import { hex } from '../../../base/hex';
import { RFLAGS } from '../../../isa/flags';
import { VECTOR, vectorName } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { INTERRUPTIBILITY, INTR_INFO, INTR_TYPE, PROC } from '../../../isa/vmcs-controls';
import { cost } from '../../../trace/costs';
import { causeOfKind } from '../../exit-cause';
import { setBlocking } from '../../events';
import { alignmentCheck, giveDebugRegisters, handleInvalidOpcode, hostInterrupt } from '../../exits/events';
import { handlePageFault } from '../../exits/page-fault';
import { REENTER, internalError } from '../../userspace-exit';
import type { VmxExitHandler } from './handler';

const DR6_BS = 1n << 14n;
const DR6_BD = 1n << 13n;
const DR7_GD = 13;

/** handle_exception_nmi: the exceptions in KVM's exception bitmap. */
export const handleExceptionNmi: VmxExitHandler = function* (v, vmx, info) {
  const { vmcs } = vmx;
  const event = Number(vmcs.read('VM_EXIT_INTR_INFO'));
  const { vector, errorCode } = causeOfKind(info, 'exception');
  const type = (event >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK;
  // vmx_recover_nmi_blocking: the IRET that faulted runs again, and NMIs are blocked until it completes
  if ((event & INTR_INFO.UNBLOCK_NMI) !== 0 && vector !== VECTOR.DF && !v.events.vectoring)
    setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  switch (vector) {
    case VECTOR.UD:
      return yield* handleInvalidOpcode(v);
    case VECTOR.DB: {
      const dr6 = vmcs.read('EXIT_QUALIFICATION');
      if (type === INTR_TYPE.PRIV_SW_EXCEPTION) v.skipEmulatedInstruction();
      // a fault-like #DB under blocking by STI or MOV SS with TF set: VM entry requires a pending single step
      // (SDM vol. 3, 26.3.1.5)
      else if (
        bit(v.regs.rflags, RFLAGS.TF) &&
        (Number(vmcs.read('GUEST_INTERRUPTIBILITY_INFO')) & (INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS)) !== 0
      ) {
        vmcs.write('GUEST_PENDING_DBG_EXCEPTIONS', vmcs.read('GUEST_PENDING_DBG_EXCEPTIONS') | DR6_BS);
      }
      v.events.queueException({ vector, payload: dr6, why: because('injected') });
      yield v.step('handle_exception_nmi', `#DB with ${hex(dr6)} for DR6 is the guest's`, cost('kvmHandler'));
      return REENTER;
    }
    case VECTOR.AC:
      vmcs.read('VM_EXIT_INTR_ERROR_CODE');
      return yield* alignmentCheck(v, errorCode, 'vmx_guest_inject_ac');
    case VECTOR.PF:
      // the address is the exit qualification
      vmcs.read('EXIT_QUALIFICATION');
      vmcs.read('VM_EXIT_INTR_ERROR_CODE');
      return yield* handlePageFault(v, gva(info.qualification), errorCode);
    default:
      return internalError('SIMUL_EX', `an exit for ${vectorName(vector)}, which KVM does not intercept`);
  }
};

/** handle_interrupt_window: the guest can take the interrupt now. */
export const handleInterruptWindow: VmxExitHandler = function* (v, vmx) {
  vmx.setControl(PROC.INTR_WINDOW_EXITING, false);
  v.stats.add('irq_window_exits');
  yield v.step('handle_interrupt_window', 'the guest can take interrupts', cost('kvmHandler'));
  return REENTER;
};

/**
 * handle_dr: the first access gives the guest the real debug registers until the next exit; the instruction runs
 * again.
 */
export const handleDr: VmxExitHandler = function* (v) {
  // the exit precedes general detect, so KVM must raise it
  if (bit(v.regs.dr7, DR7_GD)) {
    v.events.queueException({ vector: VECTOR.DB, payload: DR6_BD, why: because('debug', DR6_BD, 0n, 0n, 0n, 0n) });
    yield v.step('handle_dr', 'DR7.GD makes the access a #DB with DR6.BD', cost('kvmHandler'));
    return REENTER;
  }
  return yield* giveDebugRegisters(v, 'handle_dr');
};

/** handle_nmi_window: the guest can take the NMI now. */
export const handleNmiWindow: VmxExitHandler = function* (v, vmx) {
  vmx.setControl(PROC.NMI_WINDOW_EXITING, false);
  v.stats.add('nmi_window_exits');
  yield v.step('handle_nmi_window', 'the guest can take NMIs', cost('kvmHandler'));
  return REENTER;
};

/** handle_preemption_timer: the hardware counted down to the local APIC timer's expiry (kvm_lapic_expired_hv_timer). */
export const handlePreemptionTimer: VmxExitHandler = function* (v) {
  const fired = v.lapic.checkTimer();
  yield v.step(
    'handle_preemption_timer',
    fired ? "the local APIC's timer fires" : 'the deadline is further away than the hardware timer counts',
    cost('kvmHandler'),
  );
  return REENTER;
};

/** handle_external_interrupt: the exit acknowledged the vector. */
export const handleExternalInterrupt: VmxExitHandler = function* (v, { vmcs }, info) {
  vmcs.read('VM_EXIT_INTR_INFO');
  return yield* hostInterrupt(v, causeOfKind(info, 'interrupt').vector, 'handle_external_interrupt');
};
