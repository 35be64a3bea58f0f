import { VMX_EXIT } from '../../isa/exits';
import type { VmExit } from '../../hw/state/event';
import type { InterceptContext, Intercepts } from '../../hw/state/intercepts';
import { SLOT } from '../../hw/state/layout';
import { crQualification, taskSwitchQualification } from '../../hw/vmx/qualification';

/** Instructions that access only the emulator's own registers. */
const UNWATCHED: ReadonlySet<number> = new Set([
  VMX_EXIT.RDTSC,
  VMX_EXIT.RDTSCP,
  VMX_EXIT.PAUSE_INSTRUCTION,
  VMX_EXIT.RDRAND,
  VMX_EXIT.RDSEED,
]);

/**
 * Sensitive instructions met by the instruction emulator: each is answered with the exit it would cause in the guest,
 * so the single handler of that exit does the work (in the kernel, the emulator's callbacks set_cr, get_msr, halt and
 * so on call the same functions as the exit handlers).
 */
export class EmulatorIntercepts implements Intercepts {
  isUndefined(): boolean {
    return false;
  }
  instruction(context: InterceptContext, reason: number, qualification: bigint, info?: number): VmExit | undefined {
    return UNWATCHED.has(reason) ? undefined : exitOf(context, reason, qualification, info);
  }
  controlRegister(context: InterceptContext, a: Parameters<Intercepts['controlRegister']>[1]): VmExit | undefined {
    // reads use the copy of the registers, which holds the guest's own values; CR2 needs no intercept
    if (a.type === 'read' || a.cr === 2) return undefined;
    return exitOf(
      context,
      VMX_EXIT.CR_ACCESS,
      crQualification(a.cr, a.type, a.gpr, a.type === 'lmsw' ? Number(a.value & 0xffffn) : 0, a.memory === true),
    );
  }
  readControl(context: InterceptContext, cr: 0 | 4): bigint {
    return context.state.get(cr === 0 ? SLOT.CR0 : SLOT.CR4);
  }
  writeControl(_context: InterceptContext, _cr: 0 | 4, value: bigint): bigint {
    return value;
  }
  debugRegister(): undefined {
    return undefined;
  }
  io(): undefined {
    return undefined;
  }
  msr(context: InterceptContext, _index: number, write: boolean): VmExit {
    return exitOf(context, write ? VMX_EXIT.MSR_WRITE : VMX_EXIT.MSR_READ, 0n);
  }
  descriptorTable(): undefined {
    return undefined;
  }
  taskSwitch(context: InterceptContext, selector: number, source: 'call' | 'iret' | 'jmp' | 'idt'): VmExit {
    return exitOf(context, VMX_EXIT.TASK_SWITCH, taskSwitchQualification(selector, source));
  }
  exception(): undefined {
    return undefined;
  }
}

const exitOf = (
  context: InterceptContext,
  reason: number,
  qualification: bigint,
  instructionInfo?: number,
): VmExit => ({
  reason,
  qualification,
  instructionLength: context.insn.length,
  ...(instructionInfo === undefined ? {} : { instructionInfo }),
});
