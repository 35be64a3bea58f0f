/**
 * Binary floating-point values taken apart, exact: what every operation of the x87 unit and of SSE works on. A finite value is
 * (−1)^sign × significand × 2^exponent with a positive integer significand of any length; nothing is rounded until `round.ts` does it.
 */
export type Sign = 0 | 1;

export interface Float {
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signaling' | 'unsupported';
  readonly sign: Sign;
  /** Of the significand's lowest bit; 0 unless finite. */
  readonly exponent: number;
  /** Finite: the magnitude. NaN: the significand as the 80-bit format has it, bit 63 set. Otherwise 0. */
  readonly significand: bigint;
  /** Denormal or pseudo-denormal in the format it was read from: operating on it is the denormal-operand exception. */
  readonly denormal: boolean;
}

/** Exception flags at their places in the x87 status word and in MXCSR (SDM vol. 1, 8.1.3.3 and 10.2.3). */
export const FP = { INVALID: 1, DENORMAL: 2, ZERO_DIVIDE: 4, OVERFLOW: 8, UNDERFLOW: 16, PRECISION: 32 } as const;

/** Rounding control as FCW bits 11:10 and MXCSR bits 14:13 encode it. */
export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const TOWARD_ZERO = 3;
export type Rounding = 0 | 1 | 2 | 3;

/** A format by its precision (significand bits with the leading one) and the exponents of its normal numbers 1.f × 2^e (SDM vol. 1, table 4-3). */
export interface Format {
  readonly precision: number;
  readonly minExponent: number;
  readonly maxExponent: number;
}
export const SINGLE: Format = { precision: 24, minExponent: -126, maxExponent: 127 };
export const DOUBLE: Format = { precision: 53, minExponent: -1022, maxExponent: 1023 };
export const EXTENDED: Format = { precision: 64, minExponent: -16382, maxExponent: 16383 };

const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;

export const zero = (sign: Sign): Float => ({ kind: 'zero', sign, exponent: 0, significand: 0n, denormal: false });
export const infinity = (sign: Sign): Float => ({
  kind: 'infinity',
  sign,
  exponent: 0,
  significand: 0n,
  denormal: false,
});
export const finite = (sign: Sign, significand: bigint, exponent: number, denormal = false): Float => ({
  kind: 'finite',
  sign,
  exponent,
  significand,
  denormal,
});
const nan = (sign: Sign, significand: bigint): Float => ({
  kind: (significand & QUIET_BIT) !== 0n ? 'quiet' : 'signaling',
  sign,
  exponent: 0,
  significand: significand | INTEGER_BIT,
  denormal: false,
});

/** The default NaN, "real indefinite": negative, quiet, no payload (SDM vol. 1, 4.8.3.7). */
export const INDEFINITE: Float = nan(1, INTEGER_BIT | QUIET_BIT);
export const ONE: Float = finite(0, 1n, 0);

export const isNaN = (f: Float): boolean => f.kind === 'quiet' || f.kind === 'signaling';
export const negate = (f: Float): Float => ({ ...f, sign: f.sign === 0 ? 1 : 0 });
/** The quiet NaN that a NaN becomes as a result. */
export const quieted = (f: Float): Float =>
  f.kind === 'signaling' ? { ...f, kind: 'quiet', significand: f.significand | QUIET_BIT } : f;
/** A signed integer. */
export const fromInteger = (n: bigint): Float => (n === 0n ? zero(0) : finite(n < 0n ? 1 : 0, n < 0n ? -n : n, 0));

/** 31 sign · 30:23 exponent + 127 · 22:0 fraction */
export function unpackSingle(bits: number): Float {
  const sign: Sign = bits < 0 || bits >= 0x8000_0000 ? 1 : 0;
  const biased = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7f_ffff;
  if (biased === 0xff) return fraction === 0 ? infinity(sign) : nan(sign, BigInt(fraction) << 40n);
  if (biased === 0) return fraction === 0 ? zero(sign) : finite(sign, BigInt(fraction), -149, true);
  return finite(sign, BigInt(fraction | 0x80_0000), biased - 150);
}

