import {
  DOUBLE,
  FP,
  SINGLE,
  fromInteger,
  isNaN,
  packDouble,
  packSingle,
  quieted,
  zero,
  TOWARD_ZERO,
  type Float,
  type Rounding,
} from '../../fpu/float';
import { exact, round, roundToInteger } from '../../fpu/round';
import type { CpuState } from '../../state/cpu-state';
import type { Helper } from '../lift/helpers';
import { lane, type Lane } from './arithmetic';
import { denormalsAreZero, report, roundingControl, roundingOf } from './mxcsr';

/** Conversions between singles, doubles and integers (SDM vol. 1, 11.6 and tables 11-2 and 11-3). `before` and `after`: exceptions of operands and of results. */
let before = 0;
let after = 0;
const words = new Int32Array(4);

const input = (s: CpuState, width: Lane, slot: number, i: number): Float => {
  const f = lane(s, width, slot, i);
  return f.denormal && denormalsAreZero(s) ? zero(f.sign) : f;
};

/** A finite value in the other floating-point format; NaNs keep the upper bits of their payload. */
function resized(s: CpuState, f: Float, to: Lane): Float {
  if (isNaN(f)) {
    if (f.kind === 'signaling') before |= FP.INVALID;
    return quieted(f);
  }
  if (f.denormal) before |= FP.DENORMAL;
  if (f.kind !== 'finite') return f;
  const r = round(exact(f.sign, f.significand, f.exponent), to === 32 ? SINGLE : DOUBLE, roundingControl(s));
  after |= r.flags;
  return r.value;
}

/** A signed integer of `width` bits; what does not fit is invalid, and the indefinite integer (the most negative). */
function integer(f: Float, width: Lane, rounding: Rounding): bigint {
  const indefinite = -(1n << BigInt(width - 1));
  if (f.kind === 'zero') return 0n;
  if (f.kind === 'finite' && f.exponent < 64) {
    const r = roundToInteger(exact(f.sign, f.significand, f.exponent), rounding);
    const n = f.sign === 1 ? -r.significand : r.significand;
    if (BigInt.asIntN(width, n) === n) {
      if (r.inexact) after |= FP.PRECISION;
      return n;
    }
  }
  before |= FP.INVALID;
  return indefinite;
}

function fromWhole(s: CpuState, n: bigint, to: Lane): Float {
  if (n === 0n) return zero(0);
  const f = fromInteger(n);
  const r = round(exact(f.sign, f.significand, 0), to === 32 ? SINGLE : DOUBLE, roundingControl(s));
  after |= r.flags;
  return r.value;
}

function begin(): void {
  before = 0;
  after = 0;
}

/** CVTSS2SD and CVTSD2SS: the lowest lane of b into that of d. */
export const scalarResize =
  (from: Lane): Helper =>
  (s, d, _a, b) => {
    begin();
    const f = resized(s, input(s, from, b, 0), from === 32 ? 64 : 32);
    const fault = report(s, before, after);
    if (fault !== 0) return fault;
    if (from === 32) s.r[d] = packDouble(f);
    else s.r32[d * 2] = packSingle(f);
    return 0;
  };

/** CVTPS2PD: two singles to two doubles. */
export const widen: Helper = (s, d, _a, b) => {
  begin();
  const low = resized(s, input(s, 32, b, 0), 64);
  const high = resized(s, input(s, 32, b, 1), 64);
  const fault = report(s, before, after);
  if (fault !== 0) return fault;
  s.r[d] = packDouble(low);
  s.r[d + 1] = packDouble(high);
  return 0;
};
/** CVTPD2PS: two doubles to two singles; the upper half becomes zero. */
export const narrow: Helper = (s, d, _a, b) => {
  begin();
  const low = packSingle(resized(s, input(s, 64, b, 0), 32));
  const high = packSingle(resized(s, input(s, 64, b, 1), 32));
  const fault = report(s, before, after);
  if (fault !== 0) return fault;
  s.r32[d * 2] = low;
  s.r32[d * 2 + 1] = high;
  s.r[d + 1] = 0n;
  return 0;
};

