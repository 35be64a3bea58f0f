import type { CpuState } from './cpu-state';
import type { VmExit } from './event';

/** What an intercept may look at: the registers at the instruction's start, and the instruction's length for the exit information. A core is one. */
export interface InterceptContext {
  readonly state: CpuState;
  readonly insn: { readonly length: number };
}

/**
 * The second say on sensitive instructions: VMX non-root operation (and SVM's guest mode) answers with an exit, or with undefined for "goes on".
 * Methods are asked after the checks that have priority over the VM exit (SDM vol. 3, 25.1.1: #UD, CPL-based #GP before; most others after).
 */
export interface Intercepts {
  /** Whether the instruction with this VMX exit reason is #UD in guest mode because the control that enables it is 0 (RDTSCP, INVPCID); asked first of all. */
  isUndefined(reason: number): boolean;
  /** IRET leaves blocking by NMI as it is. Absent: it unblocks. */
  readonly keepsNmiBlocking?: boolean;
  /** CPUID HLT INVD INVLPG RDPMC RDTSC RDTSCP PAUSE WBINVD XSETBV MONITOR MWAIT RDRAND RDSEED INVPCID VMCALL VMX instructions, by VMX exit reason. */
  instruction(context: InterceptContext, reason: number, qualification: bigint, info?: number): VmExit | undefined;
  /** MOV to/from CR0 CR3 CR4 CR8, CLTS, LMSW. `value` is what a write would store. `gpr`: source or destination register. */
  controlRegister(
    context: InterceptContext,
    access: {
      readonly type: 'write' | 'read' | 'clts' | 'lmsw';
      readonly cr: number;
      readonly gpr: number;
      readonly value: bigint;
      readonly memory?: boolean;
      readonly linear?: bigint;
    },
  ): VmExit | undefined;
  /** What MOV from CR0/CR4 and SMSW show (mask and read shadow applied). */
  readControl(context: InterceptContext, cr: 0 | 4): bigint;
  /** What MOV to CR0/CR4 really stores when it does not exit (host-owned bits kept). */
  writeControl(context: InterceptContext, cr: 0 | 4, value: bigint): bigint;
  /** An instruction that SVM alone intercepts, by its exit code. Absent: VMX. */
  svm?(context: InterceptContext, code: number, info1?: bigint): VmExit | undefined;
  debugRegister(
    context: InterceptContext,
    access: { readonly write: boolean; readonly dr: number; readonly gpr: number },
  ): VmExit | undefined;
  io(
    context: InterceptContext,
    access: {
      readonly write: boolean;
      readonly port: number;
      readonly size: number;
      readonly string: boolean;
      readonly rep: boolean;
      readonly immediate: boolean;
      readonly linear?: bigint;
      readonly info?: number;
    },
  ): VmExit | undefined;
  msr(context: InterceptContext, index: number, write: boolean): VmExit | undefined;
  descriptorTable(context: InterceptContext, reason: number, info: number, displacement: bigint): VmExit | undefined;
  taskSwitch(context: InterceptContext, selector: number, source: 'call' | 'iret' | 'jmp' | 'idt'): VmExit | undefined;
  /** An exception before delivery: by the exception bitmap (and the #PF error-code mask and match). */
  exception(
    context: InterceptContext,
    vector: number,
    errorCode: number | undefined,
    software: boolean,
    qualification: bigint,
  ): VmExit | undefined;
}
