import { Code, Mnemonic } from 'iced-x86';
import { MAX_INSTRUCTION_BYTES } from '../decode';
import type { Decoded } from '../decoded';
import { ALU } from './alu';
import { ATOMIC } from './atomic';
import { BCD } from './bcd';
import { BITS } from './bits';
import { BMI } from './bmi';
import { BRANCH } from './branch';
import type { Emitter } from './emitter';
import { MISC, raiseInvalidOpcode, raiseMissingInstruction, raiseOverlong } from './misc';
import { MOV } from './mov';
import { MMX, MMX_CONTROL } from './mmx';
import { MULDIV } from './muldiv';
import { SHIFT } from './shift';
import { SSE } from './sse';
import { SSE_CONTROL } from './sse-moves';
import { STACK } from './stack';
import { STRING } from './string';
import { SYSTEM_FORMS, SYSTEM_LIFTERS } from './system';
import type { Lifter, LifterTable } from './table';
import { X87 } from './x87';

/** Every instruction group but the system ones and those with vector operands. */
export const LIFTERS: LifterTable = new Map<number, Lifter>([
  ...ALU,
  ...MOV,
  ...SHIFT,
  ...MULDIV,
  ...BITS,
  ...BMI,
  ...STACK,
  ...STRING,
  ...BRANCH,
  ...ATOMIC,
  ...BCD,
  ...MISC,
  ...X87,
  ...SSE_CONTROL,
  ...MMX_CONTROL,
]);

// iced-x86's enums are objects: read once
const INVALID_MNEMONIC: number = Mnemonic.INVALID;

/** Forms that SSE4.1 added to instructions of SSE2. */
const LATER_FORMS: ReadonlySet<number> = new Set([Code.Pextrw_r32m16_xmm_imm8, Code.Pextrw_r64m16_xmm_imm8]);

/** The lifter of an instruction, or undefined where this CPU does not have it (it then raises #UD). */
export function lifterOf(insn: Decoded): Lifter | undefined {
  // MOV, POP, JMP and CALL have system forms beside their plain ones
  const form = SYSTEM_FORMS.get(insn.code);
  if (form !== undefined) return form;
  let vector = false;
  for (const o of insn.operands) {
    if (o.kind === 'other') return undefined;
    if (o.kind === 'mm') return MMX.get(insn.mnemonic);
    if (o.kind === 'xmm') vector = true;
  }
  // MOVSD and CMPSD are string instructions too; CVTPI2PS and CVTPI2PD may have their integers in memory
  if (vector) return LATER_FORMS.has(insn.code) ? undefined : (SSE.get(insn.mnemonic) ?? MMX.get(insn.mnemonic));
  // CVTSD2SI and its kin may have their vector operand in memory
  return LIFTERS.get(insn.mnemonic) ?? SYSTEM_LIFTERS.get(insn.mnemonic) ?? SSE.get(insn.mnemonic);
}

/** Appends the micro-ops of one instruction. */
export function lift(e: Emitter, insn: Decoded): void {
  e.begin(insn);
  const lifter = lifterOf(insn);
  if (lifter !== undefined) lifter(e);
  else if (insn.mnemonic !== INVALID_MNEMONIC) e.system(raiseMissingInstruction);
  else e.system(insn.length > MAX_INSTRUCTION_BYTES ? raiseOverlong : raiseInvalidOpcode);
}
