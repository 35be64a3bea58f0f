import {
  DOWN,
  EXTENDED,
  FP,
  NEAREST,
  UP,
  bitLength,
  finite,
  infinity,
  zero,
  type Float,
  type Format,
  type Rounding,
  type Sign,
} from './float';

/**
 * A magnitude before rounding: significand × 2^exponent, and, if `sticky`, a little more than that: less than one unit of the lowest bit. A sticky
 * significand has at least two bits more than the precision it will be rounded to.
 */
export interface Exact {
  readonly sign: Sign;
  readonly significand: bigint;
  readonly exponent: number;
  readonly sticky: boolean;
}
export const exact = (sign: Sign, significand: bigint, exponent: number, sticky = false): Exact => ({
  sign,
  significand,
  exponent,
  sticky,
});

/** How results are rounded: by FCW or MXCSR. */
export interface RoundingControl {
  readonly rounding: Rounding;
  /** Masked exceptions, as FP bits. */
  readonly masked: number;
  /** MXCSR.FZ: a result too small for a normal number becomes zero while underflow is masked. */
  readonly flushToZero: boolean;
  /**
   * What is added to or taken from the exponent when overflow or underflow is not masked: 24,576 for results in x87 registers (SDM vol. 1, 8.5.4 and 8.5.5). 0: the result is
   * not stored then, so that it does not matter.
   */
  readonly wrap: number;
}

export interface Rounded {
  readonly value: Float;
  readonly flags: number;
  /** The magnitude was rounded up: x87's C1. */
  readonly up: boolean;
}

interface Cut {
  significand: bigint;
  inexact: boolean;
  up: boolean;
}

/** Removes the lowest `shift` bits (none if it is not positive), rounding. */
function cut(x: Exact, shift: number, rounding: Rounding): Cut {
  if (shift <= 0) return { significand: x.significand << BigInt(-shift), inexact: x.sticky, up: false };
  const n = BigInt(shift);
  const kept = x.significand >> n;
  const rest = x.significand - (kept << n);
  const inexact = rest !== 0n || x.sticky;
  if (!inexact) return { significand: kept, inexact, up: false };
  let up: boolean;
  if (rounding === NEAREST) {
    const half = 1n << (n - 1n);
    up = rest > half || (rest === half && (x.sticky || (kept & 1n) === 1n));
  } else up = rounding === (x.sign === 1 ? DOWN : UP);
  return { significand: up ? kept + 1n : kept, inexact, up };
}

/** The whole number nearest by the rounding mode. */
export function roundToInteger(x: Exact, rounding: Rounding): Cut {
  return cut(x, -x.exponent, rounding);
}

/**
 * Rounds to `precision` bits (at most the format's own: x87's precision control) within the format's exponents, with overflow, underflow and precision
 * exceptions as the SDM has them (vol. 1, 4.9.1.4–4.9.1.6). A result is tiny if it would be after rounding with unbounded exponent.
 */
export function round(
  x: Exact,
  format: Format,
  control: RoundingControl,
  precision: number = format.precision,
): Rounded {
  const length = bitLength(x.significand);
  const first = cut(x, length - precision, control.rounding);
  // 1.11…1 rounded up is 10.0…0
  const carried = first.up && first.significand >> BigInt(precision) !== 0n;
  const lowest = x.exponent + length - precision;
  const top = lowest + precision - 1 + (carried ? 1 : 0);
  const inexact = first.inexact ? FP.PRECISION : 0;
  if (top > format.maxExponent) {
    if ((control.masked & FP.OVERFLOW) === 0) {
      return {
        value: finite(x.sign, first.significand, lowest - control.wrap),
        flags: FP.OVERFLOW | inexact,
        up: first.up,
      };
    }
    const toInfinity = control.rounding === NEAREST || control.rounding === (x.sign === 1 ? DOWN : UP);
    const value = toInfinity
      ? infinity(x.sign)
      : finite(x.sign, (1n << BigInt(precision)) - 1n, format.maxExponent - precision + 1);
    return { value, flags: FP.OVERFLOW | FP.PRECISION, up: toInfinity };
  }
  if (top >= format.minExponent)
    return { value: finite(x.sign, first.significand, lowest), flags: inexact, up: first.up };
  if ((control.masked & FP.UNDERFLOW) === 0) {
    return {
      value: finite(x.sign, first.significand, lowest + control.wrap),
      flags: FP.UNDERFLOW | inexact,
      up: first.up,
    };
  }
  if (control.flushToZero) return { value: zero(x.sign), flags: FP.UNDERFLOW | FP.PRECISION, up: false };
  // denormal: the lowest bit is fixed (narrower under precision control)
  const fixed = format.minExponent - (precision - 1);
  const small = cut(x, fixed - x.exponent, control.rounding);
  const flags = small.inexact ? FP.UNDERFLOW | FP.PRECISION : 0;
  const value = small.significand === 0n ? zero(x.sign) : finite(x.sign, small.significand, fixed);
  return { value, flags, up: small.up };
}

/** No exception is unmasked, round to nearest: for constants and tests. */
export const DEFAULT_CONTROL: RoundingControl = { rounding: NEAREST, masked: 0x3f, flushToZero: false, wrap: 0 };
/** An exact value as an 80-bit one, rounded to nearest. */
export const nearestExtended = (x: Exact): Float => round(x, EXTENDED, DEFAULT_CONTROL).value;
