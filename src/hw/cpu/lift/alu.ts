import { Mnemonic } from 'iced-x86';
import { UOP } from '../uop';
import { CC } from '../../state/lazy-flags';
import { SLOT } from '../../state/layout';
import type { Emitter } from './emitter';
import type { Lifter, LifterTable } from './table';

/**
 * Results go straight into a 32- or 64-bit register destination where the flags need only the result; otherwise through a temporary, because lazy
 * flags of ADD and SUB keep the operands and one of them is about to be overwritten.
 */
function directDestination(e: Emitter, width: number): number | undefined {
  const o = e.operand(0);
  return o.kind === 'gpr' && width >= 32 ? o.index : undefined;
}

/** ADD, SUB, CMP and their carry forms: destination op source, lazy flags. */
function addSub(kind: 'ADD' | 'SUB', withCarry: boolean, store: boolean): Lifter {
  return (e) => {
    const w = e.width(0);
    const wide = w === 64;
    const op = kind === 'ADD' ? (wide ? UOP.ADD64 : UOP.ADD32) : wide ? UOP.SUB64 : UOP.SUB32;
    const b = e.readLow(1, w);
    const target = store ? e.modifyLow(0, w) : undefined;
    const a = target ? target.value : e.readLow(0, w);
    let r = e.calc(op, a, b);
    if (withCarry) r = e.calc(op, r, e.carry());
    if (target) e.commit(target, r, () => e.flags(CC[kind], w, r, a, b));
    else e.flags(CC[kind], w, r, a, b);
  };
}

function logic(
  wideOp: typeof UOP.AND64 | typeof UOP.OR64 | typeof UOP.XOR64,
  op32: typeof UOP.AND32 | typeof UOP.OR32 | typeof UOP.XOR32,
): Lifter {
  return (e) => {
    const w = e.width(0);
    const op = w === 64 ? wideOp : op32;
    const b = e.readLow(1, w);
    const direct = directDestination(e, w);
    if (direct !== undefined) {
      e.op(op, direct, direct, b);
      e.flags(CC.LOGIC, w, direct);
      return;
    }
    const target = e.modifyLow(0, w);
    const r = e.calc(op, target.value, b);
    e.commit(target, r, () => e.flags(CC.LOGIC, w, r));
  };
}

const test: Lifter = (e) => {
  const w = e.width(0);
  const b = e.readLow(1, w);
  const r = e.calc(w === 64 ? UOP.AND64 : UOP.AND32, e.readLow(0, w), b);
  e.flags(CC.LOGIC, w, r);
};

function incDec(kind: 'INC' | 'DEC'): Lifter {
  return (e) => {
    const w = e.width(0);
    const op = w === 64 ? UOP.ADDI64 : UOP.ADDI32;
    const step = kind === 'INC' ? 1 : -1;
    const direct = directDestination(e, w);
    if (direct !== undefined) {
      e.op(op, direct, direct, step);
      e.flags(CC[kind], w, direct);
      return;
    }
    const target = e.modifyLow(0, w);
    const r = e.calc(op, target.value, step);
    e.commit(target, r, () => e.flags(CC[kind], w, r));
  };
}

const neg: Lifter = (e) => {
  const w = e.width(0);
  const target = e.modifyLow(0, w);
  const r = e.calc(w === 64 ? UOP.SUB64 : UOP.SUB32, SLOT.ZERO, target.value);
  e.commit(target, r, () => e.flags(CC.SUB, w, r, SLOT.ZERO, target.value));
};

const not: Lifter = (e) => {
  const w = e.width(0);
  const target = e.modifyLow(0, w);
  target.write(e.calc(w === 64 ? UOP.XOR64 : UOP.XOR32, target.value, e.constant(-1n)));
};

/** ADD ADC SUB SBB CMP AND OR XOR TEST INC DEC NEG NOT (SDM vol. 2). AF after the logical ones is undefined; it is cleared, as Intel's CPUs do. */
export const ALU: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Add, addSub('ADD', false, true)],
  [Mnemonic.Adc, addSub('ADD', true, true)],
  [Mnemonic.Sub, addSub('SUB', false, true)],
  [Mnemonic.Sbb, addSub('SUB', true, true)],
  [Mnemonic.Cmp, addSub('SUB', false, false)],
  [Mnemonic.And, logic(UOP.AND64, UOP.AND32)],
  [Mnemonic.Or, logic(UOP.OR64, UOP.OR32)],
  [Mnemonic.Xor, logic(UOP.XOR64, UOP.XOR32)],
  [Mnemonic.Test, test],
  [Mnemonic.Inc, incDec('INC')],
  [Mnemonic.Dec, incDec('DEC')],
  [Mnemonic.Neg, neg],
  [Mnemonic.Not, not],
]);
