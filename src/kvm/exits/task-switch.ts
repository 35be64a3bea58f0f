import { INTERRUPTIBILITY, INTR_TYPE } from '../../isa/vmcs-controls';
import { decodeTaskSwitch } from '../../hw/vmx/qualification';
import { kvmTaskSwitch } from '../emulator/task-switch';
import { setBlocking } from '../events';
import type { ExitHandler } from './handler';

/** handle_task_switch: what went through a task gate is not injected again, since the switch itself delivers it. */
export const handleTaskSwitch: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const qualification = v.exitQualification;
  const { source } = decodeTaskSwitch(qualification);
  const event = source === 'idt' ? v.events.takeVectoring() : undefined;
  const length = v.emulatedExit?.instructionLength ?? Number(v.vmcs.read('VM_EXIT_INSTRUCTION_LEN'));
  setBlocking(v.regs, INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS, false);
  if (event?.type === INTR_TYPE.NMI_INTR) setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  if (source === 'iret') setBlocking(v.regs, INTERRUPTIBILITY.NMI, false);
  return yield* kvmTaskSwitch(vcpu, qualification, event, length);
};
