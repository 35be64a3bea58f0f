import type { CpuState } from '../../state/cpu-state';
import type { Helper } from '../lift/helpers';

/** Packed integers in 128-bit registers: d ← a ∘ b, lane by lane, so that d may be a or b. */

const signed8 = (x: number): number => (x << 24) >> 24;
const signed16 = (x: number): number => (x << 16) >> 16;
const clamp = (x: number, low: number, high: number): number => (x < low ? low : x > high ? high : x);

type Combine = (x: number, y: number) => number;

/** Sixteen bytes, unsigned in; the result's low 8 bits count. */
const bytes =
  (f: Combine): Helper =>
  (s, d, a, b) => {
    const { u8 } = s;
    for (let i = 0; i < 16; i++) u8[d * 8 + i] = f(u8[a * 8 + i] as number, u8[b * 8 + i] as number);
    return 0;
  };
const signedBytes = (f: Combine): Helper => bytes((x, y) => f(signed8(x), signed8(y)));
/** Eight words, unsigned in; the result's low 16 bits count. */
const words =
  (f: Combine): Helper =>
  (s, d, a, b) => {
    const { u16 } = s;
    for (let i = 0; i < 8; i++) u16[d * 4 + i] = f(u16[a * 4 + i] as number, u16[b * 4 + i] as number);
    return 0;
  };
const signedWords = (f: Combine): Helper => words((x, y) => f(signed16(x), signed16(y)));
/** Four doublewords, signed in. */
const doublewords =
  (f: Combine): Helper =>
  (s, d, a, b) => {
    const { r32 } = s;
    for (let i = 0; i < 4; i++) r32[d * 2 + i] = f(r32[a * 2 + i] as number, r32[b * 2 + i] as number);
    return 0;
  };

const sum: Combine = (x, y) => x + y;
const difference: Combine = (x, y) => x - y;
const equal: Combine = (x, y) => (x === y ? -1 : 0);
const greater: Combine = (x, y) => (x > y ? -1 : 0);
const average: Combine = (x, y) => (x + y + 1) >> 1;

export const paddb = bytes(sum);
export const paddw = words(sum);
export const paddd = doublewords(sum);
export const psubb = bytes(difference);
export const psubw = words(difference);
export const psubd = doublewords(difference);
export const paddsb = signedBytes((x, y) => clamp(x + y, -128, 127));
export const paddsw = signedWords((x, y) => clamp(x + y, -32768, 32767));
export const psubsb = signedBytes((x, y) => clamp(x - y, -128, 127));
export const psubsw = signedWords((x, y) => clamp(x - y, -32768, 32767));
export const paddusb = bytes((x, y) => Math.min(x + y, 0xff));
export const paddusw = words((x, y) => Math.min(x + y, 0xffff));
export const psubusb = bytes((x, y) => Math.max(x - y, 0));
export const psubusw = words((x, y) => Math.max(x - y, 0));
export const pcmpeqb = bytes(equal);
export const pcmpeqw = words(equal);
export const pcmpeqd = doublewords(equal);
export const pcmpgtb = signedBytes(greater);
export const pcmpgtw = signedWords(greater);
export const pcmpgtd = doublewords(greater);
export const pavgb = bytes(average);
export const pavgw = words(average);
export const pminub = bytes(Math.min);
export const pmaxub = bytes(Math.max);
export const pminsw = signedWords(Math.min);
export const pmaxsw = signedWords(Math.max);
export const pmullw = signedWords((x, y) => x * y);
export const pmulhw = signedWords((x, y) => (x * y) >> 16);
export const pmulhuw = words((x, y) => Math.floor((x * y) / 0x10000));

