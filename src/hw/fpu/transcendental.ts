import { compare, magnitudeExponent } from './arithmetic';
import { atan, expm1, ln1p, ln2, ln10, pi, sinCos, toFixed } from './fixed';
import { FP, ONE, bitLength, infinity, zero, type Float, type Sign } from './float';
import { exact, type Exact } from './round';

/**
 * The x87 transcendental instructions (SDM vol. 2), computed far beyond 64 bits and then rounded once, which keeps them within one unit of the last place
 * (SDM vol. 1, 8.3.10 asks for that). Angles are reduced by the 66 bits of π that processors use (8.3.8), so that near multiples of it results are theirs. Operands are not NaNs.
 */
export type Transcendental =
  | { readonly kind: 'exact'; readonly value: Exact }
  | { readonly kind: 'value'; readonly value: Float; readonly flags: number }
  | { readonly kind: 'invalid' }
  /** The operand is outside the instruction's range: C2, and nothing changes. */
  | { readonly kind: 'range' };

const INVALID: Transcendental = { kind: 'invalid' };
const RANGE: Transcendental = { kind: 'range' };
const plain = (value: Float, flags = 0): Transcendental => ({ kind: 'value', value, flags });
const unrounded = (value: Exact): Transcendental => ({ kind: 'exact', value });
const xor = (a: Sign, b: Sign): Sign => (a === b ? 0 : 1);
const flip = (s: Sign): Sign => (s === 0 ? 1 : 0);

/** Fixed-point bits that make series exact enough: 64 to keep, as many again that cancellation may eat, 64 for large angles, and some. */
const WORK = 300;
/** Below 2^−TINY the first term of a series is the value, to more bits than rounding looks at. */
const TINY = 68;

/** A non-zero fixed-point number, not exact. */
function inexact(n: bigint, p: number): Exact {
  return exact(n < 0n ? 1 : 0, n < 0n ? -n : n, -p, true);
}
/** A value a little nearer to zero (−1) or farther from it (+1) than f. */
function beside(f: Float, direction: 1 | -1): Exact {
  return exact(f.sign, (f.significand << 80n) + BigInt(direction), f.exponent - 80, true);
}

/** 0.C90FDAA22168C234C (hexadecimal) × 2^2: the π of argument reduction. */
const REDUCTION_PI = 0xc90f_daa2_2168_c234cn << BigInt(WORK - 66);

/** sin and cos of a finite angle, with the whole turns taken out. */
function reduced(x: Float): { readonly sin: bigint; readonly cos: bigint } {
  const angle = toFixed(x, WORK);
  const quarter = REDUCTION_PI >> 1n;
  let turns = (2n * angle + quarter) / (2n * quarter);
  if ((2n * angle + quarter) % (2n * quarter) < 0n) turns -= 1n;
  const { sin, cos } = sinCos(angle - turns * quarter, WORK);
  switch (turns & 3n) {
    case 0n:
      return { sin, cos };
    case 1n:
      return { sin: cos, cos: -sin };
    case 2n:
      return { sin: -sin, cos: -cos };
    default:
      return { sin: -cos, cos: sin };
  }
}

/** What the angle says before any series: out of range, infinite, zero or so small that the answer is at hand. */
function angle(x: Float, ofZero: Float, tiny: (x: Float) => Exact): Transcendental | undefined {
  if (x.kind === 'infinity') return INVALID;
  if (x.kind === 'zero') return plain(ofZero);
  const e = magnitudeExponent(x);
  if (e >= 63) return RANGE;
  return e < -TINY ? unrounded(tiny(x)) : undefined;
}

export function sine(x: Float): Transcendental {
  return angle(x, x, (f) => beside(f, -1)) ?? unrounded(inexact(reduced(x).sin, WORK));
}
export function cosine(x: Float): Transcendental {
  return angle(x, ONE, () => beside(ONE, -1)) ?? unrounded(inexact(reduced(x).cos, WORK));
}
export function tangent(x: Float): Transcendental {
  const early = angle(x, x, (f) => beside(f, 1));
  if (early) return early;
  const { sin, cos } = reduced(x);
  return unrounded(inexact((sin << BigInt(WORK)) / cos, WORK));
}

