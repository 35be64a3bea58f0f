import { Mnemonic } from 'iced-x86';
import { UOP } from '../uop';
import { CC } from '../../state/lazy-flags';
import type { Emitter } from './emitter';
import type { Lifter } from './table';

/** ADD, SUB, CMP and their carry forms: destination op source, lazy flags. */
function addSub(kind: 'ADD' | 'SUB', withCarry: boolean, store: boolean): Lifter {
  return (e) => {
    const w = e.width(0);
    const b = e.read(1, w);
    const target = store ? e.modify(0, w) : { value: e.read(0, w), write: () => undefined };
    // the flags keep the operands as they were: a register destination is about to change
    const a = w === 64 ? e.calc(UOP.MOV, target.value, 0) : target.value;
    const bb = w === 64 ? e.calc(UOP.MOV, b, 0) : b;
    let r = kind === 'ADD' ? e.add(w, a, bb) : e.sub(w, a, bb);
    if (withCarry) r = kind === 'ADD' ? e.add(w, r, e.carry()) : e.sub(w, r, e.carry());
    target.write(r);
    e.flags(CC[kind], w, r, a, bb);
  };
}

function logic(op: typeof UOP.AND64 | typeof UOP.OR64 | typeof UOP.XOR64, store: boolean): Lifter {
  return (e) => {
    const w = e.width(0);
    const b = e.read(1, w);
    const target = store ? e.modify(0, w) : { value: e.read(0, w), write: () => undefined };
    const r = e.logic(op, target.value, b);
    target.write(r);
    e.flags(CC.LOGIC, w, r);
  };
}

function incDec(kind: 'INC' | 'DEC'): Lifter {
  return (e) => {
    const w = e.width(0);
    const target = e.modify(0, w);
    const r = e.addImmediate(w, target.value, kind === 'INC' ? 1 : -1);
    target.write(r);
    e.flags(CC[kind], w, r);
  };
}

const neg: Lifter = (e: Emitter) => {
  const w = e.width(0);
  const target = e.modify(0, w);
  const b = w === 64 ? e.calc(UOP.MOV, target.value, 0) : target.value;
  const zero = e.constant(0n);
  const r = e.sub(w, zero, b);
  target.write(r);
  e.flags(CC.SUB, w, r, zero, b);
};

const not: Lifter = (e) => {
  const w = e.width(0);
  const target = e.modify(0, w);
  target.write(e.not(w, target.value));
};

/** ADD ADC SUB SBB CMP AND OR XOR TEST INC DEC NEG NOT (SDM vol. 2). */
export const ALU: ReadonlyMap<number, Lifter> = new Map<number, Lifter>([
  [Mnemonic.Add, addSub('ADD', false, true)],
  [Mnemonic.Adc, addSub('ADD', true, true)],
  [Mnemonic.Sub, addSub('SUB', false, true)],
  [Mnemonic.Sbb, addSub('SUB', true, true)],
  [Mnemonic.Cmp, addSub('SUB', false, false)],
  [Mnemonic.And, logic(UOP.AND64, true)],
  [Mnemonic.Or, logic(UOP.OR64, true)],
  [Mnemonic.Xor, logic(UOP.XOR64, true)],
  [Mnemonic.Test, logic(UOP.AND64, false)],
  [Mnemonic.Inc, incDec('INC')],
  [Mnemonic.Dec, incDec('DEC')],
  [Mnemonic.Neg, neg],
  [Mnemonic.Not, not],
]);