/** CVT(T)SS2SI and CVT(T)SD2SI: into slot d, zero-extended. */
export const toInteger =
  (from: Lane, to: Lane, truncate: boolean): Helper =>
  (s, d, _a, b) => {
    const x = from === 64 ? (s.f64[b] as number) : (s.f32[b * 2] as number);
    // most of what programs convert: truncation of something that fits 32 bits
    const size = Math.abs(x);
    if (truncate && size < 2147483648 && (size >= 1 || x === 0)) {
      const n = Math.trunc(x);
      const fault = n === x ? 0 : report(s, 0, FP.PRECISION);
      if (fault !== 0) return fault;
      s.r32[d * 2] = n;
      s.r32[d * 2 + 1] = to === 64 && n < 0 ? -1 : 0;
      return 0;
    }
    begin();
    const n = integer(input(s, from, b, 0), to, truncate ? TOWARD_ZERO : roundingOf(s));
    const fault = report(s, before, after);
    if (fault === 0) s.r[d] = BigInt.asUintN(to, n);
    return fault;
  };

/** CVTSI2SS and CVTSI2SD: the integer in slot b. */
export const scalarFromInteger =
  (from: Lane, to: Lane): Helper =>
  (s, d, _a, b) => {
    if (to === 64 && from === 32) {
      s.f64[d] = s.r32[b * 2] as number;
      return 0;
    }
    begin();
    const f = fromWhole(s, from === 32 ? BigInt(s.r32[b * 2] as number) : BigInt.asIntN(64, s.r[b] as bigint), to);
    const fault = report(s, before, after);
    if (fault !== 0) return fault;
    if (to === 64) s.r[d] = packDouble(f);
    else s.r32[d * 2] = packSingle(f);
    return 0;
  };

/** CVTDQ2PS. */
export const integersToSingles: Helper = (s, d, _a, b) => {
  begin();
  for (let i = 0; i < 4; i++) words[i] = packSingle(fromWhole(s, BigInt(s.r32[b * 2 + i] as number), 32));
  const fault = report(s, before, after);
  if (fault === 0) for (let i = 0; i < 4; i++) s.r32[d * 2 + i] = words[i] as number;
  return fault;
};
/** CVTDQ2PD: the two lower integers; always exact. */
export const integersToDoubles: Helper = (s, d, _a, b) => {
  const low = s.r32[b * 2] as number;
  const high = s.r32[b * 2 + 1] as number;
  s.f64[d] = low;
  s.f64[d + 1] = high;
  return 0;
};
/** CVT(T)PS2DQ. */
export const singlesToIntegers =
  (truncate: boolean): Helper =>
  (s, d, _a, b) => {
    begin();
    const rounding = truncate ? TOWARD_ZERO : roundingOf(s);
    for (let i = 0; i < 4; i++) words[i] = Number(integer(input(s, 32, b, i), 32, rounding));
    const fault = report(s, before, after);
    if (fault === 0) for (let i = 0; i < 4; i++) s.r32[d * 2 + i] = words[i] as number;
    return fault;
  };
/** CVT(T)PD2DQ; the upper half becomes zero. */
export const doublesToIntegers =
  (truncate: boolean): Helper =>
  (s, d, _a, b) => {
    begin();
    const rounding = truncate ? TOWARD_ZERO : roundingOf(s);
    const low = Number(integer(input(s, 64, b, 0), 32, rounding));
    const high = Number(integer(input(s, 64, b, 1), 32, rounding));
    const fault = report(s, before, after);
    if (fault !== 0) return fault;
    s.r32[d * 2] = low;
    s.r32[d * 2 + 1] = high;
    s.r[d + 1] = 0n;
    return 0;
  };
