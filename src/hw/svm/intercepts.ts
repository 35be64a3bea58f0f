import { hpa } from '../../base/address';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import { CR0 } from '../../isa/flags';
import { SVM_EXIT, SVM_EXIT_BASE } from '../../isa/svm-exits';
import { INTERCEPT_INVPCID } from '../../isa/vmcb-fields';
import type { HostMemory } from '../memory/host-memory';
import type { VmExit } from '../state/event';
import type { InterceptContext, Intercepts } from '../state/intercepts';
import { SLOT } from '../state/layout';
import type { SvmControls } from './controls';

type ControlAccess = Parameters<Intercepts['controlRegister']>[1];
type IoAccess = Parameters<Intercepts['io']>[1];

/** Instructions that both extensions can intercept: VMX's exit reason, by which the instruction asks, and SVM's code. */
const CODES: Readonly<Record<number, number>> = {
  [VMX_EXIT.CPUID]: SVM_EXIT.CPUID,
  [VMX_EXIT.HLT]: SVM_EXIT.HLT,
  [VMX_EXIT.INVD]: SVM_EXIT.INVD,
  [VMX_EXIT.INVLPG]: SVM_EXIT.INVLPG,
  [VMX_EXIT.RDPMC]: SVM_EXIT.RDPMC,
  [VMX_EXIT.RDTSC]: SVM_EXIT.RDTSC,
  [VMX_EXIT.RDTSCP]: SVM_EXIT.RDTSCP,
  [VMX_EXIT.PAUSE_INSTRUCTION]: SVM_EXIT.PAUSE,
  [VMX_EXIT.WBINVD]: SVM_EXIT.WBINVD,
  [VMX_EXIT.XSETBV]: SVM_EXIT.XSETBV,
  [VMX_EXIT.MONITOR_INSTRUCTION]: SVM_EXIT.MONITOR,
  [VMX_EXIT.MWAIT_INSTRUCTION]: SVM_EXIT.MWAIT,
};

/** CR0 bits whose change the selective intercept ignores: TS and MP. */
const SELECTIVE = ~((1n << BigInt(CR0.TS)) | (1n << BigInt(CR0.MP)));
/** Decode assists: the instruction was a MOV, and its general register is in bits 3:0 (15.33.1). */
const MOV_CR = 1n << 63n;

/** Instruction and exception intercepts of SVM guest mode (AMD APM vol. 2, 15.8 to 15.12), with what decode assists and the next-RIP save tell. */
export class SvmIntercepts implements Intercepts {
  constructor(
    private readonly memory: HostMemory,
    private readonly controls: SvmControls,
  ) {}

  isUndefined(): boolean {
    return false;
  }

  instruction(context: InterceptContext, reason: number, qualification: bigint, info?: number): VmExit | undefined {
    if (reason === VMX_EXIT.INVPCID) {
      if ((this.controls.misc3 & INTERCEPT_INVPCID) === 0) return undefined;
      const type = context.state.get((info ?? 0) >>> 28);
      return exitOf(context, SVM_EXIT.INVPCID, qualification, type);
    }
    const code = CODES[reason];
    if (code === undefined || !this.controls.exits(code)) return undefined;
    // decode assists tell the address of INVLPG
    return exitOf(context, code, reason === VMX_EXIT.INVLPG ? qualification : 0n);
  }

  /** STGI, CLGI, VMRUN, VMLOAD, VMSAVE, VMMCALL, INVLPGA, SKINIT, IRET, INT n, PUSHF, POPF, ICEBP: what VMX has not, or not as an intercept of its own. */
  svm(context: InterceptContext, code: number, info1 = 0n): VmExit | undefined {
    return this.controls.exits(code) ? exitOf(context, code, info1) : undefined;
  }

  controlRegister(context: InterceptContext, a: ControlAccess): VmExit | undefined {
    const { cr } = this.controls;
    const named = a.type === 'read' || a.type === 'write' ? MOV_CR | BigInt(a.gpr) : 0n;
    if (a.type === 'read')
      return ((cr >>> a.cr) & 1) === 1 ? exitOf(context, SVM_EXIT_BASE.CR_READ + a.cr, named) : undefined;
    if (((cr >>> (16 + a.cr)) & 1) === 1) return exitOf(context, SVM_EXIT_BASE.CR_WRITE + a.cr, named);
    if (a.cr !== 0 || a.type === 'clts' || !this.controls.exits(SVM_EXIT.CR0_SEL_WRITE)) return undefined;
    const old = context.state.get(SLOT.CR0);
    // LMSW reaches bits 3:0 and cannot clear PE
    const value = a.type === 'lmsw' ? (old & ~0xfn) | (a.value & 0xfn) | (old & 1n) : a.value;
    return ((value ^ old) & SELECTIVE) === 0n ? undefined : exitOf(context, SVM_EXIT.CR0_SEL_WRITE, named);
  }

  readControl(context: InterceptContext, cr: 0 | 4): bigint {
    return context.state.get(cr === 0 ? SLOT.CR0 : SLOT.CR4);
  }
  writeControl(_context: InterceptContext, _cr: 0 | 4, value: bigint): bigint {
    return value;
  }

  debugRegister(
    context: InterceptContext,
    a: { readonly write: boolean; readonly dr: number; readonly gpr: number },
  ): VmExit | undefined {
    if (((this.controls.dr >>> (a.dr + (a.write ? 16 : 0))) & 1) === 0) return undefined;
    return exitOf(context, (a.write ? SVM_EXIT_BASE.DR_WRITE : SVM_EXIT_BASE.DR_READ) + a.dr, BigInt(a.gpr));
  }

