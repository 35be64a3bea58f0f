import { HELPER_FAULT } from '../helper-faults';
import { SLOT } from '../../state/layout';
import type { MemoryOperand } from '../decoded';
import { available } from '../sse/mxcsr';
import { UOP } from '../uop';
import type { Address, Emitter } from './emitter';
import type { Helper } from './helpers';
import type { Lifter } from './table';

/** Operands of SSE instructions: registers as pairs of slots, memory loaded into pairs of temporaries. */

/** The first slot of XMM register operand i. */
export function xmm(e: Emitter, i: number): number {
  const o = e.operand(i);
  return o.kind === 'xmm' ? SLOT.XMM + 2 * o.index : SLOT.ZERO;
}

/** Checks once in a block that SSE may be used: only system functions change the answer, and they end blocks. */
export function requireSse(e: Emitter): void {
  if (e.sseChecked) return;
  e.help(available, SLOT.VALUE);
  e.sseChecked = true;
}

/** The same address `n` bytes on. */
function beyond(e: Emitter, at: Address, n: number): Address {
  const displacement = at.displacement + n;
  if (displacement <= 0x7fff_ffff) return { ...at, displacement };
  return { ...at, slot: e.calc(UOP.ADDI64, at.slot, at.displacement), displacement: n };
}

/** #GP(0) unless slot a + b is a multiple of 16. */
const requireAligned: Helper = (s, _d, a, b) => (((s.r32[a * 2] as number) + b) & 15 ? HELPER_FAULT.ALIGNMENT : 0);
/** 1 in slot d if 16 bytes at slot a + b reach into the next page. */
const crossesPage: Helper = (s, d, a, b) => {
  s.set32(d, (((s.r32[a * 2] as number) + b) & 0xfff) > 0xff0 ? 1 : 0);
  return 0;
};

/** A 128-bit memory operand, its alignment checked if asked for: the addresses of its halves. */
function wide(
  e: Emitter,
  m: MemoryOperand,
  write: boolean,
  aligned: boolean,
): { readonly low: Address; readonly high: Address } {
  const low = e.address(m, 128, write);
  if (aligned) e.help(requireAligned, SLOT.VALUE, low.slot, low.displacement);
  return { low, high: beyond(e, low, 8) };
}
/** Loads 128 bits into the pair of slots at `into`, or into temporaries. */
export function load128(e: Emitter, m: MemoryOperand, aligned: boolean, into?: number): number {
  const { low, high } = wide(e, m, false, aligned);
  const d = into ?? e.temp();
  if (into === undefined) e.temp();
  e.load(low, 64, false, d);
  e.load(high, 64, false, d + 1);
  return d;
}
/** Stores the pair of slots; both pages are checked before the first is written. */
export function store128(e: Emitter, m: MemoryOperand, aligned: boolean, from: number): void {
  const { low, high } = wide(e, m, true, aligned);
  if (!aligned) {
    const crosses = e.temp();
    e.help(crossesPage, crosses, low.slot, low.displacement);
    const inside = e.branch(UOP.BRZ, crosses);
    e.probe(low, 16, true);
    inside();
  }
  e.store(low, 64, from);
  e.store(high, 64, from + 1);
}

/** Operand i as slots: a register in place, or `bytes` (16, aligned; or 8 or 4) of memory in temporaries. */
export function source(e: Emitter, i: number, bytes: 4 | 8 | 16 = 16): number {
  const o = e.operand(i);
  if (o.kind === 'xmm') return SLOT.XMM + 2 * o.index;
  if (o.kind !== 'memory') return e.read(i);
  if (bytes === 16) return load128(e, o.memory, true);
  return e.load(e.address(o.memory, bytes === 8 ? 64 : 32, false), bytes === 8 ? 64 : 32);
}
/** The value of an 8-bit immediate. */
export function immediate(e: Emitter, i: number): number {
  const o = e.operand(i);
  return o.kind === 'immediate' ? Number(o.value & 0xffn) : 0;
}

/** xmm ← f(xmm, xmm or memory). */
export const vector =
  (f: Helper, bytes: 4 | 8 | 16 = 16): Lifter =>
  (e) => {
    requireSse(e);
    const b = source(e, 1, bytes);
    const d = xmm(e, 0);
    e.help(f, d, d, b);
  };
/** xmm ← f(xmm or memory, immediate): the helper gets the number itself. */
export const vectorImmediate =
  (f: Helper, bytes: 4 | 8 | 16 = 16): Lifter =>
  (e) => {
    requireSse(e);
    const a = source(e, 1, bytes);
    e.help(f, xmm(e, 0), a, immediate(e, 2));
  };
/** The two halves combined by a 64-bit micro-op. */
export const bitwise =
  (
    op: typeof UOP.AND64 | typeof UOP.OR64 | typeof UOP.XOR64 | typeof UOP.ADD64 | typeof UOP.SUB64,
    invert = false,
  ): Lifter =>
  (e) => {
    requireSse(e);
    const b = source(e, 1);
    const d = xmm(e, 0);
    for (let half = 0; half < 2; half++) {
      const a = invert ? e.not(64, d + half) : d + half;
      e.op(op, d + half, a, b + half);
    }
  };
