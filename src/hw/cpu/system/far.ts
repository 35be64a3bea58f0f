import { invariant } from '../../../base/assert';
import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { SegmentCache } from '../../state/cpu-state';
import { SYS_EVENT, SYS_JUMPED, type Core, type SysResult } from '../core';
import {
  cacheOf,
  dplOf,
  fetchDescriptor,
  fetchUpperHalf,
  isCode,
  isConforming,
  isNull,
  isPresent,
  orTypeBits,
  SYS_TYPE,
  typeOf,
  type Descriptor,
} from './descriptor';
import { isLong, isParagraphMode, linearWidth } from './modes';
import { memoryOperand, operand, readOperandMemory } from './operand';
import { deny, selectorError } from './raise';
import { insideLimit, isBadLongCode, isCode64, paragraphSegment } from './segments';
import { currentStack, Pops, Pushes, setStackPointer } from './stack';
import { taskSwitch } from './task';
import { innerStack } from './tss';
import type { SystemFunction } from './table';

/** Whether `rip` is a place in the code segment: inside its limit, or canonical in 64-bit code. False: #GP(`code`) set. */
export function checkTarget(core: Core, code: SegmentCache, rip: bigint, errorCode = 0): boolean {
  if (isCode64(core, code.rights)) {
    const width = linearWidth(core.state);
    return isCanonical(rip, width) || deny(core, VECTOR.GP, because('target-canonical', rip, width), errorCode);
  }
  return (
    (rip <= 0xffff_ffffn && insideLimit(code.rights, code.limit, Number(rip), 1)) ||
    deny(core, VECTOR.GP, because('target-limit', rip, code.limit), errorCode)
  );
}

/** Loads CS, with the CPL as its RPL, and RIP. */
export function enterCode(core: Core, code: Descriptor, selector: number, cpl: number, rip: bigint): void {
  const s = core.state;
  s.setSegment(SEG.CS, cacheOf(code, (selector & ~3) | cpl));
  s.cpl = cpl;
  s.rip = rip;
}

const CONFORMING_PRIVILEGE = 'conforming code may not have a DPL above CPL';
const DIRECT_PRIVILEGE = 'a direct transfer needs DPL = CPL and RPL ≤ CPL';
const GATE_PRIVILEGE = 'code behind a gate may not have a DPL above CPL, and a JMP does not change CPL';

/** Code segment of a direct far JMP or CALL: conforming with DPL ≤ CPL, or DPL = CPL and RPL ≤ CPL. Undefined: event set. */
function checkDirectCode(core: Core, selector: number, d: Descriptor): boolean {
  const cpl = core.state.cpl;
  const dpl = dplOf(d.rights);
  const error = selectorError(selector);
  if (isBadLongCode(core, d.rights)) return deny(core, VECTOR.GP, because('code-l-and-d', ROLE.CS, selector), error);
  if (isConforming(d.rights) ? dpl > cpl : (selector & 3) > cpl || dpl !== cpl) {
    const wanted = isConforming(d.rights) ? CONFORMING_PRIVILEGE : DIRECT_PRIVILEGE;
    return deny(core, VECTOR.GP, because('descriptor-privilege', ROLE.CS, selector, dpl, cpl, wanted), error);
  }
  return isPresent(d.rights) || deny(core, VECTOR.NP, because('descriptor-absent', ROLE.CS, selector, d.rights), error);
}

/** Far JMP or CALL to selector:offset (SDM vol. 2). `size`: operand size in bytes, the width of pushed elements and of the offset. */
function farTransfer(core: Core, selector: number, offset: bigint, size: number, call: boolean): SysResult {
  const s = core.state;
  if (isParagraphMode(s)) {
    const cs = paragraphSegment(s, SEG.CS, selector);
    if (!checkTarget(core, cs, offset)) return SYS_EVENT;
    if (call && !pushReturn(core, size)) return SYS_EVENT;
    s.setSegment(SEG.CS, cs);
    s.rip = offset;
    return SYS_JUMPED;
  }
  if (isNull(selector)) return core.raise(VECTOR.GP, because('selector-null', ROLE.CS, selector), 0);
  const d = fetchDescriptor(core, ROLE.CS, selector, VECTOR.GP);
  if (d === undefined) return SYS_EVENT;
  if ((d.rights & RIGHTS.S) === 0) return systemTransfer(core, selector, d, call);
  if (!isCode(d.rights)) {
    const why = because('descriptor-type', ROLE.CS, selector, d.rights, 'code, a call gate, a task gate or a TSS');
    return core.raise(VECTOR.GP, why, selectorError(selector));
  }
  if (!checkDirectCode(core, selector, d) || !checkTarget(core, d, offset) || !orTypeBits(core, d, 1)) return SYS_EVENT;
  if (call && !pushReturn(core, size)) return SYS_EVENT;
  enterCode(core, d, selector, s.cpl, offset);
  return SYS_JUMPED;
}