/** π times n/4 with a sign: the angles of FPATAN's special cases. */
const quarters = (sign: Sign, n: bigint): Transcendental => unrounded(exact(sign, pi(WORK) * n, -WORK - 2, true));

/** FPATAN: the angle of the point (x, y), in all four quadrants. */
export function arctangent(y: Float, x: Float): Transcendental {
  const left = x.sign === 1;
  if (y.kind === 'zero' && x.kind !== 'infinity') return left ? quarters(y.sign, 4n) : plain(zero(y.sign));
  if (y.kind === 'infinity') return quarters(y.sign, x.kind !== 'infinity' ? 2n : left ? 3n : 1n);
  if (x.kind === 'infinity') return left ? quarters(y.sign, 4n) : plain(zero(y.sign));
  if (x.kind === 'zero') return quarters(y.sign, 2n);
  // angle between the nearer axis and the point: atan of the smaller coordinate over the larger
  const steep = compare({ ...y, sign: 0 }, { ...x, sign: 0 }) > 0;
  const [small, large] = steep ? [x, y] : [y, x];
  const distance = magnitudeExponent(large) - magnitudeExponent(small);
  const shift = 2 * WORK + Math.max(0, bitLength(large.significand) - bitLength(small.significand));
  const quotient = (small.significand << BigInt(shift)) / large.significand;
  const exponent = small.exponent - large.exponent - shift;
  if (distance > TINY) {
    if (!steep && !left) return unrounded(exact(y.sign, quotient * 4n - 1n, exponent - 2, true));
    // a hair to one side of π/2 or π
    const whole = pi(WORK) << 200n;
    const near = steep ? whole >> 1n : whole;
    const hair = steep && left ? 1n : -1n;
    return unrounded(exact(y.sign, near + hair, -WORK - 200, true));
  }
  const p = WORK;
  const fixed = exponent + p >= 0 ? quotient << BigInt(exponent + p) : quotient >> BigInt(-exponent - p);
  const a = atan(fixed, p);
  const half = pi(p) >> 1n;
  const first = steep ? half - a : a;
  return unrounded(exact(y.sign, left ? 2n * half - first : first, -p, true));
}

/** F2XM1: 2^x − 1 for −1 ≤ x ≤ 1; outside of that the manual promises nothing, and the operand stays. */
export function exponential(x: Float): Transcendental {
  if (x.kind === 'zero') return plain(x);
  if (x.kind === 'infinity') return plain(x.sign === 0 ? x : { ...ONE, sign: 1 });
  const e = magnitudeExponent(x);
  if (e >= 0) {
    if (compare({ ...x, sign: 0 }, ONE) !== 0) return plain(x);
    return unrounded(x.sign === 0 ? exact(0, 1n, 0) : exact(1, 1n, -1));
  }
  if (e < -TINY) return unrounded(exact(x.sign, x.significand * ln2(WORK), x.exponent - WORK, true));
  return unrounded(inexact(expm1((toFixed(x, WORK) * ln2(WORK)) >> BigInt(WORK), WORK), WORK));
}

/** y · (whole + ln(1 + t) / ln 2), of which the second factor is not zero; `t` fixed-point. */
function timesLog(y: Float, whole: number, t: bigint): Transcendental {
  const log = (BigInt(whole) << BigInt(WORK)) + (ln1p(t, WORK) << BigInt(WORK)) / ln2(WORK);
  const negative: Sign = log < 0n ? 1 : 0;
  return unrounded(exact(xor(y.sign, negative), y.significand * (negative ? -log : log), y.exponent - WORK, t !== 0n));
}