  /**
   * EXITINFO1 of IN and OUT (15.10.2); EXITINFO2 is the RIP behind:
   *
   *   31..16 12..10 9   8   7   6    5    4   3   2   0
   *  | port | SEG |A64|A32|A16|SZ32|SZ16|SZ8|REP|STR|IN|
   */
  io(context: InterceptContext, a: IoAccess): VmExit | undefined {
    if (!this.controls.exits(SVM_EXIT.IOIO) || !this.portExits(a.port, a.size)) return undefined;
    // address size and segment of string forms, as VMX's instruction information has them
    const address = a.string ? 1 << (7 + (((a.info ?? 0) >>> 7) & 3)) : 0;
    const segment = a.string ? (((a.info ?? 0) >>> 15) & 7) << 10 : 0;
    const size = { 1: 0x10, 2: 0x20, 4: 0x40 }[a.size] ?? 0x40;
    const info1 = (a.port << 16) | segment | address | size | (a.rep ? 8 : 0) | (a.string ? 4 : 0) | (a.write ? 0 : 1);
    const exit = exitOf(context, SVM_EXIT.IOIO, BigInt(info1 >>> 0));
    return { ...exit, info2: exit.nextRip ?? 0n };
  }
  /** The I/O permission map has a bit a port, and an access exits by any of its ports' bits (15.10.1). */
  private portExits(port: number, size: number): boolean {
    for (let p = port; p < port + size; p++) if (this.mapBit(this.controls.iopm, p)) return true;
    return false;
  }

  /** The MSR permission map (15.11): two bits an MSR, read then write, for three ranges; everything outside them exits. */
  msr(context: InterceptContext, index: number, write: boolean): VmExit | undefined {
    if (!this.controls.exits(SVM_EXIT.MSR)) return undefined;
    const first = [0, 0xc000_0000, 0xc001_0000].findIndex((base) => index >= base && index < base + 0x2000);
    const base = [0, 0xc000_0000, 0xc001_0000][first] ?? 0;
    const covered = first >= 0;
    const bit = first * 0x800 * 8 + (index - base) * 2 + (write ? 1 : 0);
    return !covered || this.mapBit(this.controls.msrpm, bit)
      ? exitOf(context, SVM_EXIT.MSR, write ? 1n : 0n)
      : undefined;
  }
  /** Where no memory answers, the bus reads ones. */
  private mapBit(base: bigint, n: number): boolean {
    const at = this.memory.offsetOf(hpa(base + BigInt(n >> 3)));
    return at < 0 || (((this.memory.u8[at] as number) >> (n & 7)) & 1) === 1;
  }

  descriptorTable(context: InterceptContext, reason: number, info: number): VmExit | undefined {
    // the identity in bits 29:28: SGDT SIDT LGDT LIDT, and SLDT STR LLDT LTR
    const identity = (info >>> 28) & 3;
    const codes =
      reason === VMX_EXIT.GDTR_IDTR
        ? [SVM_EXIT.GDTR_READ, SVM_EXIT.IDTR_READ, SVM_EXIT.GDTR_WRITE, SVM_EXIT.IDTR_WRITE]
        : [SVM_EXIT.LDTR_READ, SVM_EXIT.TR_READ, SVM_EXIT.LDTR_WRITE, SVM_EXIT.TR_WRITE];
    const code = codes[identity] as number;
    return this.controls.exits(code) ? exitOf(context, code, 0n) : undefined;
  }

  /** EXITINFO1 is the selector, EXITINFO2 says how: IRET bit 36, far jump bit 38 (15.14.1). */
  taskSwitch(context: InterceptContext, selector: number, source: 'call' | 'iret' | 'jmp' | 'idt'): VmExit | undefined {
    if (!this.controls.exits(SVM_EXIT.TASK_SWITCH)) return undefined;
    const how = source === 'iret' ? 1n << 36n : source === 'jmp' ? 1n << 38n : 0n;
    const exit = { reason: SVM_EXIT.TASK_SWITCH, qualification: BigInt(selector), info2: how };
    return source === 'idt' ? exit : { ...exit, ...nextOf(context) };
  }

  /** EXITINFO1 is the error code, EXITINFO2 the address of #PF (15.12). `qualification`: that address, or what DR6 gains. */
  exception(
    context: InterceptContext,
    vector: number,
    errorCode: number | undefined,
    software: boolean,
    qualification: bigint,
  ): VmExit | undefined {
    if (((this.controls.exceptions >>> vector) & 1) === 0) return undefined;
    return {
      reason: SVM_EXIT_BASE.EXCP + vector,
      qualification: BigInt(errorCode ?? 0),
      ...(vector === VECTOR.PF ? { info2: qualification } : {}),
      ...(vector === VECTOR.DB ? { debug: qualification } : {}),
      // INT1, whose #DB is a trap where its own intercept is off: VMX exits on the instruction itself
      ...(vector === VECTOR.DB && software ? { completed: true } : {}),
      ...(software ? nextOf(context) : {}),
    };
  }
}

/** The next-RIP save: of the instruction that exits. */
const nextOf = (context: InterceptContext): { readonly instructionLength: number; readonly nextRip: bigint } => ({
  instructionLength: context.insn.length,
  nextRip: context.state.rip + BigInt(context.insn.length),
});
const exitOf = (context: InterceptContext, code: number, info1: bigint, info2?: bigint): VmExit => ({
  reason: code,
  qualification: info1,
  ...(info2 === undefined ? {} : { info2 }),
  ...nextOf(context),
});
