import { gva } from '../../../base/address';
import { bits } from '../../../base/bits';
import type { Work } from '../../../trace/step';
import { eventOf } from '../../../hw/svm/events';
import { isSoftware } from '../../../hw/state/interruption';
import { taskSwitchQualification } from '../../../hw/vmx/qualification';
import { SVM_EXIT, SVM_EXIT_BASE } from '../../../isa/svm-exits';
import { EVENT } from '../../../isa/vmcb-fields';
import { accessControlRegister, controlRegisterAccess } from '../../exits/control-registers';
import { handleTripleFault } from '../../exits/events';
import {
  handleCpuid,
  handleGp,
  handleHlt,
  handleNop,
  handleRdmsr,
  handleVmcall,
  handleVmxInstruction,
  handleWrmsr,
  handleXsetbv,
} from '../../exits/instructions';
import { invalidatePage, invalidateProcessContext } from '../../exits/invalidation';
import { accessPort } from '../../exits/io';
import { switchTask } from '../../exits/task-switch';
import { internalError, type Handled } from '../../userspace-exit';
import { causeOfKind } from '../../exit-cause';
import type { ExitInfo } from '../../exit-info';
import { lostDelivery } from '../../exits/handler';
import { kvmEmulateInstruction } from '../../emulator/emulate';
import type { Vcpu } from '../../vcpu';
import type { SvmOps } from '../ops';
import { exceptionHandler, handleDrAccess, handleIntr, handleVintr } from './events';
import type { SvmExitHandler } from './handler';
import { handleNpf } from './npf';

/** io_interception. */
const handleIoio: SvmExitHandler = function* (v, { vmcb }, info) {
  vmcb.read('EXITINFO1');
  return yield* accessPort(v, causeOfKind(info, 'port'), 'io_interception', 'exit information');
};

/** msr_interception: EXITINFO1 distinguishes RDMSR from WRMSR. */
const handleMsr: SvmExitHandler = function* (v, { vmcb }, info) {
  vmcb.read('EXITINFO1');
  return yield* (causeOfKind(info, 'msr').write ? handleWrmsr : handleRdmsr)(v);
};

/** cr_interception with decode assists; CLTS and LMSW, which those leave open, are emulated. */
const handleCr: SvmExitHandler = function* (v, { vmcb }, info) {
  vmcb.read('EXITINFO1');
  const access = controlRegisterAccess(causeOfKind(info, 'control-register'));
  return access ? yield* accessControlRegister(v, access, 'cr_interception') : yield* kvmEmulateInstruction(v);
};

/**
 * task_switch_interception: EXITINFO2 gives the cause; a switch went through the IDT if an event was being delivered.
 */
const handleTaskSwitch: SvmExitHandler = function* (v, { vmcb, regs }) {
  const selector = vmcb.read32('EXITINFO1') & 0xffff;
  const how = vmcb.read('EXITINFO2');
  const vectoring = (vmcb.read('EXITINTINFO') & EVENT.VALID) !== 0n;
  const source = bits(how, 36, 36) === 1n ? 'iret' : bits(how, 38, 38) === 1n ? 'jmp' : vectoring ? 'idt' : 'call';
  const length = Number(BigInt.asUintN(32, vmcb.read('NRIP') - regs.rip));
  const event = source === 'idt' ? eventOf(vmcb.read('EXITINTINFO')) : undefined;
  const software = event && isSoftware(event.type) ? { ...event, instructionLength: length } : undefined;
  return yield* switchTask(v, taskSwitchQualification(selector, source), source === 'idt' ? 0 : length, software);
};

/** invlpga and the other SVM instructions; SVM is not offered to the guest. */
const handleInvlpg: SvmExitHandler = (v, { vmcb }) => invalidatePage(v, gva(vmcb.read('EXITINFO1')));
const handleInvpcid: SvmExitHandler = (v, { vmcb }) =>
  invalidateProcessContext(v, vmcb.read('EXITINFO2'), gva(vmcb.read('EXITINFO1')));