/** Pushes CS and the next instruction's offset, and moves the stack pointer. */
function pushReturn(core: Core, size: number): boolean {
  const pushes = new Pushes(core, currentStack(core))
    .push(BigInt(core.state.get32(SLOT.SELECTOR + SEG.CS)), size)
    .push(core.nextRip, size);
  if (!pushes.write()) return false;
  pushes.commit();
  return true;
}

/** The target is a call gate, a task gate or a TSS; the last two do not exist in IA-32e mode. */
function systemTransfer(core: Core, selector: number, d: Descriptor, call: boolean): SysResult {
  const s = core.state;
  const type = typeOf(d.rights);
  const long = isLong(s);
  const error = selectorError(selector);
  const task = !long && (type === SYS_TYPE.TASK_GATE || type === SYS_TYPE.TSS16 || type === SYS_TYPE.TSS32);
  const gate = type === SYS_TYPE.CALL32 || (type === SYS_TYPE.CALL16 && !long);
  if (!task && !gate) {
    const wanted = long ? 'code or a 64-bit call gate' : 'code, a call gate, a task gate or an available TSS';
    return core.raise(VECTOR.GP, because('descriptor-type', ROLE.CS, selector, d.rights, wanted), error);
  }
  const dpl = dplOf(d.rights);
  if (dpl < s.cpl || dpl < (selector & 3))
    return core.raise(VECTOR.GP, because('gate-dpl', selector, d.rights, s.cpl), error);
  if (gate) return throughCallGate(core, selector, d, call);
  if (type === SYS_TYPE.TASK_GATE && !isPresent(d.rights))
    return core.raise(VECTOR.NP, because('descriptor-absent', ROLE.CS, selector, d.rights), error);
  const tss = type === SYS_TYPE.TASK_GATE ? Number((d.raw >> 16n) & 0xffffn) : selector;
  return taskSwitch(core, { selector: tss, source: call ? 'call' : 'jmp', returnRip: core.nextRip })
    ? SYS_JUMPED
    : SYS_EVENT;
}

/**
 * A call gate (SDM vol. 3, 5.8.3):
 *
 *   63          48 47 46 45 44 43  40 39 37 36      32 31       16 15         0
 *  | offset 31:16 |P |DPL  |0 |type  | 000 |parameters| selector  | offset 15:0 |     second quadword in IA-32e mode: offset 63:32
 */
