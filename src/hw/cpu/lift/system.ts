import { Code, Mnemonic } from 'iced-x86';
import * as control from '../system/control';
import { cpuid } from '../system/cpuid';
import { callFar, jmpFar } from '../system/far';
import { retf } from '../system/far-return';
import * as flagsops from '../system/flagsops';
import * as interrupts from '../system/interrupts';
import * as io from '../system/io';
import { iret } from '../system/iret';
import * as msr from '../system/msr';
import * as random from '../system/random';
import * as moves from '../system/segment-moves';
import * as fast from '../system/syscall';
import type { SystemFunction } from '../system/table';
import * as tables from '../system/tables';
import * as svm from '../system/svm';
import { VMX_FUNCTIONS } from '../system/vmx';
import type { Lifter } from './table';

/** A whole instruction as one system function, which reads its own operands. */
const call =
  (f: SystemFunction): Lifter =>
  (e) =>
    e.system(f);

const lifters = (rows: readonly (readonly [number, SystemFunction])[]): ReadonlyMap<number, Lifter> =>
  new Map(rows.map(([key, f]) => [key, call(f)]));

/** Instructions that are system instructions in all their forms, by Mnemonic. */
export const SYSTEM_LIFTERS: ReadonlyMap<number, Lifter> = lifters([
  // far returns and interrupts
  [Mnemonic.Retf, retf],
  [Mnemonic.Iret, iret],
  [Mnemonic.Iretd, iret],
  [Mnemonic.Iretq, iret],
  [Mnemonic.Int, interrupts.intN],
  [Mnemonic.Int3, interrupts.int3],
  [Mnemonic.Int1, interrupts.int1],
  [Mnemonic.Into, interrupts.into],
  // segments
  [Mnemonic.Lds, moves.lds],
  [Mnemonic.Les, moves.les],
  [Mnemonic.Lss, moves.lss],
  [Mnemonic.Lfs, moves.lfs],
  [Mnemonic.Lgs, moves.lgs],
  [Mnemonic.Lar, moves.lar],
  [Mnemonic.Lsl, moves.lsl],
  [Mnemonic.Verr, moves.verr],
  [Mnemonic.Verw, moves.verw],
  [Mnemonic.Arpl, moves.arpl],
  [Mnemonic.Lgdt, tables.lgdt],
  [Mnemonic.Lidt, tables.lidt],
  [Mnemonic.Sgdt, tables.sgdt],
  [Mnemonic.Sidt, tables.sidt],
  [Mnemonic.Lldt, tables.lldt],
  [Mnemonic.Ltr, tables.ltr],
  [Mnemonic.Sldt, tables.sldt],
  [Mnemonic.Str, tables.str],
  // control
  [Mnemonic.Lmsw, control.lmsw],
  [Mnemonic.Smsw, control.smsw],
  [Mnemonic.Clts, control.clts],
  [Mnemonic.Hlt, control.hlt],
  [Mnemonic.Invd, control.invd],
  [Mnemonic.Wbinvd, control.wbinvd],
  [Mnemonic.Wbnoinvd, control.wbinvd],
  [Mnemonic.Invlpg, control.invlpg],
  [Mnemonic.Invpcid, control.invpcid],
  [Mnemonic.Pause, control.pause],
  [Mnemonic.Monitor, control.monitor],
  [Mnemonic.Mwait, control.mwait],
  [Mnemonic.Xgetbv, control.xgetbv],
  [Mnemonic.Xsetbv, control.xsetbv],
  [Mnemonic.Rdpkru, control.rdpkru],
  [Mnemonic.Wrpkru, control.wrpkru],
  [Mnemonic.Rsm, control.rsm],
  [Mnemonic.Cpuid, cpuid],
  // model-specific registers and time
  [Mnemonic.Rdmsr, msr.rdmsr],
  [Mnemonic.Wrmsr, msr.wrmsr],
  [Mnemonic.Rdtsc, msr.rdtsc],
  [Mnemonic.Rdtscp, msr.rdtscp],
  [Mnemonic.Rdpmc, msr.rdpmc],
  [Mnemonic.Rdfsbase, msr.rdfsbase],
  [Mnemonic.Rdgsbase, msr.rdgsbase],
  [Mnemonic.Wrfsbase, msr.wrfsbase],
  [Mnemonic.Wrgsbase, msr.wrgsbase],
  [Mnemonic.Swapgs, msr.swapgs],
  [Mnemonic.Rdrand, random.rdrand],
  [Mnemonic.Rdseed, random.rdseed],
  // fast system calls
  [Mnemonic.Syscall, fast.syscall],
  [Mnemonic.Sysret, fast.sysret],
  [Mnemonic.Sysretq, fast.sysret],
  [Mnemonic.Sysenter, fast.sysenter],
  [Mnemonic.Sysexit, fast.sysexit],
  [Mnemonic.Sysexitq, fast.sysexit],
  // flags
  [Mnemonic.Pushf, flagsops.pushf],
  [Mnemonic.Pushfd, flagsops.pushf],
  [Mnemonic.Pushfq, flagsops.pushf],
  [Mnemonic.Popf, flagsops.popf],
  [Mnemonic.Popfd, flagsops.popf],
  [Mnemonic.Popfq, flagsops.popf],
  [Mnemonic.Cli, flagsops.cli],
  [Mnemonic.Sti, flagsops.sti],
  [Mnemonic.Clac, flagsops.clac],
  [Mnemonic.Stac, flagsops.stac],
  // ports
  [Mnemonic.In, io.inPort],
  [Mnemonic.Out, io.outPort],
  [Mnemonic.Insb, io.insb],
  [Mnemonic.Insw, io.insw],
  [Mnemonic.Insd, io.insd],
  [Mnemonic.Outsb, io.outsb],
  [Mnemonic.Outsw, io.outsw],
  [Mnemonic.Outsd, io.outsd],
  // virtual-machine extensions
  [Mnemonic.Vmcall, VMX_FUNCTIONS.VMCALL],
  [Mnemonic.Vmclear, VMX_FUNCTIONS.VMCLEAR],
  [Mnemonic.Vmlaunch, VMX_FUNCTIONS.VMLAUNCH],
  [Mnemonic.Vmptrld, VMX_FUNCTIONS.VMPTRLD],
  [Mnemonic.Vmptrst, VMX_FUNCTIONS.VMPTRST],
  [Mnemonic.Vmread, VMX_FUNCTIONS.VMREAD],
  [Mnemonic.Vmresume, VMX_FUNCTIONS.VMRESUME],
  [Mnemonic.Vmwrite, VMX_FUNCTIONS.VMWRITE],
  [Mnemonic.Vmxoff, VMX_FUNCTIONS.VMXOFF],
  [Mnemonic.Vmxon, VMX_FUNCTIONS.VMXON],
  [Mnemonic.Invept, VMX_FUNCTIONS.INVEPT],
  [Mnemonic.Invvpid, VMX_FUNCTIONS.INVVPID],
  [Mnemonic.Vmfunc, VMX_FUNCTIONS.VMFUNC],
  // AMD's
  [Mnemonic.Vmrun, svm.vmrun],
  [Mnemonic.Vmload, svm.vmloadInstruction],
  [Mnemonic.Vmsave, svm.vmsaveInstruction],
  [Mnemonic.Vmmcall, svm.vmmcall],
  [Mnemonic.Stgi, svm.stgi],
  [Mnemonic.Clgi, svm.clgi],
  [Mnemonic.Invlpga, svm.invlpga],
  [Mnemonic.Skinit, svm.skinit],
]);

