import { hex } from '../../base/hex';
import { vectorName } from '../../isa/exceptions';
import { INTR_TYPE } from '../../isa/vmcs-controls';
import { SEG, SLOT } from '../../hw/state/layout';
import { isSoftware, type Interruption } from '../../hw/state/interruption';
import { decodeTaskSwitch } from '../../hw/vmx/qualification';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import { REENTER, internalError, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import { kvmSetCr3 } from '../x86/control-registers';
import { queueNested } from './nested-fault';

/**
 * kvm_task_switch: hardware never switches tasks for a VMX guest, so KVM saves the outgoing task in its TSS and loads
 * the incoming one. `qualification`: the exit's; `event`: the one that went through a task gate; `length`: bytes of
 * the JMP, CALL or IRET. A fault, or the debug trap that the T flag of the new TSS requests, is queued as the
 * processor would raise it (Linux omits the trap).
 */
export function* kvmTaskSwitch(
  v: Vcpu,
  qualification: bigint,
  event: Interruption | undefined,
  length: number,
): Work<Handled> {
  const { selector, source } = decodeTaskSwitch(qualification);
  const byInstruction = event === undefined || isSoftware(event.type);
  const bytes = event === undefined ? length : (event.instructionLength ?? 0);
  if (byInstruction) v.emulated++;
  const old = v.regs.segment(SEG.TR).selector;
  const r = yield* v.emulator.taskSwitch({
    selector,
    source,
    returnRip: byInstruction ? BigInt.asUintN(32, v.regs.rip + BigInt(bytes)) : v.regs.rip,
    errorCode: event?.type === INTR_TYPE.HARD_EXCEPTION ? event.errorCode : undefined,
    ext: byInstruction ? 0 : 1,
  });
  switch (r.kind) {
    case 'done':
      v.cpu.chain.end();
      storeControlRegisters(v);
      yield v.step(
        'kvm_task_switch',
        `saves the task ${hex(old)} in its TSS and loads the task ${hex(selector)}: RIP ${hex(v.regs.rip)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    case 'fault':
      storeControlRegisters(v);
      queueNested(v, event, r.event);
      yield v.step(
        'kvm_task_switch',
        `the switch from task ${hex(old)} to ${hex(selector)} meets ${vectorName(r.event.vector)}`,
        cost('emulateInstruction'),
      );
      return REENTER;
    case 'intercepted':
    case 'failed':
      return internalError(
        'EMULATION',
        `KVM cannot switch tasks at RIP ${hex(v.regs.rip)}: ${r.kind === 'failed' ? r.why : 'an exit within the switch'}`,
      );
  }
}

/** CR0.TS is set by every switch; CR3 comes from a 32-bit TSS. */
function storeControlRegisters(v: Vcpu): void {
  const cr0 = v.scratch.get(SLOT.CR0);
  const cr3 = v.scratch.get(SLOT.CR3);
  if (cr3 !== v.regs.cr3) kvmSetCr3(v, cr3);
  if (cr0 !== v.regs.cr0) v.ops.setCr0(cr0);
}
