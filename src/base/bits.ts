/** 64-bit helpers over bigint. All values are unsigned unless a name says otherwise. */
export const M64 = 0xffff_ffff_ffff_ffffn;

export const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);

/** Bit `n` of `x`. */
export const bit = (x: bigint, n: number): boolean => ((x >> BigInt(n)) & 1n) === 1n;

/** Bits hi..lo of `x`, both inclusive, shifted down (the manuals' notation). */
export function bits(x: bigint, hi: number, lo: number): bigint {
  return (x >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n);
}

/** Sign-extends the low `width` bits of `x` to 64 bits, as an unsigned value. */
const signExtend = (x: bigint, width: number): bigint => BigInt.asUintN(64, BigInt.asIntN(width, x));

/** Whether `x` is canonical for a linear-address width of `width` bits (48 or 57; SDM vol. 1, 3.3.7.1). */
export const isCanonical = (x: bigint, width: number): boolean => signExtend(x, width) === x;

const halves = new Int32Array(2);
const whole = new BigUint64Array(halves.buffer);
/** The 64-bit value formed from two 32-bit halves, without the cost of shifting bigints. */
export function joinHalves(lo: number, hi: number): bigint {
  halves[0] = lo;
  halves[1] = hi;
  return whole[0] as bigint;
}
