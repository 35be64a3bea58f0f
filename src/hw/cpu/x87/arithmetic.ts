import {
  compare,
  magnitudeExponent,
  operate,
  remainder,
  scaled,
  squareRoot,
  type Operation,
  type Outcome,
} from '../../fpu/arithmetic';
import { EXTENDED, FP, INDEFINITE, finite, fromInteger, infinity, isNaN, ONE, zero, type Float } from '../../fpu/float';
import { exact, round, roundToInteger, type Exact } from '../../fpu/round';
import * as functions from '../../fpu/transcendental';
import type { Transcendental } from '../../fpu/transcendental';
import type { CpuState } from '../../state/cpu-state';
import { SLOT } from '../../state/layout';
import type { Helper } from '../lift/helpers';
import { nanResult, operandOf, type Source } from './operands';
import {
  FSW,
  isEmpty,
  note,
  pop,
  precision,
  push,
  readSt,
  roundingControl,
  setStatusWord,
  statusWord,
  top,
  underflow,
  unmasked,
  writeSt,
} from './registers';

/** A result with its exceptions. `up`: C1. */
interface Result {
  readonly value: Float;
  readonly flags: number;
  readonly up: boolean;
}
const invalid: Result = { value: INDEFINITE, flags: FP.INVALID, up: false };
/** Exceptions found in the operands, before there is a result: unmasked they withhold it. */
export const BEFORE = FP.INVALID | FP.DENORMAL | FP.ZERO_DIVIDE;

const denormal = (...operands: readonly Float[]): number => (operands.some((f) => f.denormal) ? FP.DENORMAL : 0);

function rounded(s: CpuState, x: Exact, flags: number, bits: number): Result {
  if (unmasked(s, flags) !== 0) return { value: INDEFINITE, flags, up: false };
  const r = round(x, EXTENDED, roundingControl(s), bits);
  return { value: r.value, flags: r.flags | flags, up: r.up };
}

function settled(s: CpuState, o: Outcome | Transcendental, flags: number, bits: number): Result | undefined {
  switch (o.kind) {
    case 'range':
      return undefined;
    case 'invalid':
      return invalid;
    case 'value':
      // a division by zero comes before a denormal operand
      return { value: o.value, flags: o.flags || flags, up: false };
    case 'exact':
      return rounded(s, o.value, flags, bits);
  }
}

/** Notes the exceptions; true if the result is to be written. */
const accepted = (s: CpuState, r: Result): boolean => (note(s, r.flags, r.up) & BEFORE) === 0;

/**
 * FADD FSUB FMUL FDIV in all forms: ST(d) ← ST(d) ∘ source, or the other way round, then b pops. The source is register a or the memory value in slot a.
 */
export function binary(op: Operation, reversed: boolean, source: Source): Helper {
  return (s, d, a, b) => {
    const y = operandOf(s, source, a);
    if (isEmpty(s, d) || y === undefined) {
      if (underflow(s)) {
        writeSt(s, d, INDEFINITE);
        pop(s, b);
      }
      return 0;
    }
    const x = readSt(s, d);
    const [left, right] = reversed ? [y, x] : [x, y];
    const nan = nanResult(x, y);
    const r = nan
      ? { ...nan, up: false }
      : (settled(s, operate(op, left, right, roundingControl(s).rounding), denormal(x, y), precision(s)) ?? invalid);
    if (accepted(s, r)) {
      writeSt(s, d, r.value);
      pop(s, b);
    }
    return 0;
  };
}

/** An instruction that replaces ST(0) by a function of it. */
function unary(f: (s: CpuState, x: Float) => Result | undefined): Helper {
  return (s) => {
    if (isEmpty(s, 0)) {
      if (underflow(s)) writeSt(s, 0, INDEFINITE);
      return 0;
    }
    const x = readSt(s, 0);
    const nan = nanResult(x, x);
    const r = nan ? { ...nan, up: false } : f(s, x);
    if (r === undefined) return outOfRange(s);
    if (accepted(s, r)) writeSt(s, 0, r.value);
    return 0;
  };
}
/** FSIN FCOS FSINCOS FPTAN: C2 says whether the operand was out of range. */
const ranged =
  (f: Helper): Helper =>
  (s, d, a, b) => {
    clearC2(s);
    return f(s, d, a, b);
  };
/** C2 set: the operand is too large, and stays. */
function outOfRange(s: CpuState): 0 {
  setStatusWord(s, (statusWord(s) & ~FSW.C1) | FSW.C2);
  return 0;
}
function clearC2(s: CpuState): void {
  setStatusWord(s, statusWord(s) & ~FSW.C2);
}

