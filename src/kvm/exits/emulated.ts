import { gva } from '../../base/address';
import { VMX_EXIT, vmxExitName } from '../../isa/exits';
import type { VmExit } from '../../hw/state/event';
import type { Work } from '../../trace/step';
import { REENTER, internalError, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import { controlRegisterCause } from '../exit-cause';
import { accessControlRegister, controlRegisterAccess } from './control-registers';
import type { ExitHandler } from './handler';
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
} from './instructions';
import { invalidatePage, invalidateProcessContext } from './invalidation';
import { invpcidOperands } from './invpcid-operands';
import { switchTask } from './task-switch';

/**
 * The VMX exit reasons of instructions that KVM emulates, with their handlers: chosen by reason alone, wherever the
 * instruction was met.
 */
export const INSTRUCTION_HANDLERS: ReadonlyMap<number, ExitHandler> = new Map<number, ExitHandler>([
  [VMX_EXIT.CPUID, handleCpuid],
  [VMX_EXIT.HLT, handleHlt],
  [VMX_EXIT.INVD, handleNop],
  [VMX_EXIT.WBINVD, handleNop],
  [VMX_EXIT.MONITOR_INSTRUCTION, handleNop],
  [VMX_EXIT.MWAIT_INSTRUCTION, handleNop],
  [VMX_EXIT.RDPMC, handleGp],
  [VMX_EXIT.XSETBV, handleXsetbv],
  [VMX_EXIT.VMCALL, handleVmcall],
  [VMX_EXIT.VMCLEAR, handleVmxInstruction],
  [VMX_EXIT.VMLAUNCH, handleVmxInstruction],
  [VMX_EXIT.VMPTRLD, handleVmxInstruction],
  [VMX_EXIT.VMPTRST, handleVmxInstruction],
  [VMX_EXIT.VMREAD, handleVmxInstruction],
  [VMX_EXIT.VMRESUME, handleVmxInstruction],
  [VMX_EXIT.VMWRITE, handleVmxInstruction],
  [VMX_EXIT.VMOFF, handleVmxInstruction],
  [VMX_EXIT.VMON, handleVmxInstruction],
  [VMX_EXIT.INVEPT, handleVmxInstruction],
  [VMX_EXIT.INVVPID, handleVmxInstruction],
  [VMX_EXIT.VMFUNC, handleVmxInstruction],
  [VMX_EXIT.MSR_READ, handleRdmsr],
  [VMX_EXIT.MSR_WRITE, handleWrmsr],
]);

/**
 * A sensitive instruction met by the emulator, which reports the corresponding VMX exit under either extension; the
 * single handler of that exit performs it.
 */
export function* handleEmulated(v: Vcpu, exit: VmExit): Work<Handled> {
  if (exit.reason === VMX_EXIT.INVLPG) return yield* invalidatePage(v, gva(exit.qualification));
  if (exit.reason === VMX_EXIT.TASK_SWITCH)
    return yield* switchTask(v, exit.qualification, exit.instructionLength ?? 0);
  if (exit.reason === VMX_EXIT.INVPCID) {
    const operands = invpcidOperands(v, exit.instructionInfo ?? 0, exit.qualification);
    return operands ? yield* invalidateProcessContext(v, operands.type, operands.descriptor) : REENTER;
  }
  const access =
    exit.reason === VMX_EXIT.CR_ACCESS ? controlRegisterAccess(controlRegisterCause(exit.qualification)) : undefined;
  if (access) return yield* accessControlRegister(v, access, 'emulator_set_cr');
  const handler = INSTRUCTION_HANDLERS.get(exit.reason);
  if (!handler)
    return internalError('UNEXPECTED_EXIT_REASON', `KVM cannot emulate what exits as ${vmxExitName(exit.reason)}`);
  return yield* handler(v);
}
