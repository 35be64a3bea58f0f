import { Mnemonic } from 'iced-x86';
import { invariant } from '../../../base/assert';
import { SLOT } from '../../state/layout';
import { emptied, entered, mmSlot, ready, written } from '../mmx/state';
import * as convert from '../sse/convert';
import * as integer from '../sse/integer';
import * as shuffle from '../sse/shuffle';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';
import { LANES, PACKS, SHIFTS } from './packed-integers';
import { maskedStore } from './sse-moves';
import { immediate, requireSse, source, xmm } from './sse-operands';
import type { Lifter, LifterTable } from './table';

/**
 * MMX (SDM vol. 1, chapter 9), and what SSE and SSE2 added to it. Operands are taken into pairs of temporaries with a zero half above, on which the helpers of the 128-bit
 * instructions work; faults come first, then the registers and what the first MMX instruction does to x87.
 */

type Row = [number, Lifter];

/** The slot of MMX register operand i. */
function mm(e: Emitter, i: number): number {
  const o = e.operand(i);
  invariant(o.kind === 'mm', 'an MMX register operand');
  return mmSlot(o.index);
}
const pair = (e: Emitter): number => {
  const t = e.temp();
  e.temp();
  return t;
};
/** An MMX register, or memory of the operand's own size, as a pair of temporaries. */
function operandPair(e: Emitter, i: number): number {
  const o = e.operand(i);
  const t = pair(e);
  if (o.kind === 'mm') e.op(UOP.MOV, t, mmSlot(o.index), 0);
  else {
    invariant(o.kind === 'memory', 'an MMX source is a register or in memory');
    const width = o.memory.size === 4 ? 32 : 64;
    e.load(e.address(o.memory, width, false), width, false, t);
  }
  e.op(UOP.CONST, t + 1, 0, 0);
  return t;
}
/** Operand 0 ← slot. */
function put(e: Emitter, slot: number): void {
  const d = mm(e, 0);
  e.op(UOP.MOV, d, slot, 0);
  e.help(written, d);
}

/** mm ← f(mm, mm or memory): the low half of what f makes of both, or the high one. */
const combine =
  (f: Helper, half: 0 | 1 = 0): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    const b = operandPair(e, 1);
    const a = operandPair(e, 0);
    e.help(f, a, a, b);
    put(e, a + half);
  };
/** The two operands as the halves of one register, narrowed. */
const pack =
  (f: Helper): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    const b = operandPair(e, 1);
    const a = operandPair(e, 0);
    e.op(UOP.MOV, a + 1, b, 0);
    e.help(f, a, a, b);
    put(e, a);
  };
const bitwise =
  (
    op: typeof UOP.AND64 | typeof UOP.OR64 | typeof UOP.XOR64 | typeof UOP.ADD64 | typeof UOP.SUB64,
    invert = false,
  ): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    const b = operandPair(e, 1);
    const d = mm(e, 0);
    put(e, e.calc(op, invert ? e.not(64, d) : d, b));
  };
const shift = (f: (typeof SHIFTS)[number][1]): Lifter => {
  const byNumber = integer.shiftByNumber(f);
  const bySlot = integer.shiftBySlot(f);
  return (e) => {
    e.help(ready, SLOT.VALUE);
    const count = e.operand(1).kind === 'immediate' ? undefined : operandPair(e, 1);
    const a = operandPair(e, 0);
    if (count === undefined) e.help(byNumber, a, 0, immediate(e, 1));
    else e.help(bySlot, a, a, count);
    put(e, a);
  };
};

const pshufw: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  const a = operandPair(e, 1);
  e.help(shuffle.pshufw(false), a, a, immediate(e, 2));
  put(e, a);
};
const pinsrw: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  const w = e.readLow(1, 16);
  const a = operandPair(e, 0);
  e.help(shuffle.pinsrw, a, w, immediate(e, 2) & 3);
  put(e, a);
};
const pextrw: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  const t = e.temp();
  e.help(shuffle.pextrw, t, mm(e, 1), immediate(e, 2) & 3);
  e.help(entered, SLOT.VALUE);
  e.write(0, t);
};
const SIGNS = shuffle.signs(1);
const pmovmskb: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  const a = operandPair(e, 1);
  e.help(SIGNS, a, a);
  e.help(entered, SLOT.VALUE);
  e.write(0, a);
};

/** MOVD and MOVQ, also to and from general registers, and MOVNTQ. */
const move =
  (narrow: boolean): Lifter =>
  (e) => {
    e.help(ready, SLOT.VALUE);
    const to = e.operand(0);
    const from = e.operand(1);
    const width = narrow ? 32 : 64;
    if (to.kind !== 'mm') {
      e.write(0, mm(e, 1), width);
      e.help(entered, SLOT.VALUE);
    } else if (from.kind === 'mm') put(e, mm(e, 1));
    else put(e, e.read(1, width));
  };

