import { Mnemonic } from 'iced-x86';
import { MAX_INSTRUCTION_BYTES } from '../decode';
import type { Decoded } from '../decoded';
import { ALU } from './alu';
import { ATOMIC } from './atomic';
import { BCD } from './bcd';
import { BITS } from './bits';
import { BMI } from './bmi';
import { BRANCH } from './branch';
import type { Emitter } from './emitter';
import { MISC, raiseOverlong, raiseUndefinedOpcode } from './misc';
import { MOV } from './mov';
import { MULDIV } from './muldiv';
import { SHIFT } from './shift';
import { STACK } from './stack';
import { STRING } from './string';
import { SYSTEM_LIFTERS } from './system';
import type { Lifter, LifterTable } from './table';

/** Every instruction group but the system ones. */
export const LIFTERS: LifterTable = new Map<number, Lifter>([
  ...ALU, ...MOV, ...SHIFT, ...MULDIV, ...BITS, ...BMI, ...STACK, ...STRING, ...BRANCH, ...ATOMIC, ...BCD, ...MISC,
]);

/**
 * Mnemonics that name both plain and system forms: MOV to or from control and debug registers and to segment registers, POP of a segment register,
 * JMP and CALL far.
 */
function isSystemForm(insn: Decoded): boolean {
  switch (insn.mnemonic) {
    case MOV_MNEMONIC:
      return insn.operands.some((o, i) => o.kind === 'control' || o.kind === 'debug' || (o.kind === 'segment' && i === 0));
    case POP_MNEMONIC:
      return insn.operands[0]?.kind === 'segment';
    case JMP_MNEMONIC:
    case CALL_MNEMONIC: {
      const target = insn.operands[0];
      // a far pointer in memory is two bytes longer than the offset in it
      return target?.kind === 'far' || (target?.kind === 'memory' && target.memory.size > insn.operandBits / 8);
    }
    default:
      return false;
  }
}
// iced-x86's enums are objects: read once
const MOV_MNEMONIC: number = Mnemonic.Mov;
const POP_MNEMONIC: number = Mnemonic.Pop;
const JMP_MNEMONIC: number = Mnemonic.Jmp;
const CALL_MNEMONIC: number = Mnemonic.Call;
const INVALID_MNEMONIC: number = Mnemonic.INVALID;

/** The lifter of an instruction, or undefined where this CPU does not have it (it then raises #UD). */
export function lifterOf(insn: Decoded): Lifter | undefined {
  if (isSystemForm(insn)) return SYSTEM_LIFTERS.get(insn.mnemonic);
  // MOVSD and CMPSD are also vector instructions: those have registers that are neither general nor system ones
  if (insn.operands.some((o) => o.kind === 'other')) return undefined;
  return LIFTERS.get(insn.mnemonic) ?? SYSTEM_LIFTERS.get(insn.mnemonic);
}

/** Appends the micro-ops of one instruction. */
export function lift(e: Emitter, insn: Decoded): void {
  e.begin(insn);
  const lifter = lifterOf(insn);
  if (lifter !== undefined) lifter(e);
  else if (insn.mnemonic === INVALID_MNEMONIC && insn.length > MAX_INSTRUCTION_BYTES) e.system(raiseOverlong);
  else e.system(raiseUndefinedOpcode);
}
