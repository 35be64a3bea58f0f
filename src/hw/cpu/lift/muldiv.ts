import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import { HELPER_FAULT } from '../helper-faults';
import type { CpuState } from '../../state/cpu-state';
import type { Helper } from './helpers';
import { FLAG, setFlagResult, signZeroParity } from './result-flags';
import type { Emitter } from './emitter';
import type { Lifter, LifterTable } from './table';

const RAX = 0;
const RDX = 2;
const WIDTHS = [8, 16, 32, 64] as const;

function byWidth(make: (w: RegisterWidth) => Helper): ReadonlyMap<RegisterWidth, Helper> {
  return new Map(WIDTHS.map((w) => [w, make(w)]));
}

const extend = (signed: boolean, w: RegisterWidth, x: bigint): bigint =>
  signed ? BigInt.asIntN(w, x) : BigInt.asUintN(w, x);

/** CF = OF: the upper half is more than the extension of the lower. SF ZF PF are undefined; they follow the lower half. */
function productFlags(s: CpuState, low: number, w: RegisterWidth, overflow: boolean): number {
  return signZeroParity(s, low, w) | (overflow ? FLAG.CF | FLAG.OF : 0);
}

/** The low halves of slots a and b multiplied: low half to d, high half to d + 1, flags to d + 2. */
function product(signed: boolean): (w: RegisterWidth) => Helper {
  return (w) => (s, d, a, b) => {
    const p = extend(signed, w, s.get(a)) * extend(signed, w, s.get(b));
    const low = BigInt.asUintN(w, p);
    s.set(d, low);
    s.set(d + 1, BigInt.asUintN(w, p >> BigInt(w)));
    setFlagResult(s, d + 2, productFlags(s, d, w, extend(signed, w, low) !== p));
    return 0;
  };
}

/** Writes a double-width result to AX or (R/E)DX:(R/E)AX. */
function putDouble(e: Emitter, w: RegisterWidth, low: number, high: number): void {
  if (w === 8) {
    e.putGpr(RAX, 8, low);
    e.putGpr(RAX, 8, high, 8);
  } else {
    e.putGpr(RAX, w, low);
    e.putGpr(RDX, w, high);
  }
}

function multiply(signed: boolean): Lifter {
  const helpers = byWidth(product(signed));
  return (e) => {
    const count = e.insn.operands.length;
    const w = e.width(0);
    const helper = helpers.get(w);
    if (helper === undefined) return;
    if (count === 1) {
      const d = e.helpMany(helper, 3, RAX, e.readLow(0, w));
      putDouble(e, w, d, d + 1);
      e.putFlags(d + 2);
      return;
    }
    // IMUL r, r/m and IMUL r, r/m, immediate (already sign-extended)
    const [a, b] = count === 2 ? [e.readLow(0, w), e.readLow(1, w)] : [e.readLow(1, w), e.readLow(2, w)];
    const d = e.helpMany(helper, 3, a, b);
    e.write(0, d, w);
    e.putFlags(d + 2);
  };
}

/**
 * AX or (R/E)DX:(R/E)AX by the low half of slot a: quotient to d, remainder to d + 1. #DE for a zero divisor or a quotient that does not fit.
 * Flags are undefined and stay.
 */
function quotient(signed: boolean): (w: RegisterWidth) => Helper {
  return (w) => (s, d, a) => {
    const divisor = extend(signed, w, s.get(a));
    if (divisor === 0n) return HELPER_FAULT.DIVIDE_ZERO;
    const W = BigInt(w);
    const raw = w === 8 ? s.get(RAX) & 0xffffn : (BigInt.asUintN(w, s.get(RDX)) << W) | BigInt.asUintN(w, s.get(RAX));
    const dividend = signed ? BigInt.asIntN(2 * w, raw) : raw;
    const q = dividend / divisor;
    if (extend(signed, w, q) !== q) return HELPER_FAULT.DIVIDE_OVERFLOW;
    s.set(d, BigInt.asUintN(w, q));
    s.set(d + 1, BigInt.asUintN(w, dividend % divisor));
    return 0;
  };
}

function divide(signed: boolean): Lifter {
  const helpers = byWidth(quotient(signed));
  return (e) => {
    const w = e.width(0);
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const d = e.helpMany(helper, 2, e.readLow(0, w));
    putDouble(e, w, d, d + 1);
  };
}

/** MULX (BMI2): RDX × source, unsigned, to two registers; no flags. The first operand, the high half, wins where both are the same. */
const mulxHelpers = byWidth(product(false));
const mulx: Lifter = (e) => {
  const w = e.width(0);
  const helper = mulxHelpers.get(w);
  if (helper === undefined) return;
  const d = e.helpMany(helper, 3, RDX, e.readLow(2, w));
  e.write(1, d, w);
  e.write(0, d + 1, w);
};

/** MUL IMUL DIV IDIV MULX (SDM vol. 2). */
export const MULDIV: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Mul, multiply(false)],
  [Mnemonic.Imul, multiply(true)],
  [Mnemonic.Div, divide(false)],
  [Mnemonic.Idiv, divide(true)],
  [Mnemonic.Mulx, mulx],
]);