/** PMULUDQ: the even doublewords' 64-bit products. */
export const pmuludq: Helper = (s, d, a, b) => {
  for (let i = 0; i < 2; i++)
    s.r[d + i] = ((s.r[a + i] as bigint) & 0xffff_ffffn) * ((s.r[b + i] as bigint) & 0xffff_ffffn);
  return 0;
};
/** PMADDWD: products of words, added in pairs. */
export const pmaddwd: Helper = (s, d, a, b) => {
  const { u16, r32 } = s;
  const product = (i: number): number => signed16(u16[a * 4 + i] as number) * signed16(u16[b * 4 + i] as number);
  for (let i = 0; i < 4; i++) r32[d * 2 + i] = product(2 * i) + product(2 * i + 1);
  return 0;
};
/** PSADBW: the sum of absolute differences of eight bytes, for each half. */
export const psadbw: Helper = (s, d, a, b) => {
  for (let half = 0; half < 2; half++) {
    let total = 0;
    for (let i = half * 8; i < half * 8 + 8; i++)
      total += Math.abs((s.u8[a * 8 + i] as number) - (s.u8[b * 8 + i] as number));
    s.set32(d + half, total);
  }
  return 0;
};

// ---- shifts

type Shift = (s: CpuState, d: number, count: number) => void;
const shiftWords =
  (f: (x: number, n: number) => number): Shift =>
  (s, d, n) => {
    for (let i = 0; i < 8; i++) s.u16[d * 4 + i] = f(s.u16[d * 4 + i] as number, n);
  };
const shiftDoublewords =
  (f: (x: number, n: number) => number): Shift =>
  (s, d, n) => {
    for (let i = 0; i < 4; i++) s.r32[d * 2 + i] = f(s.r32[d * 2 + i] as number, n);
  };
const shiftQuadwords =
  (f: (x: bigint, n: bigint) => bigint): Shift =>
  (s, d, n) => {
    for (let i = 0; i < 2; i++) s.r[d + i] = f(s.r[d + i] as bigint, BigInt(n));
  };
/** Logical shifts by the lane's width or more leave zero, arithmetic ones the sign. */
const upTo =
  (width: number, f: Shift, arithmetic = false): Shift =>
  (s, d, n) => {
    if (n < width) f(s, d, n);
    else if (arithmetic) f(s, d, width - 1);
    else s.r.fill(0n, d, d + 2);
  };
export const SHIFTS = {
  psllw: upTo(
    16,
    shiftWords((x, n) => x << n),
  ),
  psrlw: upTo(
    16,
    shiftWords((x, n) => x >>> n),
  ),
  psraw: upTo(
    16,
    shiftWords((x, n) => signed16(x) >> n),
    true,
  ),
  pslld: upTo(
    32,
    shiftDoublewords((x, n) => x << n),
  ),
  psrld: upTo(
    32,
    shiftDoublewords((x, n) => x >>> n),
  ),
  psrad: upTo(
    32,
    shiftDoublewords((x, n) => x >> n),
    true,
  ),
  psllq: upTo(
    64,
    shiftQuadwords((x, n) => x << n),
  ),
  psrlq: upTo(
    64,
    shiftQuadwords((x, n) => x >> n),
  ),
} as const;
/** The count is the number b. */
export const shiftByNumber =
  (f: Shift): Helper =>
  (s, d, _a, b) => {
    f(s, d, b);
    return 0;
  };
/** The count is the low 64 bits of slot b. */
export const shiftBySlot =
  (f: Shift): Helper =>
  (s, d, _a, b) => {
    f(s, d, s.r32[b * 2 + 1] === 0 ? Math.min(s.get32(b), 64) : 64);
    return 0;
  };
/** PSLLDQ and PSRLDQ: the whole register by b bytes. */
export const shiftBytes =
  (left: boolean): Helper =>
  (s, d, _a, b) => {
    const n = b > 15 ? 16 : b;
    const from = s.u8.slice(d * 8, d * 8 + 16);
    for (let i = 0; i < 16; i++) s.u8[d * 8 + i] = from[left ? i - n : i + n] ?? 0;
    return 0;
  };
