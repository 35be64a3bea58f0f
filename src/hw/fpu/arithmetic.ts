import { FP, bitLength, finite, infinity, negate, zero, DOWN, type Float, type Rounding, type Sign } from './float';
import { exact, type Exact } from './round';

/**
 * Operations on values that are not NaNs or unsupported: what comes out is a magnitude still to be rounded, a value that needs no rounding, or the exception
 * that has no ordinary result (INVALID; ZERO_DIVIDE answers with the infinity that its masked form gives).
 */
export type Outcome =
  | { readonly kind: 'exact'; readonly value: Exact }
  | { readonly kind: 'value'; readonly value: Float; readonly flags: number }
  | { readonly kind: 'invalid' };

const INVALID: Outcome = { kind: 'invalid' };
const plain = (value: Float, flags = 0): Outcome => ({ kind: 'value', value, flags });
const unrounded = (value: Exact): Outcome => ({ kind: 'exact', value });
const xor = (a: Sign, b: Sign): Sign => (a === b ? 0 : 1);

export type Operation = 'add' | 'sub' | 'mul' | 'div';

/** The sum of two finite values as a signed integer over the smaller exponent. */
function signedSum(a: Float, b: Float): { readonly sum: bigint; readonly exponent: number } {
  const exponent = Math.min(a.exponent, b.exponent);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  return { sum: (a.sign === 1 ? -x : x) + (b.sign === 1 ? -y : y), exponent };
}

/** `rounding` decides the sign of an exact zero difference: −0 only when rounding down. */
function add(a: Float, b: Float, rounding: Rounding): Outcome {
  if (a.kind === 'infinity') return b.kind === 'infinity' && a.sign !== b.sign ? INVALID : plain(a);
  if (b.kind === 'infinity') return plain(b);
  if (a.kind === 'zero' && b.kind === 'zero')
    return plain(a.sign === b.sign ? zero(a.sign) : zero(rounding === DOWN ? 1 : 0));
  if (b.kind === 'zero') return unrounded(exact(a.sign, a.significand, a.exponent));
  if (a.kind === 'zero') return unrounded(exact(b.sign, b.significand, b.exponent));
  const { sum, exponent } = signedSum(a, b);
  if (sum === 0n) return plain(zero(rounding === DOWN ? 1 : 0));
  return unrounded(exact(sum < 0n ? 1 : 0, sum < 0n ? -sum : sum, exponent));
}

function mul(a: Float, b: Float): Outcome {
  const sign = xor(a.sign, b.sign);
  if (a.kind === 'infinity' || b.kind === 'infinity')
    return a.kind === 'zero' || b.kind === 'zero' ? INVALID : plain(infinity(sign));
  if (a.kind === 'zero' || b.kind === 'zero') return plain(zero(sign));
  return unrounded(exact(sign, a.significand * b.significand, a.exponent + b.exponent));
}

/** Bits of a quotient or root before rounding: the 64 of the widest format and a few to round by. */
const WORKING_BITS = 68;

function div(a: Float, b: Float): Outcome {
  const sign = xor(a.sign, b.sign);
  if (a.kind === 'infinity') return b.kind === 'infinity' ? INVALID : plain(infinity(sign));
  if (b.kind === 'infinity') return plain(zero(sign));
  if (b.kind === 'zero') return a.kind === 'zero' ? INVALID : plain(infinity(sign), FP.ZERO_DIVIDE);
  if (a.kind === 'zero') return plain(zero(sign));
  const shift = Math.max(0, WORKING_BITS + bitLength(b.significand) - bitLength(a.significand));
  const numerator = a.significand << BigInt(shift);
  const quotient = numerator / b.significand;
  return unrounded(exact(sign, quotient, a.exponent - b.exponent - shift, quotient * b.significand !== numerator));
}

