import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { VMX_EXIT } from '../../../isa/exits';
import { SYS_EVENT, type Core } from '../core';
import { displacementOf, instructionInfo } from './instruction-info';
import { isLong, isLong64, isParagraphMode } from './modes';
import { requireCpl0 } from './raise';
import type { SystemFunction } from './table';

export type VmxInstructionName =
  | 'VMCALL'
  | 'VMCLEAR'
  | 'VMLAUNCH'
  | 'VMPTRLD'
  | 'VMPTRST'
  | 'VMREAD'
  | 'VMRESUME'
  | 'VMWRITE'
  | 'VMXOFF'
  | 'VMXON'
  | 'INVEPT'
  | 'INVVPID'
  | 'VMFUNC';

/** VMX instructions as guest code executes them outside non-root operation. Whoever models VMX for bare machines registers here; without it they are #UD. */
const VMX_INSTRUCTIONS = new Map<VmxInstructionName, SystemFunction>();

const REASON: Readonly<Record<VmxInstructionName, number>> = {
  VMCALL: VMX_EXIT.VMCALL,
  VMCLEAR: VMX_EXIT.VMCLEAR,
  VMLAUNCH: VMX_EXIT.VMLAUNCH,
  VMPTRLD: VMX_EXIT.VMPTRLD,
  VMPTRST: VMX_EXIT.VMPTRST,
  VMREAD: VMX_EXIT.VMREAD,
  VMRESUME: VMX_EXIT.VMRESUME,
  VMWRITE: VMX_EXIT.VMWRITE,
  VMXOFF: VMX_EXIT.VMOFF,
  VMXON: VMX_EXIT.VMON,
  INVEPT: VMX_EXIT.INVEPT,
  INVVPID: VMX_EXIT.INVVPID,
  VMFUNC: VMX_EXIT.VMFUNC,
};
/** Index of the r/m operand, and of the register in bits 31:28 and 6:3 of the instruction information (SDM vol. 3, 27.2.5). */
const OPERANDS: Readonly<Partial<Record<VmxInstructionName, { readonly rm: 0 | 1; readonly reg2?: 0 | 1 }>>> = {
  VMCLEAR: { rm: 0 },
  VMPTRLD: { rm: 0 },
  VMPTRST: { rm: 0 },
  VMXON: { rm: 0 },
  VMREAD: { rm: 0, reg2: 1 },
  VMWRITE: { rm: 1, reg2: 0 },
  INVEPT: { rm: 1, reg2: 0 },
  INVVPID: { rm: 1, reg2: 0 },
};

/** Exit information of a VMX instruction: displacement as qualification, operands as instruction information. */
function information(
  core: Core,
  name: VmxInstructionName,
): { readonly qualification: bigint; readonly info: number | undefined } {
  const o = OPERANDS[name];
  if (o === undefined) return { qualification: 0n, info: undefined };
  const second = o.reg2 === undefined ? undefined : core.insn.operands[o.reg2];
  const info = instructionInfo(core, o.rm, second?.kind === 'gpr' ? { reg2: second.index } : {});
  return { qualification: displacementOf(core, o.rm), info };
}

/**
 * A VMX instruction: in non-root operation all of them exit, whatever the CPL (SDM vol. 3, 25.1.2), the intercept says so; elsewhere the registered function
 * runs, and without VMX operation it is #UD. VMCALL at any CPL belongs to the intercept; the others want CPL 0 first.
 */
const vmxInstruction =
  (name: VmxInstructionName): SystemFunction =>
  (core, a, b) => {
    const s = core.state;
    if (isParagraphMode(s) || (isLong(s) && !isLong64(s))) {
      if (name !== 'VMCALL')
        return core.raise(VECTOR.UD, isParagraphMode(s) ? because('mode-paragraph') : because('mode-not-64-bit'));
    }
    const { qualification, info } = information(core, name);
    const exit = core.intercepts?.instruction(core, REASON[name], qualification, info);
    if (exit) return core.exit(exit);
    const act = VMX_INSTRUCTIONS.get(name);
    if (act === undefined) return core.raise(VECTOR.UD, because('vmx-off'));
    return requireCpl0(core) ? act(core, a, b) : SYS_EVENT;
  };

export const VMX_FUNCTIONS: Readonly<Record<VmxInstructionName, SystemFunction>> = {
  VMCALL: vmxInstruction('VMCALL'),
  VMCLEAR: vmxInstruction('VMCLEAR'),
  VMLAUNCH: vmxInstruction('VMLAUNCH'),
  VMPTRLD: vmxInstruction('VMPTRLD'),
  VMPTRST: vmxInstruction('VMPTRST'),
  VMREAD: vmxInstruction('VMREAD'),
  VMRESUME: vmxInstruction('VMRESUME'),
  VMWRITE: vmxInstruction('VMWRITE'),
  VMXOFF: vmxInstruction('VMXOFF'),
  VMXON: vmxInstruction('VMXON'),
  INVEPT: vmxInstruction('INVEPT'),
  INVVPID: vmxInstruction('INVVPID'),
  VMFUNC: vmxInstruction('VMFUNC'),
};
