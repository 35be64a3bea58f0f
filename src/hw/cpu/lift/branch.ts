import { Mnemonic } from 'iced-x86';
import { SLOT } from '../../state/layout';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import type { Lifter, LifterTable } from './table';

const RCX = 1;

/** RIP of this instruction plus `n`, truncated to the operand size. */
function ripPlus(e: Emitter, n: number): number {
  const from = e.insn.offset + n;
  if (e.insn.operandBits === 64) return e.calc(UOP.ADD64, SLOT.RIP, e.constant(BigInt(from)));
  return e.addImmediate(e.insn.operandBits, SLOT.RIP, from);
}

/** Displacement of a near target from the next instruction, as the jump micro-ops take it. */
function displacement(e: Emitter): number {
  const o = e.operand(0);
  return o.kind === 'near' ? o.offset - e.insn.length : 0;
}

const jmp: Lifter = (e) => {
  if (e.operand(0).kind === 'near') {
    e.jump(displacement(e));
    return;
  }
  const target = e.read(0, e.insn.operandBits);
  e.checkTarget(target);
  e.jumpTo(target);
};

const call: Lifter = (e) => {
  const w = e.insn.operandBits;
  const o = e.operand(0);
  // CALL RSP and CALL [RSP] go by the value before the push
  const target =
    o.kind === 'near'
      ? ripPlus(e, o.offset)
      : o.kind === 'gpr' && w === 64
        ? e.calc(UOP.MOV, o.index, 0)
        : e.read(0, w);
  e.checkTarget(target);
  e.push(ripPlus(e, e.insn.length), w);
  if (o.kind === 'near') e.jump(displacement(e));
  else e.jumpTo(target);
};

/** RET and RET n. */
const ret: Lifter = (e) => {
  const w = e.insn.operandBits;
  const o = e.insn.operands[0];
  const release = o?.kind === 'immediate' ? Number(o.value) : 0;
  const target = e.peek(w);
  e.checkTarget(target);
  e.dropStack(w / 8 + release);
  e.jumpTo(target);
};

function jcc(cc: number): Lifter {
  return (e) => e.jumpIf(cc, displacement(e));
}

/** LOOP LOOPE LOOPNE: (E/R)CX less one, by address size; taken while it is not zero (and ZF is as wanted). RCX changes only if RIP may. */
function loop(zf: 'any' | 'set' | 'clear'): Lifter {
  return (e) => {
    const bits = e.insn.addressBits;
    const count = e.addImmediate(bits, e.getGpr(RCX, bits), -1);
    let taken = count;
    if (zf !== 'any') {
      const wanted = e.setcc(zf === 'set' ? 4 : 5);
      const skip = e.branch(UOP.BRNZ, count);
      e.op(UOP.MOV, wanted, SLOT.ZERO, 0);
      skip();
      taken = wanted;
    }
    const stays = e.branch(UOP.BRZ, taken);
    e.checkTarget(ripPlus(e, displacement(e) + e.insn.length));
    stays();
    e.putGpr(RCX, bits, count);
    e.jumpIfSlot(taken, false, displacement(e));
  };
}

/** JCXZ JECXZ JRCXZ, by address size. */
const jcxz: Lifter = (e) => e.jumpIfSlot(e.getGpr(RCX, e.insn.addressBits), true, displacement(e));

const JCC = [
  Mnemonic.Jo,
  Mnemonic.Jno,
  Mnemonic.Jb,
  Mnemonic.Jae,
  Mnemonic.Je,
  Mnemonic.Jne,
  Mnemonic.Jbe,
  Mnemonic.Ja,
  Mnemonic.Js,
  Mnemonic.Jns,
  Mnemonic.Jp,
  Mnemonic.Jnp,
  Mnemonic.Jl,
  Mnemonic.Jge,
  Mnemonic.Jle,
  Mnemonic.Jg,
] as const;

/** Near JMP CALL RET Jcc LOOPcc JCXZ (SDM vol. 2); far ones are system forms. */
export const BRANCH: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Jmp, jmp],
  [Mnemonic.Call, call],
  [Mnemonic.Ret, ret],
  ...JCC.map((m, cc): [number, Lifter] => [m, jcc(cc)]),
  [Mnemonic.Loop, loop('any')],
  [Mnemonic.Loope, loop('set')],
  [Mnemonic.Loopne, loop('clear')],
  [Mnemonic.Jcxz, jcxz],
  [Mnemonic.Jecxz, jcxz],
  [Mnemonic.Jrcxz, jcxz],
]);
