import { VMX_EXIT } from '../../../isa/exits';
import { gva } from '../../../base/address';
import { hex } from '../../../base/hex';
import type { Work } from '../../../trace/step';
import { accessControlRegister, controlRegisterAccess } from '../../exits/control-registers';
import { INSTRUCTION_HANDLERS } from '../../exits/emulated';
import { handleTripleFault } from '../../exits/events';
import { handleNop } from '../../exits/instructions';
import { accessPort } from '../../exits/io';
import { invalidatePage, invalidateProcessContext } from '../../exits/invalidation';
import { invpcidOperands } from '../../exits/invpcid-operands';
import { switchTask } from '../../exits/task-switch';
import { REENTER, internalError, type Handled } from '../../userspace-exit';
import { causeOfKind } from '../../exit-cause';
import type { ExitInfo } from '../../exit-info';
import { lostDelivery } from '../../exits/handler';
import type { Vcpu } from '../../vcpu';
import type { VmxOps } from '../ops';
import { handleEptMisconfig, handleEptViolation } from './ept';
import {
  handleDr,
  handleExceptionNmi,
  handleExternalInterrupt,
  handleInterruptWindow,
  handleNmiWindow,
  handlePreemptionTimer,
} from './events';
import type { VmxExitHandler } from './handler';
import { handlePmlFull } from './pml';

const handleCr: VmxExitHandler = function* (v, { vmcs }, info) {
  vmcs.read('EXIT_QUALIFICATION');
  const access = controlRegisterAccess(causeOfKind(info, 'control-register'));
  if (!access)
    return internalError('UNEXPECTED_EXIT_REASON', `CR_ACCESS with qualification ${hex(info.qualification)}`);
  return yield* accessControlRegister(v, access, 'handle_cr');
};

const handleIo: VmxExitHandler = function* (v, { vmcs }, info) {
  vmcs.read('EXIT_QUALIFICATION');
  return yield* accessPort(v, causeOfKind(info, 'port'), 'handle_io', 'exit qualification');
};

const handleInvlpg: VmxExitHandler = function* (v, { vmcs }) {
  return yield* invalidatePage(v, gva(vmcs.read('EXIT_QUALIFICATION')));
};

const handleTaskSwitch: VmxExitHandler = function* (v, { vmcs }) {
  const q = vmcs.read('EXIT_QUALIFICATION');
  return yield* switchTask(v, q, Number(vmcs.read('VM_EXIT_INSTRUCTION_LEN')));
};

const handleInvpcid: VmxExitHandler = function* (v, { vmcs }) {
  const info = Number(vmcs.read('VMX_INSTRUCTION_INFO'));
  const operands = invpcidOperands(v, info, vmcs.read('EXIT_QUALIFICATION'));
  return operands ? yield* invalidateProcessContext(v, operands.type, operands.descriptor) : REENTER;
};

/** kvm_vmx_exit_handlers, by basic exit reason. */
const EXIT_HANDLERS: ReadonlyMap<number, VmxExitHandler> = new Map<number, VmxExitHandler>([
  ...INSTRUCTION_HANDLERS,
  [VMX_EXIT.EXCEPTION_NMI, handleExceptionNmi],
  [VMX_EXIT.EXTERNAL_INTERRUPT, handleExternalInterrupt],
  [VMX_EXIT.TRIPLE_FAULT, handleTripleFault],
  [VMX_EXIT.INTERRUPT_WINDOW, handleInterruptWindow],
  [VMX_EXIT.NMI_WINDOW, handleNmiWindow],
  [VMX_EXIT.PREEMPTION_TIMER, handlePreemptionTimer],
  [VMX_EXIT.TASK_SWITCH, handleTaskSwitch],
  [VMX_EXIT.INVLPG, handleInvlpg],
  [VMX_EXIT.INVPCID, handleInvpcid],
  [VMX_EXIT.PAUSE_INSTRUCTION, handleNop],
  [VMX_EXIT.CR_ACCESS, handleCr],
  [VMX_EXIT.DR_ACCESS, handleDr],
  [VMX_EXIT.IO_INSTRUCTION, handleIo],
  [VMX_EXIT.EPT_VIOLATION, handleEptViolation],
  [VMX_EXIT.EPT_MISCONFIG, handleEptMisconfig],
  [VMX_EXIT.PML_FULL, handlePmlFull],
]);

/** vmx_handle_exit's call of the handler. An exit without a handler is one that KVM never enabled. */
export function* handleVmxExit(v: Vcpu, vmx: VmxOps, info: ExitInfo): Work<Handled> {
  const lost = lostDelivery(v, info, MAY_INTERRUPT_DELIVERY.has(info.reason));
  if (lost) return lost;
  const handler = EXIT_HANDLERS.get(info.reason);
  if (!handler) return internalError('UNEXPECTED_EXIT_REASON', `KVM does not handle the exit ${info.name}`);
  return yield* handler(v, vmx, info);
}

/** Exits that may interrupt the delivery of an event without losing it (vmx_handle_exit). */
const MAY_INTERRUPT_DELIVERY: ReadonlySet<number> = new Set([
  VMX_EXIT.EXCEPTION_NMI,
  VMX_EXIT.EPT_VIOLATION,
  VMX_EXIT.EPT_MISCONFIG,
  VMX_EXIT.PML_FULL,
  VMX_EXIT.APIC_ACCESS,
  VMX_EXIT.TASK_SWITCH,
  VMX_EXIT.TRIPLE_FAULT,
]);
