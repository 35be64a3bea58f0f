import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { SVM_EXIT } from '../../../isa/svm-exits';
import { SYS_EVENT, SYS_NEXT, type Core, type SvmInstructions, type SysResult } from '../core';
import { isParagraphMode } from './modes';
import { GPR } from './operand';
import { requireCpl0 } from './raise';
import type { SystemFunction } from './table';

/**
 * SVM's instructions (AMD APM vol. 3). Without EFER.SVME, in real and virtual-8086 mode, and on processors without SVM they are #UD; they want CPL 0, and a guest may be made
 * to exit by each. Addresses are in rAX.
 */
const svmInstruction =
  (code: number, act: (core: Core, unit: SvmInstructions) => SysResult): SystemFunction =>
  (core) => {
    const unit = core.svmInstructions;
    if (!core.model.has('SVM')) return core.raise(VECTOR.UD, because('feature-absent', 'SVM'));
    if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
    // KVM's emulator has no such unit, and offers its guests no SVM
    if (!unit?.enabled) return core.raise(VECTOR.UD, because('svm-off'));
    if (!requireCpl0(core)) return SYS_EVENT;
    const exit = core.intercepts?.svm?.(core, code);
    return exit ? core.exit(exit) : act(core, unit);
  };

/** rAX by the address size. */
const address = (core: Core): bigint => BigInt.asUintN(core.insn.addressBits, core.state.get(GPR.RAX));
const onVmcb =
  (act: (core: Core, unit: SvmInstructions, at: bigint) => SysResult) =>
  (core: Core, unit: SvmInstructions): SysResult => {
    const at = address(core);
    return unit.isVmcb(at) ? act(core, unit, at) : core.raise(VECTOR.GP, because('vmcb-address', at), 0);
  };

export const vmrun = svmInstruction(
  SVM_EXIT.VMRUN,
  onVmcb((core, unit, at) => unit.vmrun(core, at)),
);
export const vmloadInstruction = svmInstruction(
  SVM_EXIT.VMLOAD,
  onVmcb((_, unit, at) => {
    unit.vmload(at);
    return SYS_NEXT;
  }),
);
export const vmsaveInstruction = svmInstruction(
  SVM_EXIT.VMSAVE,
  onVmcb((_, unit, at) => {
    unit.vmsave(at);
    return SYS_NEXT;
  }),
);
export const stgi = svmInstruction(SVM_EXIT.STGI, (_, unit) => {
  unit.setGif(true);
  return SYS_NEXT;
});
export const clgi = svmInstruction(SVM_EXIT.CLGI, (_, unit) => {
  unit.setGif(false);
  return SYS_NEXT;
});
export const invlpga = svmInstruction(SVM_EXIT.INVLPGA, (core, unit) => {
  unit.invlpga(address(core), core.state.get32(GPR.RCX));
  return SYS_NEXT;
});
/** SKINIT wants a device that no machine here has (CPUID 8000_0001 ECX.SKINIT is 0). */
export const skinit: SystemFunction = (core) => core.raise(VECTOR.UD, because('no-security-device'));

/** VMMCALL: an exit where it is intercepted, else #UD, at any privilege level (APM vol. 3). */
export const vmmcall: SystemFunction = (core) => {
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.VMMCALL);
  return exit ? core.exit(exit) : core.raise(VECTOR.UD, because('vmmcall-alone'));
};
