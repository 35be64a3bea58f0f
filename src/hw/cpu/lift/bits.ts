import { Mnemonic } from 'iced-x86';
import type { RegisterWidth } from '../../../isa/registers';
import type { CpuState } from '../../state/cpu-state';
import { UOP } from '../uop';
import type { Address, Emitter, Target } from './emitter';
import type { Helper } from './helpers';
import { FLAG, currentFlags, setFlagResult } from './result-flags';
import type { Lifter, LifterTable } from './table';

type BitOperation = 'BT' | 'BTS' | 'BTR' | 'BTC';

/** Bit `slot b` modulo the width of slot a: CF = the bit, other flags stay (ZF by definition, the rest undefined). New value to d, flags to d + 1. */
function bitHelper(op: BitOperation, width: RegisterWidth): Helper {
  return (s: CpuState, d, a, b) => {
    const n = s.get32(b) & (width - 1);
    let low = s.r32[a * 2] as number;
    let high = width === 64 ? (s.r32[a * 2 + 1] as number) : 0;
    const bit = 1 << (n & 31);
    const set = ((n < 32 ? low : high) & bit) !== 0;
    const flip = op === 'BTC' || (op === 'BTS' && !set) || (op === 'BTR' && set);
    if (flip && n < 32) low ^= bit;
    else if (flip) high ^= bit;
    s.r32[d * 2] = low;
    s.r32[d * 2 + 1] = high;
    setFlagResult(s, d + 1, (currentFlags(s) & ~FLAG.CF) | (set ? FLAG.CF : 0));
    return 0;
  };
}

/**
 * BT and its kin on memory with the bit number in a register: a bit string of which the number, signed, selects the word as well
 * (SDM vol. 2, BT: effective address + width/8 × (number ÷ width rounded down)).
 */
function bitStringAddress(e: Emitter, w: 16 | 32 | 64, write: boolean): Address {
  const base = e.operand(0);
  const index = e.operand(1);
  if (base.kind !== 'memory' || index.kind !== 'gpr')
    throw new TypeError('a bit string is memory indexed by a register');
  const m = base.memory;
  const number = w === 64 ? index.index : e.calc(w === 32 ? UOP.SX32 : UOP.SX16, index.index, 0);
  const word = e.calc(UOP.SARI64, number, Math.log2(w));
  const offset = e.calc(UOP.ADD64, e.effectiveAddress(m), e.calc(UOP.SHLI64, word, Math.log2(w / 8)));
  return e.addressAt(
    m.segment,
    m.addressBits === 64 ? offset : e.zeroExtend(offset, m.addressBits),
    m.addressBits,
    w,
    write,
  );
}

function bitTest(op: BitOperation): Lifter {
  const helpers = new Map(([16, 32, 64] as const).map((w) => [w, bitHelper(op, w)]));
  return (e) => {
    const w = e.insn.operandBits;
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const writes = op !== 'BT';
    const number = e.readLow(1);
    let target: Target;
    if (e.operand(0).kind === 'memory' && e.operand(1).kind === 'gpr') {
      const at = bitStringAddress(e, w, writes);
      target = { value: e.load(at, w, writes), inMemory: true, write: (v) => e.store(at, w, v) };
    } else if (writes) target = e.modify(0, w);
    else target = { value: e.read(0, w), inMemory: false, write: () => undefined };
    const d = e.helpMany(helper, 2, target.value, number);
    e.commit(target, d, () => e.putFlags(d + 1));
  };
}

const lowestBit = (low: number, high: number): number =>
  low !== 0 ? 31 - Math.clz32(low & -low) : 63 - Math.clz32(high & -high);
const highestBit = (low: number, high: number): number => (high !== 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(low));

/** BSF and BSR: slot b is the old destination, which stays when the source is zero. ZF tells; the other flags are undefined and stay. */
function scanHelper(forward: boolean): Helper {
  return (s, d, a, b) => {
    const low = s.r32[a * 2] as number;
    const high = s.r32[a * 2 + 1] as number;
    const zero = (low | high) === 0;
    if (zero) s.set(d, s.get(b));
    else s.set32(d, forward ? lowestBit(low, high) : highestBit(low, high));
    setFlagResult(s, d + 1, (currentFlags(s) & ~FLAG.ZF) | (zero ? FLAG.ZF : 0));
    return 0;
  };
}

function scan(forward: boolean): Lifter {
  const helper = scanHelper(forward);
  return (e) => {
    const w = e.width(0);
    const to = e.operand(0);
    if (to.kind !== 'gpr') return;
    const source = e.read(1, w);
    const d = e.helpMany(helper, 2, source, to.index);
    // with a zero source nothing is written, not even the upper half of a 32-bit destination
    const skip = e.branch(UOP.BRZ, source);
    e.putGpr(to.index, w, d);
    skip();
    e.putFlags(d + 1);
  };
}

/** TZCNT and LZCNT: the width when the source is zero; CF = source zero, ZF = result zero, others undefined and stay. */
function countHelper(trailing: boolean, width: RegisterWidth): Helper {
  return (s, d, a) => {
    const low = s.r32[a * 2] as number;
    const high = s.r32[a * 2 + 1] as number;
    const zero = (low | high) === 0;
    const n = zero ? width : trailing ? lowestBit(low, high) : width - 1 - highestBit(low, high);
    s.set32(d, n);
    setFlagResult(s, d + 1, (currentFlags(s) & ~(FLAG.CF | FLAG.ZF)) | (zero ? FLAG.CF : 0) | (n === 0 ? FLAG.ZF : 0));
    return 0;
  };
}

function count(trailing: boolean): Lifter {
  const helpers = new Map(([16, 32, 64] as const).map((w): [RegisterWidth, Helper] => [w, countHelper(trailing, w)]));
  return (e) => {
    const w = e.width(0);
    const helper = helpers.get(w);
    if (helper === undefined) return;
    const d = e.helpMany(helper, 2, e.read(1, w));
    e.write(0, d, w);
    e.putFlags(d + 1);
  };
}

function population(x: number): number {
  let v = x - ((x >>> 1) & 0x5555_5555);
  v = (v & 0x3333_3333) + ((v >>> 2) & 0x3333_3333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** POPCNT: ZF by the source, all other flags cleared. */
const populationHelper: Helper = (s, d, a) => {
  const n = population(s.r32[a * 2] as number) + population(s.r32[a * 2 + 1] as number);
  s.set32(d, n);
  setFlagResult(s, d + 1, n === 0 ? FLAG.ZF : 0);
  return 0;
};
const popcnt: Lifter = (e) => {
  const w = e.width(0);
  const d = e.helpMany(populationHelper, 2, e.read(1, w));
  e.write(0, d, w);
  e.putFlags(d + 1);
};

/** BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT (SDM vol. 2). */
export const BITS: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Bt, bitTest('BT')],
  [Mnemonic.Bts, bitTest('BTS')],
  [Mnemonic.Btr, bitTest('BTR')],
  [Mnemonic.Btc, bitTest('BTC')],
  [Mnemonic.Bsf, scan(true)],
  [Mnemonic.Bsr, scan(false)],
  [Mnemonic.Tzcnt, count(true)],
  [Mnemonic.Lzcnt, count(false)],
  [Mnemonic.Popcnt, popcnt],
]);
