/** The x87 and SSE registers by name: XMM0–XMM15 and their halves, ST0–ST7, MXCSR and the x87 environment. */
import { hex } from '../../base/hex';
import { rawSt, readSt, refreshSummary, setControlWord, writeRaw, writeSt } from '../../hw/cpu/x87/registers';
import { packDouble, unpackDouble, type Float } from '../../hw/fpu/float';
import type { CpuState } from '../../hw/state/cpu-state';
import { SLOT } from '../../hw/state/layout';

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
export const XMM_NAMES: readonly string[] = range(16).map((i) => `xmm${i}`);
export const ST_NAMES: readonly string[] = range(8).map((i) => `st${i}`);

/** Control registers of the two, by the names that gdb has for them and the manual's. */
const ENVIRONMENT: Readonly<
  Record<string, { readonly slot: number; readonly bits: number; readonly writable: number }>
> = {
  mxcsr: { slot: SLOT.MXCSR, bits: 32, writable: 0xffff },
  fcw: { slot: SLOT.FCW, bits: 16, writable: 0x1f7f },
  fsw: { slot: SLOT.FSW, bits: 16, writable: 0xffff },
  /** Bit n: R(n) is not empty, as FXSAVE has it. */
  ftw: { slot: SLOT.FTW, bits: 8, writable: 0xff },
  fop: { slot: SLOT.FOP, bits: 11, writable: 0x7ff },
};
export const X87_NAMES: readonly string[] = ['fcw', 'fsw', 'ftw', 'fop'];

/** A register of more than 64 bits. */
export interface WideRegister {
  readonly name: string;
  readonly bits: 80 | 128;
  readonly value: bigint;
  /** For a reader. */
  readonly text: string;
}

const xmmIndex = (name: string): number => XMM_NAMES.indexOf(name);
const halfOf = (name: string): { readonly slot: number } | undefined => {
  const [, index, half] = /^xmm(\d|1[0-5])_(lo|hi)$/.exec(name) ?? [];
  return index === undefined ? undefined : { slot: SLOT.XMM + 2 * Number(index) + (half === 'hi' ? 1 : 0) };
};

export function readWide(s: CpuState, name: string): WideRegister | undefined {
  const xmm = xmmIndex(name);
  if (xmm >= 0) {
    const value = s.get(SLOT.XMM + 2 * xmm) | (s.get(SLOT.XMM + 2 * xmm + 1) << 64n);
    return { name, bits: 128, value, text: hex(value, 32) };
  }
  const st = ST_NAMES.indexOf(name);
  if (st < 0) return undefined;
  const { signExponent, significand } = rawSt(s, st);
  const value = (BigInt(signExponent) << 64n) | significand;
  return {
    name,
    bits: 80,
    value,
    text: `${hex(value, 20)} ${decimal(readSt(s, st))}${isEmpty(s, st) ? ' (empty)' : ''}`,
  };
}

export function readNarrow(s: CpuState, name: string): bigint | undefined {
  const half = halfOf(name);
  if (half) return s.get(half.slot);
  const found = Object.hasOwn(ENVIRONMENT, name) ? ENVIRONMENT[name] : undefined;
  return found && BigInt.asUintN(found.bits, s.get(found.slot));
}

/** Names that evaluate to numbers of up to 64 bits. */
export const FP_NAMES: readonly string[] = [
  ...Object.keys(ENVIRONMENT),
  ...XMM_NAMES.flatMap((name) => [`${name}_lo`, `${name}_hi`]),
];
export const WIDE_NAMES: readonly string[] = [...XMM_NAMES, ...ST_NAMES];

/** The result: why not. */
export function writeNarrow(s: CpuState, name: string, value: bigint): string | undefined {
  const half = halfOf(name);
  if (half) {
    s.set(half.slot, value);
    return undefined;
  }
  const found = ENVIRONMENT[name];
  if (!found) return `there is no register \`${name}\``;
  const reserved = value & ~BigInt(found.writable);
  if (reserved !== 0n) return `reserved bits of ${name.toUpperCase()} cannot be set: ${hex(reserved)}`;
  if (name === 'fcw') setControlWord(s, Number(value));
  else s.set(found.slot, value);
  if (name === 'fcw' || name === 'fsw') refreshSummary(s);
  return undefined;
}

/** @param text a number of the register's width, or for ST a decimal fraction */
export function writeWide(s: CpuState, name: string, text: string): string | undefined {
  const written = text.trim().replaceAll('_', '');
  const xmm = xmmIndex(name);
  const st = ST_NAMES.indexOf(name);
  const bits = xmm >= 0 ? 128n : 80n;
  if (/^(0x[0-9a-f]+|\d+)$/i.test(written) && (xmm >= 0 || /^0x/i.test(written))) {
    const value = BigInt(written);
    if (value >> bits !== 0n) return `${name} has ${bits} bits; ${hex(value)} does not fit`;
    if (xmm >= 0) {
      s.set(SLOT.XMM + 2 * xmm, BigInt.asUintN(64, value));
      s.set(SLOT.XMM + 2 * xmm + 1, value >> 64n);
    } else writeRaw(s, st, Number(value >> 64n), BigInt.asUintN(64, value));
    return undefined;
  }
  const number = Number(written);
  if (st >= 0 && written !== '' && (!Number.isNaN(number) || /^nan$/i.test(written))) {
    writeSt(s, st, unpackDouble(bitsOfDouble(number)));
    return undefined;
  }
  return xmm >= 0
    ? `${name} takes a number of up to 128 bits, as in 0x0123; \`${text}\` is none`
    : `${name} takes a decimal number, as in 1.5, or its 80 bits in hexadecimal; \`${text}\` is neither`;
}

/** Lanes of an XMM register, as its instructions see them. */
export function lanesOf(s: CpuState, index: number): readonly (readonly [name: string, value: string])[] {
  const at = SLOT.XMM + 2 * index;
  const singles = [...s.f32.subarray(at * 2, at * 2 + 4)];
  const doubles = [...s.f64.subarray(at, at + 2)];
  const dwords = [...s.r32.subarray(at * 2, at * 2 + 4)].map((v) => hex(v >>> 0));
  return [
    ['float × 4', singles.map(shown).join(', ')],
    ['double × 2', doubles.map(shown).join(', ')],
    ['dword × 4', dwords.join(', ')],
  ];
}

const shown = (n: number): string => (Object.is(n, -0) ? '-0' : String(n));
const isEmpty = (s: CpuState, i: number): boolean =>
  ((s.get32(SLOT.FTW) >> (((s.get32(SLOT.FSW) >> 11) + i) & 7)) & 1) === 0;

const words = new DataView(new ArrayBuffer(8));
function bitsOfDouble(n: number): bigint {
  words.setFloat64(0, n);
  return words.getBigUint64(0);
}
/** The nearest double, in decimal. */
function decimal(f: Float): string {
  words.setBigUint64(0, packDouble(f));
  return shown(words.getFloat64(0));
}