function throughCallGate(core: Core, gateSelector: number, gate: Descriptor, call: boolean): SysResult {
  const s = core.state;
  const long = isLong(s);
  const upper = long ? fetchUpperHalf(core, ROLE.CS, gateSelector, VECTOR.GP) : 0n;
  if (upper === undefined) return SYS_EVENT;
  if (!isPresent(gate.rights)) {
    const why = because('descriptor-absent', ROLE.CS, gateSelector, gate.rights);
    return core.raise(VECTOR.NP, why, selectorError(gateSelector));
  }
  const wide = typeOf(gate.rights) === SYS_TYPE.CALL32;
  const selector = Number((gate.raw >> 16n) & 0xffffn);
  const offset = (gate.raw & 0xffffn) | (wide ? (gate.raw >> 48n) << 16n : 0n) | (upper << 32n);
  const role = ROLE.CALL_GATE;
  if (isNull(selector)) return core.raise(VECTOR.GP, because('selector-null', role, selector), 0);
  const code = fetchDescriptor(core, role, selector, VECTOR.GP);
  if (code === undefined) return SYS_EVENT;
  const error = selectorError(selector);
  const dpl = dplOf(code.rights);
  const cpl = s.cpl;
  if (!isCode(code.rights))
    return core.raise(VECTOR.GP, because('descriptor-type', role, selector, code.rights, 'code'), error);
  // a JMP does not change the privilege level
  const wrongLevel = dpl > cpl || (!call && !isConforming(code.rights) && dpl !== cpl);
  if (wrongLevel)
    return core.raise(VECTOR.GP, because('descriptor-privilege', role, selector, dpl, cpl, GATE_PRIVILEGE), error);
  if (long && !isCode64(core, code.rights))
    return core.raise(VECTOR.GP, because('code-not-64-bit', role, selector), error);
  if (long && isBadLongCode(core, code.rights))
    return core.raise(VECTOR.GP, because('code-l-and-d', role, selector), error);
  if (!isPresent(code.rights))
    return core.raise(VECTOR.NP, because('descriptor-absent', role, selector, code.rights), error);
  const size = long ? 8 : wide ? 4 : 2;
  const inner = call && !isConforming(code.rights) && dpl < cpl;
  if (inner) return callInner(core, code, selector, offset, size, Number((gate.raw >> 32n) & 0x1fn));
  if (!checkTarget(core, code, offset) || !orTypeBits(core, code, 1)) return SYS_EVENT;
  if (call && !pushReturn(core, size)) return SYS_EVENT;
  enterCode(core, code, selector, cpl, offset);
  return SYS_JUMPED;
}

/** A call to a more privileged level: the TSS's stack receives SS:SP, the parameters (not in IA-32e mode) and CS:IP. */
function callInner(
  core: Core,
  code: Descriptor,
  selector: number,
  offset: bigint,
  size: number,
  parameters: number,
): SysResult {
  const s = core.state;
  const cpl = dplOf(code.rights);
  const stack = innerStack(core, cpl, 0, 0);
  if (stack === undefined) return SYS_EVENT;
  const copied = isLong(s) ? [] : readParameters(core, parameters, size);
  if (copied === undefined || !checkTarget(core, code, offset) || !orTypeBits(core, code, 1)) return SYS_EVENT;
  const pushes = new Pushes(core, stack).push(BigInt(s.get32(SLOT.SELECTOR + SEG.SS)), size).push(s.get(4), size);
  for (const p of copied) pushes.push(p, size);
  pushes.push(BigInt(s.get32(SLOT.SELECTOR + SEG.CS)), size).push(core.nextRip, size);
  if (!pushes.write()) return SYS_EVENT;
  s.setSegment(SEG.SS, stack.ss);
  enterCode(core, code, selector, cpl, offset);
  setStackPointer(core, pushes.sp);
  return SYS_JUMPED;
}

/** The caller's stack parameters, the deepest first. Undefined: event set. */
function readParameters(core: Core, count: number, size: number): bigint[] | undefined {
  const pops = new Pops(core);
  const out: bigint[] = [];
  for (let i = 0; i < count; i++) {
    const v = pops.pop(size);
    if (v === undefined) return undefined;
    out.unshift(v);
  }
  return out;
}

/** Far pointer operand: immediate, or in memory offset first and then the selector. Undefined: event set. */
function farPointer(core: Core): { readonly selector: number; readonly offset: bigint } | undefined {
  const o = operand(core, 0);
  if (o.kind === 'far') return o;
  invariant(o.kind === 'memory', 'a far pointer is immediate or in memory');
  const size = core.insn.operandBits / 8;
  const offset = readOperandMemory(core, memoryOperand(core, 0), 0, size);
  const selector = offset === undefined ? undefined : readOperandMemory(core, memoryOperand(core, 0), size, 2);
  return offset === undefined || selector === undefined ? undefined : { selector: Number(selector), offset };
}

const transfer =
  (call: boolean): SystemFunction =>
  (core) => {
    const target = farPointer(core);
    return target === undefined
      ? SYS_EVENT
      : farTransfer(core, target.selector, target.offset, core.insn.operandBits / 8, call);
  };
export const jmpFar = transfer(false);
export const callFar = transfer(true);