/** 63 sign · 62:52 exponent + 1023 · 51:0 fraction */
export function unpackDouble(bits: bigint): Float {
  const sign: Sign = bits >> 63n === 0n ? 0 : 1;
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  if (biased === 0x7ff) return fraction === 0n ? infinity(sign) : nan(sign, fraction << 11n);
  if (biased === 0) return fraction === 0n ? zero(sign) : finite(sign, fraction, -1074, true);
  return finite(sign, fraction | (1n << 52n), biased - 1075);
}

/**
 * 79 sign · 78:64 exponent + 16383 · 63 integer bit · 62:0 fraction. Encodings with a clear integer bit and an exponent other than zero (unnormals, pseudo-infinities,
 * pseudo-NaNs) are unsupported; a set one with exponent zero is a pseudo-denormal (SDM vol. 1, 8.2.2).
 */
export function unpackExtended(signExponent: number, significand: bigint): Float {
  const sign: Sign = (signExponent & 0x8000) !== 0 ? 1 : 0;
  const biased = signExponent & 0x7fff;
  if (biased === 0) return significand === 0n ? zero(sign) : finite(sign, significand, -16445, true);
  if (significand < INTEGER_BIT) return { kind: 'unsupported', sign, exponent: 0, significand: 0n, denormal: false };
  if (biased === 0x7fff) return significand === INTEGER_BIT ? infinity(sign) : nan(sign, significand);
  return finite(sign, significand, biased - 16446);
}

/**
 * Exponent and significand as a format of `fractionBits` below the leading one stores them. Finite values must be representable: rounded by `round`.
 */
function biasedOf(f: Float, format: Format): { readonly biased: number; readonly significand: bigint } {
  const lowest = format.minExponent - (format.precision - 1);
  // bring the significand to the format's full precision, or to the denormals' fixed exponent
  let { significand, exponent } = f;
  const shift = Math.min(format.precision - bitLength(significand), exponent - lowest);
  significand = shift >= 0 ? significand << BigInt(shift) : significand >> BigInt(-shift);
  exponent -= shift;
  const normal = significand >> BigInt(format.precision - 1) !== 0n;
  return { biased: normal ? exponent - lowest + 1 : 0, significand };
}

export function packSingle(f: Float): number {
  const sign = f.sign << 31;
  if (f.kind === 'zero') return sign;
  if (f.kind === 'infinity') return sign | 0x7f80_0000;
  if (f.kind !== 'finite') return sign | 0x7f80_0000 | Number((f.significand >> 40n) & 0x7f_ffffn);
  const { biased, significand } = biasedOf(f, SINGLE);
  return sign | (biased << 23) | Number(significand & 0x7f_ffffn);
}

export function packDouble(f: Float): bigint {
  const sign = BigInt(f.sign) << 63n;
  if (f.kind === 'zero') return sign;
  if (f.kind === 'infinity') return sign | 0x7ff0_0000_0000_0000n;
  if (f.kind !== 'finite') return sign | 0x7ff0_0000_0000_0000n | ((f.significand >> 11n) & 0xf_ffff_ffff_ffffn);
  const { biased, significand } = biasedOf(f, DOUBLE);
  return sign | (BigInt(biased) << 52n) | (significand & 0xf_ffff_ffff_ffffn);
}

export function packExtended(f: Float): { readonly signExponent: number; readonly significand: bigint } {
  const sign = f.sign << 15;
  if (f.kind === 'zero') return { signExponent: sign, significand: 0n };
  if (f.kind === 'infinity') return { signExponent: sign | 0x7fff, significand: INTEGER_BIT };
  if (f.kind !== 'finite') return { signExponent: sign | 0x7fff, significand: f.significand };
  const { biased, significand } = biasedOf(f, EXTENDED);
  return { signExponent: sign | biased, significand };
}

const scratch = new Float64Array(1);
const scratchWords = new Uint32Array(scratch.buffer);

/** Bits of a positive integer without leading zeros. */
export function bitLength(n: bigint): number {
  scratch[0] = Number(n);
  const exponent = (((scratchWords[1] as number) >>> 20) & 0x7ff) - 1023;
  if (exponent === 1024) return lengthOfLong(n);
  // the conversion rounds, perhaps up to the next power of two
  return n >> BigInt(exponent) === 0n ? exponent : exponent + 1;
}
function lengthOfLong(n: bigint): number {
  const digits = n.toString(16);
  return digits.length * 4 - (Math.clz32(parseInt(digits.charAt(0), 16)) - 28);
}
