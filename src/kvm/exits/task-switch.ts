import { INTERRUPTIBILITY, INTR_TYPE } from '../../isa/vmcs-controls';
import { decodeTaskSwitch } from '../../hw/vmx/qualification';
import type { Interruption } from '../../hw/state/interruption';
import { kvmTaskSwitch } from '../emulator/task-switch';
import { setBlocking } from '../events';
import type { Work } from '../../trace/step';
import type { Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/**
 * handle_task_switch, task_switch_interception: `qualification` in VMX format, `length`: bytes of the instruction;
 * `software`: INT n, which SVM has not requeued. An event that went through a task gate is not reinjected, since the
 * switch itself delivers it.
 */
export function* switchTask(v: Vcpu, qualification: bigint, length: number, software?: Interruption): Work<Handled> {
  const { source } = decodeTaskSwitch(qualification);
  const event = source === 'idt' ? (software ?? v.events.takeVectoring()) : undefined;
  setBlocking(v.regs, INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS, false);
  if (event?.type === INTR_TYPE.NMI_INTR) setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  if (source === 'iret') setBlocking(v.regs, INTERRUPTIBILITY.NMI, false);
  return yield* kvmTaskSwitch(v, qualification, event, length);
}
