import { Mnemonic } from 'iced-x86';
import { invariant } from '../../../base/assert';
import { SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { entered, mmSlot } from '../mmx/state';
import { loadMxcsr } from '../sse/mxcsr';
import { moveSingle, signs } from '../sse/shuffle';
import { dataAccess, writeLinear } from '../system/access';
import { memoryOperand, operand, operandAddress } from '../system/operand';
import type { SystemFunction } from '../system/table';
import { UOP } from '../uop';
import type { Emitter } from './emitter';
import { load128, requireSse, store128, xmm } from './sse-operands';
import type { Lifter, LifterTable } from './table';

const clear = (e: Emitter, slot: number): void => e.op(UOP.CONST, slot, 0, 0);

/** 128 bits between registers and memory. */
const move128 =
  (aligned: boolean): Lifter =>
  (e) => {
    requireSse(e);
    const to = e.operand(0);
    const from = e.operand(1);
    if (to.kind === 'memory') {
      store128(e, to.memory, aligned, xmm(e, 1));
      return;
    }
    const d = xmm(e, 0);
    // an aligned operand lies in one page: its second half does not fault after the first was loaded
    if (from.kind === 'memory' && aligned) {
      load128(e, from.memory, true, d);
      return;
    }
    const b = from.kind === 'memory' ? load128(e, from.memory, false) : xmm(e, 1);
    e.op(UOP.MOV, d, b, 0);
    e.op(UOP.MOV, d + 1, b + 1, 0);
  };

/** MOVSS: from memory the rest of the register becomes zero, from a register it stays. */
const movss: Lifter = (e) => {
  requireSse(e);
  const to = e.operand(0);
  const from = e.operand(1);
  if (to.kind === 'memory') e.store(e.address(to.memory, 32, true), 32, xmm(e, 1));
  else if (from.kind === 'memory') {
    e.load(e.address(from.memory, 32, false), 32, false, xmm(e, 0));
    clear(e, xmm(e, 0) + 1);
  } else e.help(moveSingle, xmm(e, 0), SLOT.ZERO, xmm(e, 1));
};

/** 64 bits: into the half `to` of a register, out of the half `from`. `clears`: the other half becomes zero (`memory`: only when loaded). */
const move64 =
  (to: 0 | 1, from: 0 | 1, clears: 'no' | 'memory' | 'always'): Lifter =>
  (e) => {
    requireSse(e);
    const target = e.operand(0);
    const origin = e.operand(1);
    if (target.kind === 'memory') {
      e.store(e.address(target.memory, 64, true), 64, xmm(e, 1) + from);
      return;
    }
    const d = xmm(e, 0);
    if (origin.kind === 'memory') e.load(e.address(origin.memory, 64, false), 64, false, d + to);
    else e.op(UOP.MOV, d + to, xmm(e, 1) + from, 0);
    if (clears === 'always' || (clears === 'memory' && origin.kind === 'memory')) clear(e, d + 1 - to);
  };

/** MOVD and MOVQ between a vector and a general register or memory. */
const movd =
  (width: 32 | 64): Lifter =>
  (e) => {
    requireSse(e);
    const to = e.operand(0);
    if (to.kind === 'xmm') {
      const d = xmm(e, 0);
      e.op(width === 32 ? UOP.ZX32 : UOP.MOV, d, e.readLow(1, width), 0);
      clear(e, d + 1);
    } else e.write(0, xmm(e, 1), width);
  };
const movq: Lifter = (e) => {
  const general = e.insn.operands.some((o) => o.kind === 'gpr');
  if (general) movd(64)(e);
  else move64(0, 0, 'always')(e);
};

/** Sign bits to a general register. */
const mask = (size: 1 | 4 | 8): Lifter => {
  const f = signs(size);
  return (e) => {
    requireSse(e);
    const t = e.temp();
    e.help(f, t, xmm(e, 1));
    e.write(0, t);
  };
};

/** MOVNTI needs no vector state. */
const movnti: Lifter = (e) => e.write(0, e.readLow(1), e.width(0));

/** Where the bytes of a vector operand lie in the state, and how many they are. */
function vectorBytes(core: Core, i: number): { readonly at: number; readonly count: number } {
  const o = operand(core, i);
  invariant(o.kind === 'xmm' || o.kind === 'mm', 'a vector operand');
  return o.kind === 'xmm' ? { at: (SLOT.XMM + 2 * o.index) * 8, count: 16 } : { at: mmSlot(o.index) * 8, count: 8 };
}
/** MASKMOVDQU and MASKMOVQ: the bytes of the first register whose byte in the second has its sign bit set go to DS:rDI; the other addresses are not touched. */
export const maskedStore: SystemFunction = (core) => {
  const s = core.state;
  const { at: from, count } = vectorBytes(core, 1);
  const mask = vectorBytes(core, 2).at;
  const chosen: { readonly linear: bigint; readonly byte: number }[] = [];
  for (let i = 0; i < count; i++) {
    if ((s.u8[mask + i] as number) < 0x80) continue;
    const linear = operandAddress(core, memoryOperand(core, 0), i, 1, true);
    if (linear === undefined || !core.port.probe(core, linear, 1, dataAccess(core, 'write'))) return SYS_EVENT;
    chosen.push({ linear, byte: s.u8[from + i] as number });
  }
  for (const { linear, byte } of chosen) if (!writeLinear(core, linear, 1, BigInt(byte))) return SYS_EVENT;
  if (count === 8) entered(s, 0, 0, 0);
  return SYS_NEXT;
};

const ldmxcsr: Lifter = (e) => {
  requireSse(e);
  e.help(loadMxcsr, SLOT.VALUE, e.read(0, 32));
};
const stmxcsr: Lifter = (e) => {
  requireSse(e);
  e.write(0, SLOT.MXCSR, 32);
};

const aligned = move128(true);
const unaligned = move128(false);

/** Moves of SSE and SSE2, and MXCSR. Nontemporal ones are ordinary: there are no caches. */
export const SSE_MOVES: LifterTable = new Map<number, Lifter>([
  ...[Mnemonic.Movaps, Mnemonic.Movapd, Mnemonic.Movdqa, Mnemonic.Movntps, Mnemonic.Movntpd, Mnemonic.Movntdq].map(
    (m): [number, Lifter] => [m, aligned],
  ),
  ...[Mnemonic.Movups, Mnemonic.Movupd, Mnemonic.Movdqu].map((m): [number, Lifter] => [m, unaligned]),
  [Mnemonic.Movss, movss],
  [Mnemonic.Movsd, move64(0, 0, 'memory')],
  [Mnemonic.Movlps, move64(0, 0, 'no')],
  [Mnemonic.Movlpd, move64(0, 0, 'no')],
  [Mnemonic.Movhps, move64(1, 1, 'no')],
  [Mnemonic.Movhpd, move64(1, 1, 'no')],
  [Mnemonic.Movhlps, move64(0, 1, 'no')],
  [Mnemonic.Movlhps, move64(1, 0, 'no')],
  [Mnemonic.Movd, movd(32)],
  [Mnemonic.Movq, movq],
  [Mnemonic.Movmskps, mask(4)],
  [Mnemonic.Movmskpd, mask(8)],
  [Mnemonic.Pmovmskb, mask(1)],
  [
    Mnemonic.Maskmovdqu,
    (e) => {
      requireSse(e);
      e.system(maskedStore);
    },
  ],
]);

/** Those of them without a vector operand, under mnemonics of their own. */
export const SSE_CONTROL: LifterTable = new Map<number, Lifter>([
  [Mnemonic.Ldmxcsr, ldmxcsr],
  [Mnemonic.Stmxcsr, stmxcsr],
  [Mnemonic.Movnti, movnti],
]);
