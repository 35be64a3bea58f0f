import type { Hpa } from '../../base/address';
import { hpa } from '../../base/address';
import { CR0 } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import { PIN, PROC, SECONDARY } from '../../isa/vmcs-controls';
import type { HostMemory } from '../memory/host-memory';
import type { VmExit } from '../state/event';
import type { InterceptContext, Intercepts } from '../state/intercepts';
import { SLOT } from '../state/layout';
import type { VmxControls } from './controls';
import {
  crQualification,
  drQualification,
  exceptionExit,
  ioQualification,
  taskSwitchQualification,
} from './qualification';

type ControlAccess = Parameters<Intercepts['controlRegister']>[1];
type IoRequest = Parameters<Intercepts['io']>[1];

/** Instructions that exit when one control is 1 (SDM vol. 3, 25.1.3). Reasons in neither table exit always (25.1.2). */
const CONDITIONAL: Readonly<Record<number, readonly ['proc' | 'secondary', number]>> = {
  [VMX_EXIT.HLT]: ['proc', PROC.HLT_EXITING],
  [VMX_EXIT.INVLPG]: ['proc', PROC.INVLPG_EXITING],
  [VMX_EXIT.INVPCID]: ['proc', PROC.INVLPG_EXITING],
  [VMX_EXIT.RDPMC]: ['proc', PROC.RDPMC_EXITING],
  [VMX_EXIT.RDTSC]: ['proc', PROC.RDTSC_EXITING],
  [VMX_EXIT.RDTSCP]: ['proc', PROC.RDTSC_EXITING],
  [VMX_EXIT.MWAIT_INSTRUCTION]: ['proc', PROC.MWAIT_EXITING],
  [VMX_EXIT.MONITOR_INSTRUCTION]: ['proc', PROC.MONITOR_EXITING],
  [VMX_EXIT.PAUSE_INSTRUCTION]: ['proc', PROC.PAUSE_EXITING],
  [VMX_EXIT.WBINVD]: ['secondary', SECONDARY.WBINVD_EXITING],
  [VMX_EXIT.RDRAND]: ['secondary', SECONDARY.RDRAND_EXITING],
  [VMX_EXIT.RDSEED]: ['secondary', SECONDARY.RDSEED_EXITING],
};
/** Instructions that are undefined in non-root operation unless a control enables them (25.3). */
const ENABLED_BY: Readonly<Record<number, number>> = {
  [VMX_EXIT.RDTSCP]: SECONDARY.ENABLE_RDTSCP,
  [VMX_EXIT.INVPCID]: SECONDARY.ENABLE_INVPCID,
};

const CR0_TS = 1n << BigInt(CR0.TS);
/** MP, EM, TS: the bits of LMSW beside PE, which it can only set. */
const LMSW_BITS = 0xen;
const CR0_PE = 1n;

/** What exits from VMX non-root operation, and with which information: the controls of the current VMCS applied (SDM vol. 3, chapter 25). */
export class VmxIntercepts implements Intercepts {
  constructor(
    private readonly memory: HostMemory,
    private readonly controls: VmxControls,
  ) {}

  /** Whether the instruction with this exit reason raises #UD in non-root operation because its enabling control is 0; asked before everything else. */
  isUndefined(reason: number): boolean {
    const enable = ENABLED_BY[reason];
    return enable !== undefined && (this.controls.secondary & enable) === 0;
  }

  /** "NMI exiting" without "virtual NMIs" (25.3). */
  get keepsNmiBlocking(): boolean {
    return (this.controls.pin & (PIN.NMI_EXITING | PIN.VIRTUAL_NMIS)) === PIN.NMI_EXITING;
  }

  instruction(context: InterceptContext, reason: number, qualification: bigint, info?: number): VmExit | undefined {
    const condition = CONDITIONAL[reason];
    if (condition !== undefined && (this.controls[condition[0]] & condition[1]) === 0) return undefined;
    return exitOf(context, reason, qualification, info);
  }

  controlRegister(context: InterceptContext, access: ControlAccess): VmExit | undefined {
    if (!this.controlExits(access)) return undefined;
    const lmsw = access.type === 'lmsw';
    // CLTS and LMSW name no register; the source operand of LMSW is data (table 27-3)
    const gpr = access.type === 'write' || access.type === 'read' ? access.gpr : 0;
    const memory = lmsw && access.memory === true;
    const qualification = crQualification(
      access.cr,
      access.type,
      gpr,
      lmsw ? Number(access.value & 0xffffn) : 0,
      memory,
    );
    const exit = exitOf(context, VMX_EXIT.CR_ACCESS, qualification);
    return memory && access.linear !== undefined ? { ...exit, guestLinearAddress: access.linear } : exit;
  }

  private controlExits({ type, cr, value }: ControlAccess): boolean {
    const c = this.controls;
    switch (type) {
      case 'clts':
        return (c.cr0Mask & c.cr0Shadow & CR0_TS) !== 0n;
      case 'lmsw': {
        if ((value & ~c.cr0Shadow & c.cr0Mask & CR0_PE) !== 0n) return true;
        return ((value ^ c.cr0Shadow) & c.cr0Mask & LMSW_BITS) !== 0n;
      }
      case 'read':
        return (
          (cr === 3 && (c.proc & PROC.CR3_STORE_EXITING) !== 0) || (cr === 8 && (c.proc & PROC.CR8_STORE_EXITING) !== 0)
        );
      case 'write':
        if (cr === 0) return ((value ^ c.cr0Shadow) & c.cr0Mask) !== 0n;
        if (cr === 4) return ((value ^ c.cr4Shadow) & c.cr4Mask) !== 0n;
        if (cr === 3) return (c.proc & PROC.CR3_LOAD_EXITING) !== 0 && !c.cr3Targets.includes(value);
        return cr === 8 && (c.proc & PROC.CR8_LOAD_EXITING) !== 0;
    }
  }

