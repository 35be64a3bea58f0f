import { compare, operate, squareRoot, type Operation, type Outcome } from '../../fpu/arithmetic';
import {
  DOUBLE,
  FP,
  INDEFINITE,
  SINGLE,
  isNaN,
  packDouble,
  packSingle,
  quieted,
  unpackDouble,
  unpackSingle,
  zero,
  type Float,
  type Format,
} from '../../fpu/float';
import { round, type RoundingControl } from '../../fpu/round';
import type { CpuState } from '../../state/cpu-state';
import { FLAG, setFlagResult } from '../lift/result-flags';
import type { Helper } from '../lift/helpers';
import { denormalsAreZero, isQuick, report, roundingControl } from './mxcsr';

/**
 * Arithmetic on lanes of single (32) or double (64) precision. An instruction's results are kept aside until the exceptions of all lanes are known. Ordinary values in the
 * ordinary rounding mode take a short way through JavaScript's numbers, which are doubles rounded to nearest, and whose singles come exact out of fround.
 */
export type Lane = 32 | 64;

/** Exceptions of the instruction so far. */
let before = 0;
let after = 0;
const singles = new Int32Array(4);
const doubles = new BigUint64Array(2);

const FORMAT: Readonly<Record<Lane, Format>> = { 32: SINGLE, 64: DOUBLE };

export const lane = (s: CpuState, width: Lane, slot: number, i: number): Float =>
  width === 32 ? unpackSingle(s.r32[slot * 2 + i] as number) : unpackDouble(s.r[slot + i] as bigint);
/** Lane i of slot, a denormal as zero under MXCSR.DAZ. */
const operandLane = (s: CpuState, width: Lane, slot: number, i: number): Float => {
  const f = lane(s, width, slot, i);
  return f.denormal && denormalsAreZero(s) ? zero(f.sign) : f;
};
function keep(width: Lane, i: number, f: Float): void {
  if (width === 32) singles[i] = packSingle(f);
  else doubles[i] = packDouble(f);
}
function copyLane(s: CpuState, width: Lane, i: number, slot: number): void {
  if (width === 32) singles[i] = s.r32[slot * 2 + i] as number;
  else doubles[i] = s.r[slot + i] as bigint;
}
/** Reports the exceptions and, unless one is to be raised, writes the first `count` lanes. */
function deliver(s: CpuState, width: Lane, d: number, count: number): number {
  const fault = report(s, before, after);
  if (fault !== 0) return fault;
  for (let i = 0; i < count; i++) {
    if (width === 32) s.r32[d * 2 + i] = singles[i] as number;
    else s.r[d + i] = doubles[i] as bigint;
  }
  return 0;
}
function start(): void {
  before = 0;
  after = 0;
}

/** A NaN operand as the result: the first operand if it is one (SDM vol. 1, table 4-7). */
function nanOf(x: Float, y: Float): Float | undefined {
  if (!isNaN(x) && !isNaN(y)) return undefined;
  if (x.kind === 'signaling' || y.kind === 'signaling') before |= FP.INVALID;
  return quieted(isNaN(x) ? x : y);
}

function settle(o: Outcome, format: Format, denormal: boolean, control: RoundingControl): Float {
  if (o.kind === 'invalid') {
    before |= FP.INVALID;
    return INDEFINITE;
  }
  if (o.kind === 'value') {
    before |= o.flags | (denormal && o.flags === 0 ? FP.DENORMAL : 0);
    return o.value;
  }
  if (denormal) before |= FP.DENORMAL;
  const r = round(o.value, format, control);
  after |= r.flags;
  return r.value;
}

const SMALLEST: Readonly<Record<Lane, number>> = { 32: 2 ** -126, 64: 2 ** -1022 };
const LARGEST: Readonly<Record<Lane, number>> = { 32: (2 - 2 ** -23) * 2 ** 127, 64: Number.MAX_VALUE };
/** Zero or normal. */
const isPlain = (x: number, width: Lane): boolean => {
  const size = Math.abs(x);
  return (size >= SMALLEST[width] && size <= LARGEST[width]) || x === 0;
};

