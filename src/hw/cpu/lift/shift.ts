import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import type { CpuState } from '../../state/cpu-state';
import { CC } from '../../state/lazy-flags';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import type { Helper } from './helpers';
import { FLAG, currentFlags, setFlagResult, signZeroParity } from './result-flags';
import type { Lifter, LifterTable } from './table';

type Operation = 'SHL' | 'SHR' | 'SAR' | 'ROL' | 'ROR' | 'RCL' | 'RCR';

const WIDTHS = [8, 16, 32, 64] as const;
const mask = (width: RegisterWidth): bigint => (1n << BigInt(width)) - 1n;
const bitOf = (x: bigint, n: number): number => Number((x >> BigInt(n)) & 1n);

/**
 * Value, CF and OF of a shift or rotate by 1 ≤ n ≤ 63 (SDM vol. 2, SAL/SAR/SHL/SHR and RCL/RCR/ROL/ROR). OF is defined for n = 1 only; for other counts it
 * is what the same formula gives on the result, which is what Intel's CPUs are seen to do.
 */
function shifted(
  op: Operation,
  w: RegisterWidth,
  a: bigint,
  n: number,
  carry: number,
): { readonly value: bigint; readonly cf: number; readonly of: number } {
  const top = w - 1;
  switch (op) {
    case 'SHL': {
      const value = (a << BigInt(n)) & mask(w);
      const cf = n <= w ? bitOf(a, w - n) : 0;
      return { value, cf, of: bitOf(value, top) ^ cf };
    }
    case 'SHR': {
      const value = a >> BigInt(n);
      return { value, cf: bitOf(a, n - 1), of: bitOf(value, top) ^ bitOf(value, top - 1) };
    }
    case 'SAR': {
      const signed = BigInt.asIntN(w, a);
      return { value: (signed >> BigInt(n)) & mask(w), cf: bitOf(BigInt.asUintN(128, signed), n - 1), of: 0 };
    }
    case 'ROL': {
      const k = BigInt(n % w);
      const value = ((a << k) | (a >> (BigInt(w) - k))) & mask(w);
      const cf = bitOf(value, 0);
      return { value, cf, of: bitOf(value, top) ^ cf };
    }
    case 'ROR': {
      const k = BigInt(n % w);
      const value = ((a >> k) | (a << (BigInt(w) - k))) & mask(w);
      return { value, cf: bitOf(value, top), of: bitOf(value, top) ^ bitOf(value, top - 1) };
    }
    case 'RCL':
    case 'RCR': {
      // rotates a value of w + 1 bits whose top bit is CF
      const size = BigInt(w + 1);
      const left = op === 'RCL' ? BigInt(n) % size : (size - (BigInt(n) % size)) % size;
      const ring = (BigInt(carry) << BigInt(w)) | a;
      const turned = ((ring << left) | (ring >> (size - left))) & ((1n << size) - 1n);
      const value = turned & mask(w);
      const cf = bitOf(turned, w);
      return { value, cf, of: op === 'RCL' ? bitOf(value, top) ^ cf : bitOf(value, top) ^ bitOf(value, top - 1) };
    }
  }
}

/** Helper of one operation and width: slot a shifted by slot b; value to d, flags to d + 1. A masked count of zero changes neither. */
function shiftHelper(op: Operation, w: RegisterWidth): Helper {
  const rotate = op === 'ROL' || op === 'ROR' || op === 'RCL' || op === 'RCR';
  return (s: CpuState, d, a, b) => {
    const n = s.get32(b) & (w === 64 ? 0x3f : 0x1f);
    const old = currentFlags(s);
    if (n === 0) {
      s.set(d, s.get(a));
      setFlagResult(s, d + 1, old);
      return 0;
    }
    const { value, cf, of } = shifted(op, w, s.get(a), n, old & FLAG.CF);
    s.set(d, value);
    const rest = rotate ? old & ~(FLAG.CF | FLAG.OF) : signZeroParity(s, d, w);
    setFlagResult(s, d + 1, rest | (cf ? FLAG.CF : 0) | (of ? FLAG.OF : 0));
    return 0;
  };
}

function helpersByWidth(make: (w: RegisterWidth) => Helper): ReadonlyMap<RegisterWidth, Helper> {
  return new Map(WIDTHS.map((w) => [w, make(w)]));
}

/** The count of operand `i`, if it is known now: masked to 5 or 6 bits. */
function knownCount(e: Emitter, i: number, w: RegisterWidth): number | undefined {
  const o = e.operand(i);
  return o.kind === 'immediate' ? Number(o.value & (w === 64 ? 0x3fn : 0x1fn)) : undefined;
}

/**
 * Shifts by a known count in micro-ops. Their flags have no kind of their own; operands of an addition or subtraction are chosen that give the same ones:
 *   SHL n   x = a << n−1 and x + x: the carry out of that addition is the last bit shifted out
 *   SAR n   result − (a << w−n) with both operands so that the borrow is the top bit of a << w−n, and no overflow
 *   SHR n   likewise; n = 1 is left to the helper, since its OF is the old top bit
 */