export const sqrt = unary((s, x) => settled(s, squareRoot(x), x.sign === 0 ? denormal(x) : 0, precision(s)));

export const roundToIntegral = unary((s, x) => {
  const flags = denormal(x);
  if (x.kind !== 'finite' || x.exponent >= 0 || unmasked(s, flags) !== 0) return { value: x, flags, up: false };
  const { rounding } = roundingControl(s);
  const r = roundToInteger(exact(x.sign, x.significand, x.exponent), rounding);
  const value = r.significand === 0n ? zero(x.sign) : finite(x.sign, r.significand, 0);
  return { value, flags: flags | (r.inexact ? FP.PRECISION : 0), up: r.up };
});

export const exponential = unary((s, x) => settled(s, functions.exponential(x), denormal(x), 64));
export const sine = ranged(unary((s, x) => settled(s, functions.sine(x), denormal(x), 64)));
export const cosine = ranged(unary((s, x) => settled(s, functions.cosine(x), denormal(x), 64)));

/** FABS and FCHS: of the sign bit alone, NaNs and unsupported encodings included. */
export const changeSign =
  (change: (signExponent: number) => number): Helper =>
  (s) => {
    if (isEmpty(s, 0)) {
      if (underflow(s)) writeSt(s, 0, INDEFINITE);
      return 0;
    }
    note(s, 0, false);
    const at = (SLOT.FPR + 2 * top(s) + 1) * 2;
    s.r32[at] = change(s.r32[at] as number);
    return 0;
  };

/** An instruction that puts a function of ST(1) and ST(0) in ST(1) and pops: FPATAN, FYL2X, FYL2XP1. */
function popping(f: (y: Float, x: Float) => Transcendental): Helper {
  return (s) => {
    if (isEmpty(s, 0) || isEmpty(s, 1)) {
      if (underflow(s)) {
        writeSt(s, 1, INDEFINITE);
        pop(s, 1);
      }
      return 0;
    }
    const x = readSt(s, 0);
    const y = readSt(s, 1);
    const nan = nanResult(y, x);
    const r = nan ? { ...nan, up: false } : (settled(s, f(y, x), denormal(x, y), 64) ?? invalid);
    if (accepted(s, r)) {
      writeSt(s, 1, r.value);
      pop(s, 1);
    }
    return 0;
  };
}
export const arctangent = popping(functions.arctangent);
export const logarithm = popping(functions.logarithm);
export const logarithmPlusOne = popping(functions.logarithmPlusOne);

/** An instruction with two results, of which the second is pushed: FSINCOS, FPTAN, FXTRACT. */
function pushing(f: (s: CpuState, x: Float) => readonly [Result, Float] | undefined): Helper {
  return (s) => {
    if (isEmpty(s, 0) || !isEmpty(s, 7)) {
      if (note(s, FP.INVALID | FSW.SF, !isEmpty(s, 0)) === 0) {
        writeSt(s, 0, INDEFINITE);
        push(s, INDEFINITE);
      }
      return 0;
    }
    const x = readSt(s, 0);
    const nan = nanResult(x, x);
    const r = nan ? ([{ ...nan, up: false }, nan.value] as const) : f(s, x);
    if (r === undefined) return outOfRange(s);
    if (accepted(s, r[0])) {
      writeSt(s, 0, r[0].value);
      push(s, r[1]);
    }
    return 0;
  };
}
export const sineAndCosine = ranged(
  pushing((s, x) => {
    const sin = settled(s, functions.sine(x), denormal(x), 64);
    const cos = settled(s, functions.cosine(x), denormal(x), 64);
    return sin && cos ? [{ ...sin, flags: sin.flags | cos.flags }, cos.value] : undefined;
  }),
);
export const tangent = ranged(
  pushing((s, x) => {
    const t = settled(s, functions.tangent(x), denormal(x), 64);
    return t && [t, t.flags & FP.INVALID ? INDEFINITE : ONE];
  }),
);
/** FXTRACT: the exponent as a number to ST(0), and on top of it the significand as 1.f with the sign. */
export const extract = pushing((_s, x) => {
  if (x.kind === 'zero') return [{ value: infinity(1), flags: FP.ZERO_DIVIDE, up: false }, x];
  if (x.kind === 'infinity') return [{ value: infinity(0), flags: 0, up: false }, x];
  const e = magnitudeExponent(x);
  return [
    { value: fromInteger(BigInt(e)), flags: denormal(x), up: false },
    { ...scaled(x, -e), denormal: false },
  ];
});

