import { integerRoot } from './arithmetic';
import type { Float } from './float';

/**
 * Elementary functions on fixed-point numbers: a signed bigint n stands for n / 2^p. Each is a plain series, exact to a few units of the last place; callers
 * choose p so that the error is far below what rounding sees.
 */

/** n / d rounded toward zero, as a fixed-point number. */
const ratio = (n: bigint, d: bigint, p: number): bigint => (n << BigInt(p)) / d;

/** A finite value, floor of |f| · 2^p with f's sign. */
export function toFixed(f: Float, p: number): bigint {
  const shift = f.exponent + p;
  const n = shift >= 0 ? f.significand << BigInt(shift) : f.significand >> BigInt(-shift);
  return f.sign === 1 ? -n : n;
}

/** The odd series x ± x³/3 + x⁵/5 …: atanh with `alternate` false, atan with true. |x| well below one. */
function oddSeries(x: bigint, p: number, alternate: boolean): bigint {
  const shift = BigInt(p);
  const square = (x * x) >> shift;
  let power = x;
  let sum = x;
  for (let n = 3n; ; n += 2n) {
    power = (power * square) >> shift;
    if (alternate) power = -power;
    const term = power / n;
    if (term === 0n) return sum;
    sum += term;
  }
}

/** ln(1 + t) for t ≥ −1/2: 2 atanh(t / (2 + t)). */
export function ln1p(t: bigint, p: number): bigint {
  return 2n * oddSeries(ratio(t, (2n << BigInt(p)) + t, p), p, false);
}

/** e^x − 1 for |x| ≤ 1. */
export function expm1(x: bigint, p: number): bigint {
  let term = x;
  let sum = x;
  for (let n = 2n; ; n++) {
    term = ((term * x) >> BigInt(p)) / n;
    if (term === 0n || term === -1n) return sum;
    sum += term;
  }
}

/** sin and cos for |x| ≤ π/4 and a little. */
export function sinCos(x: bigint, p: number): { readonly sin: bigint; readonly cos: bigint } {
  const shift = BigInt(p);
  const square = (x * x) >> shift;
  let sin = x;
  let term = x;
  for (let n = 2n; term !== 0n && term !== -1n; n += 2n) {
    term = -((term * square) >> shift) / (n * (n + 1n));
    sin += term;
  }
  let cos = 1n << shift;
  term = cos;
  for (let n = 1n; term !== 0n && term !== -1n; n += 2n) {
    term = -((term * square) >> shift) / (n * (n + 1n));
    cos += term;
  }
  return { sin, cos };
}

/** atan for 0 ≤ x ≤ 1; two half-angle steps, atan x = 2 atan(x / (1 + √(1 + x²))), make the series short. */
export function atan(x: bigint, p: number): bigint {
  const one = 1n << BigInt(p);
  let y = x;
  for (let i = 0; i < 2; i++) y = ratio(y, one + integerRoot(one * one + y * y), p);
  return 4n * oddSeries(y, p, true);
}

/** Constants of as many bits as were ever asked for. */
function constant(compute: (p: number) => bigint): (p: number) => bigint {
  const known = new Map<number, bigint>();
  return (p) => {
    let v = known.get(p);
    if (v === undefined) {
      // guard bits, so that the value itself is exact to its last bit but one
      v = compute(p + 16) >> 16n;
      known.set(p, v);
    }
    return v;
  };
}

const inverseAtan = (n: bigint, p: number): bigint => oddSeries(ratio(1n, n, p), p, true);
/** Machin: π = 16 atan 1/5 − 4 atan 1/239. */
export const pi = constant((p) => 16n * inverseAtan(5n, p) - 4n * inverseAtan(239n, p));
/** ln 2 = 2 atanh 1/3. */
export const ln2 = constant((p) => 2n * oddSeries(ratio(1n, 3n, p), p, false));
/** ln 10 = 3 ln 2 + ln 5/4. */
export const ln10 = constant((p) => 3n * ln2(p) + ln1p(1n << BigInt(p - 2), p));