function shiftByKnown(e: Emitter, op: 'SHL' | 'SHR' | 'SAR', w: RegisterWidth, n: number): void {
  const wide = w === 64;
  if (op === 'SHL') {
    const target = e.modifyLow(0, w);
    const x = n === 1 ? target.value : e.calc(wide ? UOP.SHLI64 : UOP.SHLI32, target.value, n - 1);
    const r = e.calc(wide ? UOP.ADD64 : UOP.ADD32, x, x);
    e.commit(target, r, () => e.flags(CC.ADD, w, r, x, x));
    return;
  }
  // shifting right needs the operand as 32 or 64 bits, with the right bits above
  const target = w >= 32 ? e.modifyLow(0, w) : e.modify(0, w);
  const a = op === 'SAR' && w < 32 ? e.signExtend(target.value, w, 32) : target.value;
  const r = e.calc(op === 'SAR' ? (wide ? UOP.SARI64 : UOP.SARI32) : wide ? UOP.SHRI64 : UOP.SHRI32, a, n);
  // the last bit out, moved to the top of the width (counts above 8 or 16 bits reach into the extension)
  const out = n <= w ? e.calc(wide ? UOP.SHLI64 : UOP.SHLI32, a, w - n) : e.calc(UOP.SHRI32, a, n - w);
  e.commit(target, r, () => e.flags(CC.SUB, w, r, r, out));
}

function shift(op: Operation): Lifter {
  const helpers = helpersByWidth((w) => shiftHelper(op, w));
  return (e) => {
    const w = e.width(0);
    const n = knownCount(e, 1, w);
    if (n === 0) {
      // flags and value stay, yet memory is accessed and a 32-bit register zero-extended
      const target = e.modify(0, w);
      target.write(target.value);
      return;
    }
    if (n !== undefined && (op === 'SHL' || op === 'SAR' || (op === 'SHR' && n > 1))) {
      shiftByKnown(e, op, w, n);
      return;
    }
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const count = e.readLow(1, 8);
    const target = e.modify(0, w);
    const d = e.helpMany(helper, 2, target.value, count);
    e.commit(target, d, () => e.putFlags(d + 1));
  };
}

/**
 * SHLD and SHRD: slot d holds the count on entry, a the destination, b the source; value to d, flags to d + 1. For 16 bits and counts above 16 the result is
 * undefined; it is taken from destination:source:destination, as Intel's CPUs are seen to do.
 */
function doubleShiftHelper(op: 'SHLD' | 'SHRD', w: RegisterWidth): Helper {
  const W = BigInt(w);
  return (s: CpuState, d, a, b) => {
    const n = s.get32(d) & (w === 64 ? 0x3f : 0x1f);
    if (n === 0) {
      s.set(d, s.get(a));
      setFlagResult(s, d + 1, currentFlags(s));
      return 0;
    }
    const x = s.get(a) & mask(w);
    const y = s.get(b) & mask(w);
    let cf: number;
    let value: bigint;
    if (op === 'SHLD') {
      const triple = (x << (2n * W)) | (y << W) | x;
      value = (triple >> (2n * W - BigInt(n))) & mask(w);
      cf = bitOf(triple, 3 * w - n);
    } else {
      const triple = (x << (2n * W)) | (y << W) | x;
      value = (triple >> BigInt(n)) & mask(w);
      cf = bitOf(triple, n - 1);
    }
    s.set(d, value);
    const of = bitOf(value, w - 1) ^ bitOf(x, w - 1);
    setFlagResult(s, d + 1, signZeroParity(s, d, w) | (cf ? FLAG.CF : 0) | (of ? FLAG.OF : 0));
    return 0;
  };
}

function doubleShift(op: 'SHLD' | 'SHRD'): Lifter {
  const helpers = helpersByWidth((w) => doubleShiftHelper(op, w));
  return (e) => {
    const w = e.width(0);
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const source = e.readLow(1, w);
    const count = e.readLow(2, 8);
    const target = e.modify(0, w);
    const d = e.helpMany(helper, 2, target.value, source, count);
    e.commit(target, d, () => e.putFlags(d + 1));
  };
}

/** SHLX SHRX SARX RORX (BMI2): no flags. The count register is masked to the operand size. */
function flaglessShift(op: 'SHL' | 'SHR' | 'SAR' | 'ROR'): Lifter {
  const helpers = helpersByWidth((w) => shiftHelper(op, w));
  return (e) => {
    const w = e.width(0);
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const count = e.readLow(2, w);
    e.write(0, e.helpMany(helper, 2, e.read(1, w), count), w);
  };
}

/** SHL SAL SHR SAR ROL ROR RCL RCR SHLD SHRD, and BMI2's SHLX SHRX SARX RORX (SDM vol. 2). AF is undefined after shifts. */
export const SHIFT: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Shl, shift('SHL')],
  [Mnemonic.Sal, shift('SHL')],
  [Mnemonic.Shr, shift('SHR')],
  [Mnemonic.Sar, shift('SAR')],
  [Mnemonic.Rol, shift('ROL')],
  [Mnemonic.Ror, shift('ROR')],
  [Mnemonic.Rcl, shift('RCL')],
  [Mnemonic.Rcr, shift('RCR')],
  [Mnemonic.Shld, doubleShift('SHLD')],
  [Mnemonic.Shrd, doubleShift('SHRD')],
  [Mnemonic.Shlx, flaglessShift('SHL')],
  [Mnemonic.Shrx, flaglessShift('SHR')],
  [Mnemonic.Sarx, flaglessShift('SAR')],
  [Mnemonic.Rorx, flaglessShift('ROR')],
]);