/** System forms of instructions that have ordinary ones under the same mnemonic, by Code: asked before the table by Mnemonic. */
export const SYSTEM_FORMS: ReadonlyMap<number, Lifter> = lifters([
  [Code.Jmp_ptr1616, jmpFar],
  [Code.Jmp_ptr1632, jmpFar],
  [Code.Jmp_m1616, jmpFar],
  [Code.Jmp_m1632, jmpFar],
  [Code.Jmp_m1664, jmpFar],
  [Code.Call_ptr1616, callFar],
  [Code.Call_ptr1632, callFar],
  [Code.Call_m1616, callFar],
  [Code.Call_m1632, callFar],
  [Code.Call_m1664, callFar],
  [Code.Mov_Sreg_rm16, moves.movToSegment],
  [Code.Mov_Sreg_r32m16, moves.movToSegment],
  [Code.Mov_Sreg_r64m16, moves.movToSegment],
  [Code.Popw_ES, moves.popSegment],
  [Code.Popd_ES, moves.popSegment],
  [Code.Popw_SS, moves.popSegment],
  [Code.Popd_SS, moves.popSegment],
  [Code.Popw_DS, moves.popSegment],
  [Code.Popd_DS, moves.popSegment],
  [Code.Popw_FS, moves.popSegment],
  [Code.Popd_FS, moves.popSegment],
  [Code.Popq_FS, moves.popSegment],
  [Code.Popw_GS, moves.popSegment],
  [Code.Popd_GS, moves.popSegment],
  [Code.Popq_GS, moves.popSegment],
  [Code.Mov_r32_cr, control.movFromControl],
  [Code.Mov_r64_cr, control.movFromControl],
  [Code.Mov_cr_r32, control.movToControl],
  [Code.Mov_cr_r64, control.movToControl],
  [Code.Mov_r32_dr, control.movFromDebug],
  [Code.Mov_r64_dr, control.movFromDebug],
  [Code.Mov_dr_r32, control.movToDebug],
  [Code.Mov_dr_r64, control.movToDebug],
]);