/** x ∘ y as a number, or NaN if the short way does not do: operands or result not plain, or a result that may have come of underflow. */
function shortcut(op: Operation, x: number, y: number, width: Lane): number {
  if (!isPlain(x, width) || !isPlain(y, width)) return NaN;
  let r: number;
  switch (op) {
    case 'add':
      r = x + y;
      break;
    case 'sub':
      r = x - y;
      break;
    case 'mul':
      if (x === 0 || y === 0) return x * y;
      r = x * y;
      break;
    case 'div':
      if (x === 0 || y === 0) return y === 0 ? NaN : x / y;
      r = x / y;
      break;
  }
  if (width === 32) r = Math.fround(r);
  const size = Math.abs(r);
  if (size > SMALLEST[width] && size <= LARGEST[width]) return r;
  return r === 0 && (op === 'add' || op === 'sub') ? r : NaN;
}

const lanesOf = (width: Lane, packed: boolean): number => (packed ? 128 / width : 1);
const numbers = (s: CpuState, width: Lane): Float32Array | Float64Array => (width === 32 ? s.f32 : s.f64);

/** ADD SUB MUL DIV: d ← a ∘ b, the lowest lane alone if not packed. */
export function binary(op: Operation, width: Lane, packed: boolean): Helper {
  const count = lanesOf(width, packed);
  const format = FORMAT[width];
  const perSlot = 64 / width;
  return (s, d, a, b) => {
    if (isQuick(s)) {
      const n = numbers(s, width);
      let i = 0;
      const results = width === 32 ? quickSingles : quickDoubles;
      for (; i < count; i++) {
        const r = shortcut(op, n[a * perSlot + i] as number, n[b * perSlot + i] as number, width);
        if (r !== r) break;
        results[i] = r;
      }
      if (i === count) {
        for (i = 0; i < count; i++) n[d * perSlot + i] = results[i] as number;
        return 0;
      }
    }
    start();
    const control = roundingControl(s);
    for (let i = 0; i < count; i++) {
      const x = operandLane(s, width, a, i);
      const y = operandLane(s, width, b, i);
      keep(
        width,
        i,
        nanOf(x, y) ?? settle(operate(op, x, y, control.rounding), format, x.denormal || y.denormal, control),
      );
    }
    return deliver(s, width, d, count);
  };
}
const quickSingles = new Float32Array(4);
const quickDoubles = new Float64Array(2);

/** SQRT: d ← √b. */
export function sqrt(width: Lane, packed: boolean): Helper {
  const count = lanesOf(width, packed);
  const perSlot = 64 / width;
  return (s, d, _a, b) => {
    if (isQuick(s)) {
      const n = numbers(s, width);
      let i = 0;
      for (; i < count; i++) {
        const x = n[b * perSlot + i] as number;
        if (!(isPlain(x, width) && x > 0)) break;
      }
      if (i === count) {
        // the root of a single is exact enough in double precision to be rounded once more
        for (i = 0; i < count; i++) n[d * perSlot + i] = Math.sqrt(n[b * perSlot + i] as number);
        return 0;
      }
    }
    start();
    const control = roundingControl(s);
    for (let i = 0; i < count; i++) {
      const x = operandLane(s, width, b, i);
      keep(width, i, nanOf(x, x) ?? settle(squareRoot(x), FORMAT[width], x.denormal, control));
    }
    return deliver(s, width, d, count);
  };
}

/** MIN and MAX: the second operand where either is a NaN (which is invalid, quiet ones too) or both are zero (SDM vol. 2, MINPD). */
export function extreme(max: boolean, width: Lane, packed: boolean): Helper {
  const count = lanesOf(width, packed);
  const perSlot = 64 / width;
  return (s, d, a, b) => {
    start();
    const n = numbers(s, width);
    for (let i = 0; i < count; i++) {
      const p = n[a * perSlot + i] as number;
      const q = n[b * perSlot + i] as number;
      if (isPlain(p, width) && isPlain(q, width)) {
        copyLane(s, width, i, (max ? p > q : p < q) ? a : b);
        continue;
      }
      const x = operandLane(s, width, a, i);
      const y = operandLane(s, width, b, i);
      if (isNaN(x) || isNaN(y)) {
        before |= FP.INVALID;
        // a NaN unchanged, even if signaling
        if (isNaN(y)) copyLane(s, width, i, b);
        else keep(width, i, y);
        continue;
      }
      if (x.denormal || y.denormal) before |= FP.DENORMAL;
      const c = compare(x, y);
      keep(width, i, (max ? c > 0 : c < 0) ? x : y);
    }
    return deliver(s, width, d, count);
  };
}

