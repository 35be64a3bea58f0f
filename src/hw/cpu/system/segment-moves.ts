import { invariant } from '../../../base/assert';
import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import { RIGHTS, SEG } from '../../state/layout';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { writeLinear } from './access';
import {
  decodeDescriptor,
  descriptorAddress,
  dplOf,
  fetchUpperHalf,
  isConforming,
  isNull,
  isReadable,
  isWritableData,
  typeOf,
} from './descriptor';
import { isLong, isParagraphMode } from './modes';
import { memoryOperand, operand, operandAddress, putGpr, readOperand16, readOperandMemory } from './operand';
import { loadSegment, prepareSegment, setShadow, SHADOW } from './segments';
import { Pops } from './stack';
import type { SystemFunction } from './table';

function segmentOperand(core: Core, i: number): number {
  const o = operand(core, i);
  invariant(o.kind === 'segment', 'a segment register operand');
  return o.index;
}

/** MOV Sreg, r/m16. CS is #UD. A load of SS holds off interrupts and debug traps for one instruction. */
export const movToSegment: SystemFunction = (core) => {
  const index = segmentOperand(core, 0);
  if (index === SEG.CS) return core.raise(VECTOR.UD, because('load-cs'));
  const selector = readOperand16(core, 1);
  if (selector === undefined || !loadSegment(core, index, selector)) return SYS_EVENT;
  if (index === SEG.SS) setShadow(core.state, SHADOW.MOV_SS);
  return SYS_NEXT;
};

/** POP Sreg: the stack's element is as wide as the operand size; its low 16 bits are the selector. */
export const popSegment: SystemFunction = (core) => {
  const index = segmentOperand(core, 0);
  const stack = new Pops(core);
  const value = stack.pop(core.insn.operandBits / 8);
  if (value === undefined) return SYS_EVENT;
  const cache = prepareSegment(core, index, Number(value & 0xffffn));
  if (cache === undefined) return SYS_EVENT;
  // the stack pointer's width is that of the stack it was popped from
  stack.commit();
  core.state.setSegment(index, cache);
  if (index === SEG.SS) setShadow(core.state, SHADOW.MOV_SS);
  return SYS_NEXT;
};

/** LDS LES LSS LFS LGS: offset first in memory, then the selector. */
const loadFar =
  (index: number): SystemFunction =>
  (core) => {
    const target = operand(core, 0);
    invariant(target.kind === 'gpr', 'a far pointer load has a register destination');
    const size = target.width / 8;
    const m = memoryOperand(core, 1);
    const offset = readOperandMemory(core, m, 0, size);
    const selector = offset === undefined ? undefined : readOperandMemory(core, m, size, 2);
    if (offset === undefined || selector === undefined || !loadSegment(core, index, Number(selector))) return SYS_EVENT;
    putGpr(core.state, target.index, target.width, offset);
    return SYS_NEXT;
  };
export const les = loadFar(SEG.ES);
export const lds = loadFar(SEG.DS);
export const lss = loadFar(SEG.SS);
export const lfs = loadFar(SEG.FS);
export const lgs = loadFar(SEG.GS);

const setZf = (core: Core, on: boolean): void => {
  const s = core.state;
  const zf = 1n << BigInt(RFLAGS.ZF);
  s.rflags = on ? s.rflags | zf : s.rflags & ~zf;
};