const maskmovq: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  e.system(maskedStore);
};
const emms: Lifter = (e) => {
  e.help(ready, SLOT.VALUE);
  e.help(emptied, SLOT.VALUE);
};

const movq2dq: Lifter = (e) => {
  requireSse(e);
  e.help(ready, SLOT.VALUE);
  const d = xmm(e, 0);
  e.op(UOP.MOV, d, mm(e, 1), 0);
  e.op(UOP.CONST, d + 1, 0, 0);
  e.help(entered, SLOT.VALUE);
};
const movdq2q: Lifter = (e) => {
  requireSse(e);
  e.help(ready, SLOT.VALUE);
  put(e, xmm(e, 1));
};
/**
 * Two integers to the low singles, or to the doubles, of an XMM register. Integers in memory leave x87 alone; where x87 gives way it does so before a SIMD exception, as
 * processors do.
 */
const fromIntegers =
  (f: Helper, bytes: 8 | 16): Lifter =>
  (e) => {
    requireSse(e);
    const inRegister = e.operand(1).kind === 'mm';
    if (inRegister) e.help(ready, SLOT.VALUE);
    const b = operandPair(e, 1);
    const t = pair(e);
    if (inRegister) e.help(entered, SLOT.VALUE);
    e.help(f, t, t, b);
    const d = xmm(e, 0);
    e.op(UOP.MOV, d, t, 0);
    if (bytes === 16) e.op(UOP.MOV, d + 1, t + 1, 0);
  };
/** Two singles or doubles to integers. */
const toIntegers =
  (f: Helper, bytes: 8 | 16): Lifter =>
  (e) => {
    requireSse(e);
    e.help(ready, SLOT.VALUE);
    const from = source(e, 1, bytes);
    const t = pair(e);
    e.op(UOP.MOV, t, from, 0);
    if (bytes === 16) e.op(UOP.MOV, t + 1, from + 1, 0);
    else e.op(UOP.CONST, t + 1, 0, 0);
    e.help(entered, SLOT.VALUE);
    e.help(f, t, t, t);
    put(e, t);
  };

/** By mnemonic: instructions with an MMX register among their operands. */
export const MMX: LifterTable = new Map<number, Lifter>([
  ...LANES.map(([m, f]): Row => [m, combine(f)]),
  ...PACKS.map(([m, f]): Row => [m, pack(f)]),
  ...SHIFTS.map(([m, f]): Row => [m, shift(f)]),
  // of 64 bits each, the upper halves are the upper half of what the lower ones make of 128
  [Mnemonic.Punpcklbw, combine(shuffle.interleave(1, false))],
  [Mnemonic.Punpcklwd, combine(shuffle.interleave(2, false))],
  [Mnemonic.Punpckldq, combine(shuffle.interleave(4, false))],
  [Mnemonic.Punpckhbw, combine(shuffle.interleave(1, false), 1)],
  [Mnemonic.Punpckhwd, combine(shuffle.interleave(2, false), 1)],
  [Mnemonic.Punpckhdq, combine(shuffle.interleave(4, false), 1)],
  [Mnemonic.Pand, bitwise(UOP.AND64)],
  [Mnemonic.Pandn, bitwise(UOP.AND64, true)],
  [Mnemonic.Por, bitwise(UOP.OR64)],
  [Mnemonic.Pxor, bitwise(UOP.XOR64)],
  [Mnemonic.Paddq, bitwise(UOP.ADD64)],
  [Mnemonic.Psubq, bitwise(UOP.SUB64)],
  [Mnemonic.Pshufw, pshufw],
  [Mnemonic.Pinsrw, pinsrw],
  [Mnemonic.Pextrw, pextrw],
  [Mnemonic.Pmovmskb, pmovmskb],
  [Mnemonic.Movd, move(true)],
  [Mnemonic.Movq, move(false)],
  [Mnemonic.Movntq, move(false)],
  [Mnemonic.Maskmovq, maskmovq],
  [Mnemonic.Movq2dq, movq2dq],
  [Mnemonic.Movdq2q, movdq2q],
  [Mnemonic.Cvtpi2ps, fromIntegers(convert.integersToSingles, 8)],
  [Mnemonic.Cvtpi2pd, fromIntegers(convert.integersToDoubles, 16)],
  [Mnemonic.Cvtps2pi, toIntegers(convert.singlesToIntegers(false), 8)],
  [Mnemonic.Cvttps2pi, toIntegers(convert.singlesToIntegers(true), 8)],
  [Mnemonic.Cvtpd2pi, toIntegers(convert.doublesToIntegers(false), 16)],
  [Mnemonic.Cvttpd2pi, toIntegers(convert.doublesToIntegers(true), 16)],
]);
/** EMMS has no operands. */
export const MMX_CONTROL: LifterTable = new Map<number, Lifter>([[Mnemonic.Emms, emms]]);