const HANDLERS: ReadonlyMap<number, SvmExitHandler> = new Map<number, SvmExitHandler>([
  [SVM_EXIT_BASE.CR_READ, handleCr],
  [SVM_EXIT_BASE.CR_READ + 3, handleCr],
  [SVM_EXIT_BASE.CR_READ + 4, handleCr],
  [SVM_EXIT_BASE.CR_READ + 8, handleCr],
  [SVM_EXIT_BASE.CR_WRITE, handleCr],
  [SVM_EXIT_BASE.CR_WRITE + 3, handleCr],
  [SVM_EXIT_BASE.CR_WRITE + 4, handleCr],
  [SVM_EXIT_BASE.CR_WRITE + 8, handleCr],
  ...Array.from({ length: 8 }, (_, i): [number, SvmExitHandler] => [SVM_EXIT_BASE.DR_READ + i, handleDrAccess]),
  ...Array.from({ length: 8 }, (_, i): [number, SvmExitHandler] => [SVM_EXIT_BASE.DR_WRITE + i, handleDrAccess]),
  ...Array.from({ length: 32 }, (_, i): [number, SvmExitHandler] => [SVM_EXIT_BASE.EXCP + i, exceptionHandler(i)]),
  [SVM_EXIT.INTR, handleIntr],
  [SVM_EXIT.VINTR, handleVintr],
  [SVM_EXIT.CR0_SEL_WRITE, handleCr],
  [SVM_EXIT.RDPMC, handleGp],
  [SVM_EXIT.CPUID, handleCpuid],
  [SVM_EXIT.INVD, handleNop],
  [SVM_EXIT.WBINVD, handleNop],
  [SVM_EXIT.PAUSE, handleNop],
  [SVM_EXIT.HLT, handleHlt],
  [SVM_EXIT.INVLPG, handleInvlpg],
  [SVM_EXIT.INVPCID, handleInvpcid],
  [SVM_EXIT.IOIO, handleIoio],
  [SVM_EXIT.MSR, handleMsr],
  [SVM_EXIT.TASK_SWITCH, handleTaskSwitch],
  [SVM_EXIT.SHUTDOWN, handleTripleFault],
  [SVM_EXIT.VMMCALL, handleVmcall],
  [SVM_EXIT.MONITOR, handleNop],
  [SVM_EXIT.MWAIT, handleNop],
  [SVM_EXIT.XSETBV, handleXsetbv],
  [SVM_EXIT.INVLPGA, handleVmxInstruction],
  [SVM_EXIT.VMRUN, handleVmxInstruction],
  [SVM_EXIT.VMLOAD, handleVmxInstruction],
  [SVM_EXIT.VMSAVE, handleVmxInstruction],
  [SVM_EXIT.STGI, handleVmxInstruction],
  [SVM_EXIT.CLGI, handleVmxInstruction],
  [SVM_EXIT.SKINIT, handleVmxInstruction],
  [SVM_EXIT.NPF, handleNpf],
]);

/** svm_invoke_exit_handler. An exit without a handler is one that KVM never enabled. */
export function* handleSvmExit(v: Vcpu, svm: SvmOps, info: ExitInfo): Work<Handled> {
  const lost = lostDelivery(v, info, mayInterruptDelivery(info.reason));
  if (lost) return lost;
  const handler = HANDLERS.get(info.reason);
  if (!handler) return internalError('UNEXPECTED_EXIT_REASON', `KVM does not handle the exit ${info.name}`);
  return yield* handler(v, svm, info);
}

/** Exits that may interrupt the delivery of an event without losing it (svm_handle_exit). */
const mayInterruptDelivery = (code: number): boolean =>
  code === SVM_EXIT.NPF ||
  code === SVM_EXIT.TASK_SWITCH ||
  code === SVM_EXIT.SHUTDOWN ||
  (code >= SVM_EXIT_BASE.EXCP && code < SVM_EXIT_BASE.EXCP + 32);