/** a ∘ b, neither of them a NaN or unsupported. */
export function operate(op: Operation, a: Float, b: Float, rounding: Rounding): Outcome {
  switch (op) {
    case 'add':
      return add(a, b, rounding);
    case 'sub':
      return add(a, negate(b), rounding);
    case 'mul':
      return mul(a, b);
    case 'div':
      return div(a, b);
  }
}

/** Floor of the square root of a positive integer. */
export function integerRoot(n: bigint): bigint {
  let x = 1n << BigInt((bitLength(n) + 1) >> 1);
  for (;;) {
    const y = (x + n / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

export function squareRoot(a: Float): Outcome {
  if (a.kind === 'zero') return plain(a);
  if (a.sign === 1) return INVALID;
  if (a.kind === 'infinity') return plain(a);
  let shift = Math.max(0, 2 * WORKING_BITS - bitLength(a.significand));
  if (((a.exponent - shift) & 1) !== 0) shift++;
  const n = a.significand << BigInt(shift);
  const root = integerRoot(n);
  return unrounded(exact(0, root, (a.exponent - shift) / 2, root * root !== n));
}

/** −1, 0 or 1 as a is below, equal to or above b; neither is a NaN or unsupported. Zeros are equal. */
export function compare(a: Float, b: Float): -1 | 0 | 1 {
  const x = order(a);
  const y = order(b);
  if (x !== y) return x < y ? -1 : 1;
  if (a.kind !== 'finite' || b.kind !== 'finite') return 0;
  const highest = (f: Float): number => f.exponent + bitLength(f.significand);
  // signs are equal here: the magnitudes decide
  let larger = highest(a) - highest(b);
  if (larger === 0) {
    const { sum } = signedSum({ ...a, sign: 0 }, { ...b, sign: 1 });
    larger = sum > 0n ? 1 : sum < 0n ? -1 : 0;
  }
  if (larger === 0) return 0;
  return larger > 0 === (a.sign === 0) ? 1 : -1;
}
/** −∞, negative, zero, positive, +∞ in their order. */
function order(f: Float): number {
  const size = f.kind === 'zero' ? 0 : f.kind === 'infinity' ? 2 : 1;
  return f.sign === 1 ? -size : size;
}

/** A finite or zero value times 2^n. */
export const scaled = (f: Float, n: number): Float =>
  f.kind === 'finite' ? finite(f.sign, f.significand, f.exponent + n) : f;

/** The exponent of the leading bit of a finite value: floor(log2 |f|). */
export const magnitudeExponent = (f: Float): number => f.exponent + bitLength(f.significand) - 1;

export interface Remainder {
  readonly value: Float;
  /** The low bits of the integer quotient that was taken, and whether the reduction is complete. */
  readonly quotient: bigint;
  readonly complete: boolean;
}

/**
 * FPREM (`nearest` false: quotient truncated) and FPREM1 (to nearest even) of finite, non-zero values (SDM vol. 2). Exponents more than 63 apart are
 * reduced in part, by between 32 and 63 bits; the manual leaves the number to the processor.
 */
export function remainder(a: Float, b: Float, nearest: boolean): Remainder {
  const distance = magnitudeExponent(a) - magnitudeExponent(b);
  const exponent = Math.min(a.exponent, b.exponent);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  if (distance >= 64) {
    const step = (distance & 31) | 32;
    const unit = y << BigInt(distance - step);
    const rest = x % unit;
    return { value: rest === 0n ? zero(a.sign) : finite(a.sign, rest, exponent), quotient: 0n, complete: false };
  }
  let quotient = x / y;
  let rest = x - quotient * y;
  if (nearest && (rest * 2n > y || (rest * 2n === y && (quotient & 1n) === 1n))) {
    quotient += 1n;
    rest -= y;
  }
  const sign: Sign = rest < 0n ? (a.sign === 0 ? 1 : 0) : a.sign;
  return {
    value: rest === 0n ? zero(a.sign) : finite(sign, rest < 0n ? -rest : rest, exponent),
    quotient,
    complete: true,
  };
}