/** FPREM and FPREM1: ST(0) ← remainder by ST(1). Complete: C2 = 0, and C0 C3 C1 hold bits 2, 1, 0 of the quotient. */
export function partialRemainder(nearest: boolean): Helper {
  return (s) => {
    clearC2(s);
    if (isEmpty(s, 0) || isEmpty(s, 1)) {
      if (underflow(s)) writeSt(s, 0, INDEFINITE);
      return 0;
    }
    const x = readSt(s, 0);
    const y = readSt(s, 1);
    const nan = nanResult(x, y);
    const failed = nan ? { ...nan, up: false } : x.kind === 'infinity' || y.kind === 'zero' ? invalid : undefined;
    if (failed) {
      if (accepted(s, failed)) writeSt(s, 0, failed.value);
      return 0;
    }
    let value = x;
    let quotient = 0n;
    let complete = true;
    if (x.kind === 'finite' && y.kind === 'finite') ({ value, quotient, complete } = remainder(x, y, nearest));
    const flags = denormal(x, y);
    const r =
      value.kind === 'finite'
        ? rounded(s, exact(value.sign, value.significand, value.exponent), flags, 64)
        : { value, flags, up: false };
    if (!accepted(s, r)) return 0;
    writeSt(s, 0, r.value);
    const bits = (quotient & 4n ? FSW.C0 : 0) | (quotient & 2n ? FSW.C3 : 0) | (quotient & 1n ? FSW.C1 : 0);
    setStatusWord(s, (statusWord(s) & ~FSW.CONDITIONS) | (complete ? bits : FSW.C2));
    return 0;
  };
}

/** Beyond this a scaled value is out of range whatever it was. */
const SCALE_LIMIT = 70_000n;

/** FSCALE: ST(0) × 2^(ST(1) without its fraction) (SDM vol. 2, table 3-35). */
export const scale: Helper = (s) => {
  if (isEmpty(s, 0) || isEmpty(s, 1)) {
    if (underflow(s)) writeSt(s, 0, INDEFINITE);
    return 0;
  }
  const x = readSt(s, 0);
  const y = readSt(s, 1);
  const nan = nanResult(x, y);
  const r = nan ? { ...nan, up: false } : scaledBy(s, x, y);
  if (accepted(s, r)) writeSt(s, 0, r.value);
  return 0;
};
function scaledBy(s: CpuState, x: Float, y: Float): Result {
  const flags = denormal(x, y);
  if (y.kind === 'infinity') {
    if (x.kind === (y.sign === 1 ? 'infinity' : 'zero')) return invalid;
    return { value: y.sign === 1 ? zero(x.sign) : infinity(x.sign), flags, up: false };
  }
  if (x.kind !== 'finite' || y.kind !== 'finite') return { value: x, flags, up: false };
  let n: bigint;
  if (magnitudeExponent(y) > 40) n = SCALE_LIMIT;
  else n = y.exponent >= 0 ? y.significand << BigInt(y.exponent) : y.significand >> BigInt(-y.exponent);
  if (n > SCALE_LIMIT) n = SCALE_LIMIT;
  const r = rounded(s, exact(x.sign, x.significand, x.exponent + Number(y.sign === 1 ? -n : n)), flags, 64);
  if (r.value.kind !== 'finite') return r;
  // an exponent out of range even after the bias adjustment of an unmasked exception
  const e = magnitudeExponent(r.value);
  if (e > EXTENDED.maxExponent) return { value: infinity(x.sign), flags: r.flags | FP.PRECISION, up: true };
  const vanished = unmasked(s, r.flags & FP.UNDERFLOW) !== 0 && e < EXTENDED.minExponent;
  return vanished ? { value: zero(x.sign), flags: r.flags | FP.PRECISION, up: false } : r;
}

/** ST(0) against a source: C3 C2 C0, and what FCOMI makes of them. */
export type Order = 'below' | 'equal' | 'above' | 'unordered';
export interface Comparison {
  readonly order: Order;
  readonly flags: number;
}
/** `quiet`: quiet NaNs are no exception (FUCOM). */
export function compared(x: Float | undefined, y: Float | undefined, quiet: boolean): Comparison {
  if (x === undefined || y === undefined) return { order: 'unordered', flags: FP.INVALID | FSW.SF };
  if (x.kind === 'unsupported' || y.kind === 'unsupported') return { order: 'unordered', flags: FP.INVALID };
  if (isNaN(x) || isNaN(y)) {
    const signals = !quiet || x.kind === 'signaling' || y.kind === 'signaling';
    return { order: 'unordered', flags: signals ? FP.INVALID : 0 };
  }
  const c = compare(x, y);
  return { order: c < 0 ? 'below' : c > 0 ? 'above' : 'equal', flags: denormal(x, y) };
}
