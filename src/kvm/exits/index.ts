import { VMX_EXIT, vmxExitName } from '../../isa/exits';
import { internalError } from '../userspace-exit';
import { handleCr } from './cr';
import { handleEptMisconfig, handleEptViolation } from './ept';
import {
  handleDr,
  handleExceptionNmi,
  handleExternalInterrupt,
  handleInterruptWindow,
  handleNmiWindow,
  handlePreemptionTimer,
  handleTripleFault,
} from './events';
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
import { handleIo } from './io';
import { handleInvlpg, handleInvpcid } from './invalidation';
import { handlePmlFull } from './pml';
import { handleTaskSwitch } from './task-switch';

/** kvm_vmx_exit_handlers, by basic exit reason. */
export const EXIT_HANDLERS: ReadonlyMap<number, ExitHandler> = new Map<number, ExitHandler>([
  [VMX_EXIT.EXCEPTION_NMI, handleExceptionNmi],
  [VMX_EXIT.EXTERNAL_INTERRUPT, handleExternalInterrupt],
  [VMX_EXIT.TRIPLE_FAULT, handleTripleFault],
  [VMX_EXIT.INTERRUPT_WINDOW, handleInterruptWindow],
  [VMX_EXIT.NMI_WINDOW, handleNmiWindow],
  [VMX_EXIT.PREEMPTION_TIMER, handlePreemptionTimer],
  [VMX_EXIT.TASK_SWITCH, handleTaskSwitch],
  [VMX_EXIT.CPUID, handleCpuid],
  [VMX_EXIT.HLT, handleHlt],
  [VMX_EXIT.INVLPG, handleInvlpg],
  [VMX_EXIT.INVPCID, handleInvpcid],
  [VMX_EXIT.INVD, handleNop],
  [VMX_EXIT.WBINVD, handleNop],
  [VMX_EXIT.MONITOR_INSTRUCTION, handleNop],
  [VMX_EXIT.MWAIT_INSTRUCTION, handleNop],
  [VMX_EXIT.PAUSE_INSTRUCTION, handleNop],
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
  [VMX_EXIT.CR_ACCESS, handleCr],
  [VMX_EXIT.DR_ACCESS, handleDr],
  [VMX_EXIT.IO_INSTRUCTION, handleIo],
  [VMX_EXIT.MSR_READ, handleRdmsr],
  [VMX_EXIT.MSR_WRITE, handleWrmsr],
  [VMX_EXIT.EPT_VIOLATION, handleEptViolation],
  [VMX_EXIT.EPT_MISCONFIG, handleEptMisconfig],
  [VMX_EXIT.PML_FULL, handlePmlFull],
]);

/** An exit that KVM asked for nowhere,. */
export const handleUnexpected = (reason: number): ExitHandler =>
  // eslint-disable-next-line require-yield
  function* () {
    return internalError('UNEXPECTED_EXIT_REASON', `KVM does not handle the exit ${vmxExitName(reason)}`);
  };

/** Exits that may interrupt the delivery of an event without losing it (vmx_handle_exit). */
export const MAY_INTERRUPT_DELIVERY: ReadonlySet<number> = new Set([
  VMX_EXIT.EXCEPTION_NMI,
  VMX_EXIT.EPT_VIOLATION,
  VMX_EXIT.EPT_MISCONFIG,
  VMX_EXIT.PML_FULL,
  VMX_EXIT.APIC_ACCESS,
  VMX_EXIT.TASK_SWITCH,
  VMX_EXIT.TRIPLE_FAULT,
]);