/** Whether predicate 0–3 (equal, less, less or equal, unordered) holds; 4–7 are their opposites (SDM vol. 2, table 3-1). */
function holds(predicate: number, order: -1 | 0 | 1 | undefined): boolean {
  const base = predicate & 3;
  const yes =
    order === undefined ? base === 3 : base === 0 ? order === 0 : base === 1 ? order < 0 : base === 2 && order <= 0;
  return yes !== (predicate & 4) > 0;
}
/** Predicates for which quiet NaNs are invalid too: LT LE NLT NLE. */
const isSignaling = (predicate: number): boolean => (predicate & 3) === 1 || (predicate & 3) === 2;

/** Order of two lanes, undefined if unordered, noting exceptions. */
function order(x: Float, y: Float, signaling: boolean): -1 | 0 | 1 | undefined {
  if (isNaN(x) || isNaN(y)) {
    if (signaling || x.kind === 'signaling' || y.kind === 'signaling') before |= FP.INVALID;
    return undefined;
  }
  if (x.denormal || y.denormal) before |= FP.DENORMAL;
  return compare(x, y);
}

/** CMPPS and its kin for one predicate: all ones or zero. */
export function compareLanes(predicate: number, width: Lane, packed: boolean): Helper {
  const count = lanesOf(width, packed);
  const perSlot = 64 / width;
  return (s, d, a, b) => {
    start();
    const n = numbers(s, width);
    for (let i = 0; i < count; i++) {
      const p = n[a * perSlot + i] as number;
      const q = n[b * perSlot + i] as number;
      const c =
        isPlain(p, width) && isPlain(q, width)
          ? p < q
            ? -1
            : p > q
              ? 1
              : 0
          : order(operandLane(s, width, a, i), operandLane(s, width, b, i), isSignaling(predicate));
      const yes = holds(predicate, c);
      if (width === 32) singles[i] = yes ? -1 : 0;
      else doubles[i] = yes ? 0xffff_ffff_ffff_ffffn : 0n;
    }
    return deliver(s, width, d, count);
  };
}

/** COMIS (`signaling`: quiet NaNs are invalid) and UCOMIS: ZF PF CF to slot d, the other arithmetic flags cleared. */
export function compareToFlags(signaling: boolean, width: Lane): Helper {
  const perSlot = 64 / width;
  return (s, d, a, b) => {
    const n = numbers(s, width);
    const p = n[a * perSlot] as number;
    const q = n[b * perSlot] as number;
    if (isPlain(p, width) && isPlain(q, width)) {
      setFlagResult(s, d, p < q ? FLAG.CF : p === q ? FLAG.ZF : 0);
      return 0;
    }
    start();
    const c = order(operandLane(s, width, a, 0), operandLane(s, width, b, 0), signaling);
    const fault = report(s, before, 0);
    if (fault === 0)
      setFlagResult(s, d, c === undefined ? FLAG.ZF | FLAG.PF | FLAG.CF : c < 0 ? FLAG.CF : c === 0 ? FLAG.ZF : 0);
    return fault;
  };
}

/**
 * RCP and RSQRT: approximations with a relative error of at most 1.5 × 2^−12 and no exceptions (SDM vol. 2). Which ones is the processor's choice: here the exact
 * value rounded to 12 bits. Denormal operands count as zero, and denormal results become zero.
 */
export function approximate(root: boolean, packed: boolean): Helper {
  const count = lanesOf(32, packed);
  return (s, d, _a, b) => {
    for (let i = 0; i < count; i++) {
      const f = lane(s, 32, b, i);
      if (isNaN(f)) {
        s.r32[d * 2 + i] = packSingle(quieted(f));
        continue;
      }
      const x = f.denormal ? (f.sign ? -0 : 0) : (s.f32[b * 2 + i] as number);
      if (root && x < 0) s.r32[d * 2 + i] = packSingle(INDEFINITE);
      else s.f32[d * 2 + i] = twelveBits(root ? (x === 0 ? 1 / x : 1 / Math.sqrt(x)) : 1 / x);
    }
    return 0;
  };
}
const bitsOfSingle = new Float32Array(1);
const wordOfSingle = new Int32Array(bitsOfSingle.buffer);
function twelveBits(x: number): number {
  if (Math.abs(x) < SMALLEST[32]) return x < 0 || Object.is(x, -0) ? -0 : 0;
  bitsOfSingle[0] = x;
  wordOfSingle[0] = ((wordOfSingle[0] as number) + 0x800) & ~0xfff;
  return Number.isFinite(x) ? bitsOfSingle[0] : x;
}
