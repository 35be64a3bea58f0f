import type { Helper } from '../lift/helpers';

/** Rearrangement of lanes: unpack, pack, shuffle, extract. Sources are copied before d is written, since it is usually one of them. */
const first = new Uint8Array(16);
const second = new Uint8Array(16);
const firstWords = new Uint16Array(first.buffer);
const secondWords = new Uint16Array(second.buffer);
const firstDoublewords = new Int32Array(first.buffer);
const secondDoublewords = new Int32Array(second.buffer);

/** PUNPCKL/H and UNPCKL/H: lanes of `size` bytes of a and b in turns, from the lower or upper halves. */
export function interleave(size: 1 | 2 | 4 | 8, high: boolean): Helper {
  return (s, d, a, b) => {
    first.set(s.u8.subarray(a * 8, a * 8 + 16));
    second.set(s.u8.subarray(b * 8, b * 8 + 16));
    const from = high ? 8 : 0;
    for (let i = 0; i < 16; i++) {
      const pair = Math.floor(i / (2 * size));
      const within = i % size;
      s.u8[d * 8 + i] = (i % (2 * size) < size ? first : second)[from + pair * size + within] as number;
    }
    return 0;
  };
}

const saturate = (x: number, low: number, high: number): number => (x < low ? low : x > high ? high : x);
const load = (s: { readonly u8: Uint8Array }, a: number, b: number): void => {
  first.set(s.u8.subarray(a * 8, a * 8 + 16));
  second.set(s.u8.subarray(b * 8, b * 8 + 16));
};
const packWords =
  (low: number, high: number): Helper =>
  (s, d, a, b) => {
    load(s, a, b);
    for (let i = 0; i < 16; i++) {
      const w = (i < 8 ? firstWords[i] : secondWords[i - 8]) as number;
      s.u8[d * 8 + i] = saturate((w << 16) >> 16, low, high);
    }
    return 0;
  };
export const packsswb = packWords(-128, 127);
export const packuswb = packWords(0, 255);
export const packssdw: Helper = (s, d, a, b) => {
  load(s, a, b);
  for (let i = 0; i < 8; i++)
    s.u16[d * 4 + i] = saturate((i < 4 ? firstDoublewords[i] : secondDoublewords[i - 4]) as number, -32768, 32767);
  return 0;
};

/** PSHUFD: four doublewords of a chosen by the byte b. */
export const pshufd: Helper = (s, d, a, b) => {
  first.set(s.u8.subarray(a * 8, a * 8 + 16));
  for (let i = 0; i < 4; i++) s.r32[d * 2 + i] = firstDoublewords[(b >> (2 * i)) & 3] as number;
  return 0;
};
/** PSHUFLW and PSHUFHW: the words of one half of a chosen by the byte b; the other half is copied. */
export const pshufw =
  (high: boolean): Helper =>
  (s, d, a, b) => {
    first.set(s.u8.subarray(a * 8, a * 8 + 16));
    const half = high ? 4 : 0;
    for (let i = 0; i < 8; i++)
      s.u16[d * 4 + i] = firstWords[i >= half && i < half + 4 ? half + ((b >> (2 * (i - half))) & 3) : i] as number;
    return 0;
  };
/** SHUFPS: two singles of d, then two of a, chosen by the byte b. */
export const shufps: Helper = (s, d, a, b) => {
  load(s, d, a);
  for (let i = 0; i < 4; i++)
    s.r32[d * 2 + i] = (i < 2 ? firstDoublewords : secondDoublewords)[(b >> (2 * i)) & 3] as number;
  return 0;
};
/** SHUFPD: a double of d, then one of a. */
export const shufpd: Helper = (s, d, a, b) => {
  const low = s.r[d + (b & 1)] as bigint;
  const high = s.r[a + ((b >> 1) & 1)] as bigint;
  s.r[d] = low;
  s.r[d + 1] = high;
  return 0;
};

/** PEXTRW: word b of a, zero-extended. */
export const pextrw: Helper = (s, d, a, b) => {
  s.set32(d, s.u16[a * 4 + (b & 7)] as number);
  return 0;
};
/** PINSRW: word b of d ← slot a. */
export const pinsrw: Helper = (s, d, a, b) => {
  s.u16[d * 4 + (b & 7)] = s.r32[a * 2] as number;
  return 0;
};

/** PMOVMSKB, MOVMSKPS and MOVMSKPD: the sign bits of a's lanes of `size` bytes. */
export const signs =
  (size: 1 | 4 | 8): Helper =>
  (s, d, a) => {
    let mask = 0;
    for (let i = 0; i < 16 / size; i++) mask |= ((s.u8[a * 8 + i * size + size - 1] as number) >> 7) << i;
    s.set32(d, mask);
    return 0;
  };

/** MOVSS between registers: the low 32 bits of d ← b. */
export const moveSingle: Helper = (s, d, _a, b) => {
  s.r32[d * 2] = s.r32[b * 2] as number;
  return 0;
};