/** y times a logarithm that is infinite or zero, or y itself being so; `sign`: of the logarithm. Undefined: both are finite and not zero. */
function limits(y: Float, log: 'zero' | 'infinite' | 'finite', sign: Sign): Transcendental | undefined {
  const s = xor(y.sign, sign);
  if (log === 'zero') return y.kind === 'infinity' ? INVALID : plain(zero(s));
  if (log === 'infinite') return y.kind === 'zero' ? INVALID : plain(infinity(s));
  if (y.kind === 'infinity') return plain(infinity(s));
  return y.kind === 'zero' ? plain(zero(s)) : undefined;
}

/** FYL2X: y · log2 x. */
export function logarithm(y: Float, x: Float): Transcendental {
  if (x.kind === 'zero')
    return y.kind === 'finite'
      ? plain(infinity(flip(y.sign)), FP.ZERO_DIVIDE)
      : (limits(y, 'infinite', 1) as Transcendental);
  if (x.sign === 1) return INVALID;
  if (x.kind === 'infinity') return limits(y, 'infinite', 0) as Transcendental;
  const order = compare(x, ONE);
  const special = limits(y, order === 0 ? 'zero' : 'finite', order < 0 ? 1 : 0);
  if (special) return special;
  // x = m · 2^whole with m from 3/4 up to 3/2, so that nothing cancels
  let whole = magnitudeExponent(x);
  let m = toFixed({ ...x, exponent: x.exponent - whole }, WORK);
  if (m >= 3n << BigInt(WORK - 1)) {
    m >>= 1n;
    whole++;
  }
  return timesLog(y, whole, m - (1n << BigInt(WORK)));
}

/** FYL2XP1: y · log2(x + 1). The manual promises results for |x| < 1 − √2/2; below −1 there is none. */
export function logarithmPlusOne(y: Float, x: Float): Transcendental {
  if (x.kind === 'infinity') return x.sign === 1 ? INVALID : (limits(y, 'infinite', 0) as Transcendental);
  const special = limits(y, x.kind === 'zero' ? 'zero' : 'finite', x.sign);
  if (special) return special;
  const e = magnitudeExponent(x);
  if (e < -TINY) {
    const product = (x.significand << BigInt(WORK)) * y.significand;
    return unrounded(exact(xor(x.sign, y.sign), (product << 80n) / ln2(WORK), x.exponent + y.exponent - 80, true));
  }
  if (x.sign === 1 && compare(x, { ...ONE, sign: 1 }) <= 0)
    return compare(x, { ...ONE, sign: 1 }) < 0 ? INVALID : plain(infinity(flip(y.sign)), FP.ZERO_DIVIDE);
  if (e < -1) return timesLog(y, 0, toFixed(x, WORK));
  // larger than the instruction is for: the ordinary logarithm of the sum
  const sum = toFixed(x, WORK) + (1n << BigInt(WORK));
  let whole = bitLength(sum) - 1 - WORK;
  let m = whole >= 0 ? sum >> BigInt(whole) : sum << BigInt(-whole);
  if (m >= 3n << BigInt(WORK - 1)) {
    m >>= 1n;
    whole++;
  }
  return timesLog(y, whole, m - (1n << BigInt(WORK)));
}

const rational = (n: bigint): Exact => exact(0, n, -WORK, true);
/** What FLD1 and its kin push, to be rounded by the rounding control; FLDZ and FLD1 are exact. */
export const CONSTANTS = {
  log2of10: (): Exact => rational((ln10(WORK) << BigInt(WORK)) / ln2(WORK)),
  log2ofE: (): Exact => rational((1n << BigInt(2 * WORK)) / ln2(WORK)),
  pi: (): Exact => rational(pi(WORK)),
  log10of2: (): Exact => rational((ln2(WORK) << BigInt(WORK)) / ln10(WORK)),
  ln2: (): Exact => rational(ln2(WORK)),
} as const;
