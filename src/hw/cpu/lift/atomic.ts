import { Mnemonic } from 'iced-x86';
import { HELPER_FAULT } from '../helper-faults';
import { CC } from '../../state/lazy-flags';
import { SLOT } from '../../state/layout';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';
import { FLAG, currentFlags, setFlagResult } from './result-flags';
import type { Lifter, LifterTable } from './table';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;

/** XADD: source ← old destination, destination ← sum. With the same register twice the sum stays, being written last. */
const xadd: Lifter = (e) => {
  const w = e.width(0);
  const b = w === 64 ? e.calc(UOP.MOV, e.read(1, w), 0) : e.read(1, w);
  const target = e.modify(0, w);
  const a = w === 64 && !target.inMemory ? e.calc(UOP.MOV, target.value, 0) : target.value;
  const r = e.add(w, a, b);
  if (target.inMemory) target.write(r);
  e.flags(CC.ADD, w, r, a, b);
  e.write(1, a, w);
  if (!target.inMemory) target.write(r);
};

/**
 * CMPXCHG: the destination is written in either case, with its old value when the comparison fails (SDM vol. 2, CMPXCHG); the accumulator only then.
 */
const cmpxchg: Lifter = (e) => {
  const w = e.width(0);
  const source = e.read(1, w);
  const accumulator = w === 64 ? e.calc(UOP.MOV, RAX, 0) : e.getGpr(RAX, w);
  const target = e.modify(0, w);
  const old = w === 64 && !target.inMemory ? e.calc(UOP.MOV, target.value, 0) : target.value;
  const difference = e.sub(w, accumulator, old);
  if (target.inMemory) {
    const stored = e.calc(UOP.MOV, old, 0);
    const differ = e.branch(UOP.BRNZ, difference);
    e.op(UOP.MOV, stored, source, 0);
    differ();
    target.write(stored);
  }
  e.flags(CC.SUB, w, difference, accumulator, old);
  const differ = e.branch(UOP.BRNZ, difference);
  if (!target.inMemory) target.write(source);
  const done = e.branch(UOP.BR);
  differ();
  e.putGpr(RAX, w, old);
  done();
};

/** Whether the pair in slots a and a + 1 equals that in b and b + 1: 1 or 0 to d, the flags with ZF saying the same to d + 1. */
const pairEquals: Helper = (s, d, a, b) => {
  const equal = s.get(a) === s.get(b) && s.get(a + 1) === s.get(b + 1);
  s.set32(d, equal ? 1 : 0);
  setFlagResult(s, d + 1, (currentFlags(s) & ~FLAG.ZF) | (equal ? FLAG.ZF : 0));
  return 0;
};

/** #GP(0) unless slot a plus the 32-bit displacement in slot b is 16-byte aligned (CMPXCHG16B). */
const aligned16: Helper = (s, _d, a, b) => (((s.get32(a) + s.get32(b)) & 15) !== 0 ? HELPER_FAULT.ALIGNMENT_SLOTS : 0);

/** CMPXCHG8B and CMPXCHG16B: EDX:EAX (RDX:RAX) compared with memory, ECX:EBX (RCX:RBX) stored on equality. Only ZF changes. */
function cmpxchgPair(w: 32 | 64): Lifter {
  return (e: Emitter) => {
    const o = e.operand(0);
    if (o.kind !== 'memory') return;
    // the segment check covers all 8 bytes; in 64-bit code there is no limit to check
    const at = e.address(o.memory, 64, true);
    if (w === 64) e.help(aligned16, SLOT.VALUE, at.slot, e.constant(at.displacement));
    const upper = { slot: e.calc(UOP.ADDI64, at.slot, at.displacement), displacement: w / 8, stack: at.stack };
    e.probe(at, w / 4, true);
    const low = e.temp();
    const high = e.temp();
    e.load(at, w, true, low);
    e.load(upper, w, true, high);
    const wantedLow = e.temp();
    const wantedHigh = e.temp();
    e.putGpr(wantedLow, w, RAX);
    e.putGpr(wantedHigh, w, RDX);
    const d = e.helpMany(pairEquals, 2, low, wantedLow);
    const newLow = e.calc(UOP.MOV, low, 0);
    const newHigh = e.calc(UOP.MOV, high, 0);
    const differ = e.branch(UOP.BRZ, d);
    e.op(UOP.MOV, newLow, RBX, 0);
    e.op(UOP.MOV, newHigh, RCX, 0);
    differ();
    e.store(at, w, newLow);
    e.store(upper, w, newHigh);
    e.putFlags(d + 1);
    const equal = e.branch(UOP.BRNZ, d);
    e.putGpr(RAX, w, low);
    e.putGpr(RDX, w, high);
    equal();
  };
}

/** XADD CMPXCHG CMPXCHG8B CMPXCHG16B (SDM vol. 2). One instruction is never interleaved with another CPU's, so LOCK needs nothing more. */
export const ATOMIC: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Xadd, xadd],
  [Mnemonic.Cmpxchg, cmpxchg],
  [Mnemonic.Cmpxchg8b, cmpxchgPair(32)],
  [Mnemonic.Cmpxchg16b, cmpxchgPair(64)],
]);