  readControl(context: InterceptContext, cr: 0 | 4): bigint {
    const c = this.controls;
    if (cr === 0) return (context.state.get(SLOT.CR0) & ~c.cr0Mask) | (c.cr0Shadow & c.cr0Mask);
    return (context.state.get(SLOT.CR4) & ~c.cr4Mask) | (c.cr4Shadow & c.cr4Mask);
  }

  writeControl(context: InterceptContext, cr: 0 | 4, value: bigint): bigint {
    const c = this.controls;
    if (cr === 0) return (value & ~c.cr0Mask) | (context.state.get(SLOT.CR0) & c.cr0Mask);
    return (value & ~c.cr4Mask) | (context.state.get(SLOT.CR4) & c.cr4Mask);
  }

  debugRegister(
    context: InterceptContext,
    access: { readonly write: boolean; readonly dr: number; readonly gpr: number },
  ): VmExit | undefined {
    if ((this.controls.proc & PROC.MOV_DR_EXITING) === 0) return undefined;
    return exitOf(context, VMX_EXIT.DR_ACCESS, drQualification(access.dr, access.write, access.gpr));
  }

  io(context: InterceptContext, access: IoRequest): VmExit | undefined {
    const { proc } = this.controls;
    const exits =
      (proc & PROC.USE_IO_BITMAPS) !== 0
        ? this.portExits(access.port, access.size)
        : (proc & PROC.UNCOND_IO_EXITING) !== 0;
    if (!exits) return undefined;
    const exit = exitOf(context, VMX_EXIT.IO_INSTRUCTION, ioQualification(access), access.info);
    return access.linear === undefined ? exit : { ...exit, guestLinearAddress: access.linear };
  }

  /** The bit of any accessed port set, or an access that wraps past port 0xffff (25.1.3). */
  private portExits(port: number, size: number): boolean {
    for (let p = port; p < port + size; p++) {
      if (p > 0xffff) return true;
      const bitmap = p < 0x8000 ? this.controls.ioBitmapA : this.controls.ioBitmapB;
      if (this.bitmapBit(hpa(bitmap), p & 0x7fff)) return true;
    }
    return false;
  }

  /** MSR bitmaps (24.6.9): 1 KiB each for reads of low (0–1FFF) and high (C0000000–C0001FFF) MSRs, then writes of low and high ones. */
  msr(context: InterceptContext, index: number, write: boolean): VmExit | undefined {
    const reason = write ? VMX_EXIT.MSR_WRITE : VMX_EXIT.MSR_READ;
    if ((this.controls.proc & PROC.USE_MSR_BITMAPS) === 0) return exitOf(context, reason, 0n);
    const high = index >= 0xc000_0000;
    const n = high ? index - 0xc000_0000 : index;
    if (n > 0x1fff) return exitOf(context, reason, 0n);
    const bitIndex = ((high ? 0x400 : 0) + (write ? 0x800 : 0)) * 8 + n;
    return this.bitmapBit(hpa(this.controls.msrBitmap), bitIndex) ? exitOf(context, reason, 0n) : undefined;
  }

  /** A bit of a bitmap in memory; where no memory answers, the bus reads ones and everything exits. */
  private bitmapBit(base: Hpa, index: number): boolean {
    const at = this.memory.offsetOf(base + BigInt(index >> 3));
    return at < 0 || (((this.memory.u8[at] as number) >> (index & 7)) & 1) === 1;
  }

  descriptorTable(context: InterceptContext, reason: number, info: number, displacement: bigint): VmExit | undefined {
    return (this.controls.secondary & SECONDARY.DESC) === 0 ? undefined : exitOf(context, reason, displacement, info);
  }

  taskSwitch(context: InterceptContext, selector: number, source: 'call' | 'iret' | 'jmp' | 'idt'): VmExit | undefined {
    const qualification = taskSwitchQualification(selector, source);
    return source === 'idt'
      ? { reason: VMX_EXIT.TASK_SWITCH, qualification }
      : exitOf(context, VMX_EXIT.TASK_SWITCH, qualification);
  }

  /** Not to be asked for INT n (25.2); `software`: INT3, INTO, or INT1 with vector 1. */
  exception(
    context: InterceptContext,
    vector: number,
    errorCode: number | undefined,
    software: boolean,
    qualification: bigint,
  ): VmExit | undefined {
    const c = this.controls;
    let exits = ((c.exceptionBitmap >>> vector) & 1) === 1;
    // a #PF whose error code does not match turns bit 14 round
    if (vector === VECTOR.PF && ((errorCode ?? 0) & c.pfecMask) !== c.pfecMatch) exits = !exits;
    if (!exits) return undefined;
    // only software exceptions belong to an instruction that was decoded
    return exceptionExit(vector, errorCode, software ? context.insn.length : undefined, qualification);
  }
}

function exitOf(context: InterceptContext, reason: number, qualification: bigint, instructionInfo?: number): VmExit {
  const instructionLength = context.insn.length;
  return instructionInfo === undefined
    ? { reason, qualification, instructionLength }
    : { reason, qualification, instructionLength, instructionInfo };
}