/** Rights of the descriptor a selector names when CPL and RPL may see it; null when they may not; undefined with an event set. */
function visible(
  core: Core,
  selector: number,
  systemTypes: readonly number[],
): { readonly raw: bigint; readonly limit: number; readonly rights: number } | null | undefined {
  if (isNull(selector)) return null;
  const at = descriptorAddress(core, selector);
  if (at === undefined) return null;
  const raw = core.readSystem(at, 8);
  if (raw === undefined) return undefined;
  const d = decodeDescriptor(selector, raw);
  if ((d.rights & RIGHTS.S) === 0 && !systemTypes.includes(typeOf(d.rights))) return null;
  const dpl = dplOf(d.rights);
  if (!isConforming(d.rights) && (core.state.cpl > dpl || (selector & 3) > dpl)) return null;
  if ((d.rights & RIGHTS.S) === 0 && isLong(core.state)) {
    if (descriptorAddress(core, selector, 16) === undefined) return null;
    const upper = fetchUpperHalf(core, ROLE.LDT, selector, VECTOR.GP);
    if (upper === undefined) {
      // a bad second quadword makes the descriptor invisible; a fault of the table's page is a fault
      if (core.event?.kind !== 'fault' || core.event.vector !== VECTOR.GP) return undefined;
      core.event = undefined;
      return null;
    }
  }
  return d;
}

const LAR_LEGACY = [1, 2, 3, 4, 5, 9, 11, 12];
const LAR_LONG = [2, 9, 11, 12];
const LSL_LEGACY = [1, 2, 3, 9, 11];
const LSL_LONG = [2, 9, 11];

/** LAR and LSL (SDM vol. 2): ZF says whether the descriptor is visible; the destination is written only then. */
const inspect =
  (
    legacy: readonly number[],
    long: readonly number[],
    value: (d: { raw: bigint; limit: number }) => bigint,
  ): SystemFunction =>
  (core) => {
    if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
    const target = operand(core, 0);
    invariant(target.kind === 'gpr', 'LAR and LSL have a register destination');
    const selector = readOperand16(core, 1);
    if (selector === undefined) return SYS_EVENT;
    const d = visible(core, selector, isLong(core.state) ? long : legacy);
    if (d === undefined) return SYS_EVENT;
    setZf(core, d !== null);
    if (d !== null) putGpr(core.state, target.index, target.width, value(d));
    return SYS_NEXT;
  };
/** The descriptor's second doubleword masked with 00F0FF00: G, D/B, L, AVL, P, DPL, S and type. The manual leaves bits 19:16 undefined. */
export const lar = inspect(LAR_LEGACY, LAR_LONG, (d) => (d.raw >> 32n) & 0x00f0_ff00n);
export const lsl = inspect(LSL_LEGACY, LSL_LONG, (d) => BigInt(d.limit));

const verify =
  (allowed: (rights: number) => boolean): SystemFunction =>
  (core) => {
    if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
    const selector = readOperand16(core, 0);
    if (selector === undefined) return SYS_EVENT;
    const d = visible(core, selector, []);
    if (d === undefined) return SYS_EVENT;
    setZf(core, d !== null && allowed(d.rights));
    return SYS_NEXT;
  };
export const verr = verify(isReadable);
export const verw = verify(isWritableData);

/** ARPL: raises the destination selector's RPL to the source's; ZF when it was lower. */
export const arpl: SystemFunction = (core) => {
  if (isParagraphMode(core.state)) return core.raise(VECTOR.UD, because('mode-paragraph'));
  const source = operand(core, 1);
  invariant(source.kind === 'gpr', 'ARPL has a register source');
  const rpl = Number(core.state.get(source.index) & 3n);
  const target = operand(core, 0);
  if (target.kind === 'gpr') {
    const value = Number(core.state.get(target.index) & 0xffffn);
    const raise = (value & 3) < rpl;
    if (raise) putGpr(core.state, target.index, 16, BigInt((value & ~3) | rpl));
    setZf(core, raise);
    return SYS_NEXT;
  }
  // the destination is written, and must be writable, only when it changes, as on the 386
  const m = memoryOperand(core, 0);
  const value = readOperandMemory(core, m, 0, 2);
  if (value === undefined) return SYS_EVENT;
  const raise = Number(value & 3n) < rpl;
  if (raise) {
    const linear = operandAddress(core, m, 0, 2, true);
    if (linear === undefined || !writeLinear(core, linear, 2, (value & ~3n) | BigInt(rpl))) return SYS_EVENT;
  }
  setZf(core, raise);
  return SYS_NEXT;
};
