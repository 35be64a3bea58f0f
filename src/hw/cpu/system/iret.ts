import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { IOPL_SHIFT, RFLAGS } from '../../../isa/flags';
import { SVM_EXIT } from '../../../isa/svm-exits';
import { SEG, SLOT } from '../../state/layout';
import { SYS_EVENT, SYS_JUMPED, type Core, type SysResult } from '../core';
import { orTypeBits } from './descriptor';
import { checkTarget, enterCode } from './far';
import { fetchReturnCode, returnOuter } from './far-return';
import { iopl, isLong, isLong64, isReal, isV86 } from './modes';
import { paragraphSegment, SHADOW, v86Segment } from './segments';
import { Pops } from './stack';
import type { SystemFunction } from './table';
import { taskSwitch } from './task';
import { hasVirtualFlags, withVirtualFlags } from './vme';

const mask = (...positions: readonly number[]): bigint => positions.reduce((m, n) => m | (1n << BigInt(n)), 0n);
const { CF, PF, AF, ZF, SF, TF, IF, DF, OF, NT, RF, VM, AC, VIF, VIP, ID } = RFLAGS;
/** What any return may change; wider operands bring RF, AC and ID. */
const ALWAYS = mask(CF, PF, AF, ZF, SF, TF, DF, OF, NT);
const WIDE = mask(RF, AC, ID);
const IOPL = 3n << BigInt(IOPL_SHIFT);

/** RFLAGS ← the popped image, where the privilege level lets it (SDM vol. 2, IRET): IF when CPL ≤ IOPL; IOPL, VIF and VIP at CPL 0. */
function restoreFlags(core: Core, image: bigint, size: number, cpl: number): void {
  const s = core.state;
  let may = ALWAYS | (size > 2 ? WIDE : 0n);
  if (cpl <= iopl(s)) may |= mask(IF);
  if (cpl === 0) may |= IOPL | (size > 2 ? mask(VIF, VIP) : 0n);
  s.rflags = (s.rflags & ~may) | (image & may);
}

/** The return from virtual-8086 or real mode, where CS is a paragraph number. `may`: flags that are restored; `virtual`: IF is VIF. */
function returnParagraph(core: Core, size: number, may: bigint, virtual = false): SysResult {
  const s = core.state;
  const stack = new Pops(core);
  const rip = stack.pop(size);
  const cs = rip === undefined ? undefined : stack.pop(size);
  const flags = cs === undefined ? undefined : stack.pop(size);
  if (rip === undefined || cs === undefined || flags === undefined) return SYS_EVENT;
  const cache = paragraphSegment(s, SEG.CS, Number(cs & 0xffffn));
  const restored = virtual ? withVirtualFlags(core, flags, may) : (s.rflags & ~may) | (flags & may);
  if (restored === undefined || !checkTarget(core, cache, rip)) return SYS_EVENT;
  stack.commit();
  s.setSegment(SEG.CS, cache);
  s.rip = rip;
  s.rflags = restored;
  return SYS_JUMPED;
}

/** To virtual-8086 mode: an image with VM set at CPL 0. The frame goes on with ESP, SS, ES, DS, FS, GS. */
function returnToV86(core: Core, stack: Pops, rip: bigint, cs: bigint, flags: bigint): SysResult {
  const s = core.state;
  const rest: bigint[] = [];
  for (let i = 0; i < 6; i++) {
    const v = stack.pop(4);
    if (v === undefined) return SYS_EVENT;
    rest.push(v);
  }
  if (rip > 0xffffn) return core.raise(VECTOR.GP, because('v86-ip', rip), 0);
  const [esp, ss, es, ds, fs, gs] = rest.map((v) => Number(v)) as [number, number, number, number, number, number];
  s.rflags = flags;
  s.cpl = 3;
  for (const [index, selector] of [
    [SEG.CS, Number(cs)],
    [SEG.SS, ss],
    [SEG.ES, es],
    [SEG.DS, ds],
    [SEG.FS, fs],
    [SEG.GS, gs],
  ] as const) {
    s.setSegment(index, v86Segment(selector & 0xffff));
  }
  s.set(4, BigInt(esp));
  s.rip = rip;
  return SYS_JUMPED;
}

function returnProtected(core: Core, size: number): SysResult {
  const s = core.state;
  const stack = new Pops(core);
  const rip = stack.pop(size);
  const cs = rip === undefined ? undefined : stack.pop(size);
  const flags = cs === undefined ? undefined : stack.pop(size);
  if (rip === undefined || cs === undefined || flags === undefined) return SYS_EVENT;
  if (size === 4 && !isLong(s) && s.cpl === 0 && (flags & mask(VM)) !== 0n)
    return returnToV86(core, stack, rip, cs, flags);
  const selector = Number(cs & 0xffffn);
  const code = fetchReturnCode(core, selector);
  if (code === undefined) return SYS_EVENT;
  const cpl = s.cpl;
  if ((selector & 3) > cpl || isLong64(s)) {
    // 64-bit mode always takes SS:RSP from the frame
    if (!returnOuter(core, stack, size, code, selector, rip, 0)) return SYS_EVENT;
  } else {
    if (!checkTarget(core, code, rip) || !orTypeBits(core, code, 1)) return SYS_EVENT;
    stack.commit();
    enterCode(core, code, selector, cpl, rip);
  }
  restoreFlags(core, flags, size, cpl);
  return SYS_JUMPED;
}

/** IRET IRETD IRETQ (SDM vol. 2). NMIs are unblocked, even if it faults (vol. 3, 6.7.1). With NT set it returns to the task the TSS links to; in IA-32e mode that is #GP(0). */
export const iret: SystemFunction = (core) => {
  const s = core.state;
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.IRET);
  if (exit) return core.exit(exit);
  const size = core.insn.operandBits / 8;
  const result = returnFrom(core, size);
  const blocking = s.get32(SLOT.INTERRUPTIBILITY);
  if ((blocking & SHADOW.NMI) !== 0 && core.intercepts?.keepsNmiBlocking !== true && core.event?.kind !== 'suspend') {
    s.set32(SLOT.INTERRUPTIBILITY, blocking & ~SHADOW.NMI);
    core.nmiUnblocked = result === SYS_EVENT;
  }
  return result;
};

function returnFrom(core: Core, size: number): SysResult {
  const s = core.state;
  if (isReal(s)) return returnParagraph(core, size, size === 2 ? 0xffffn & ~(1n << 15n) : 0x25_7fd5n);
  if (isV86(s)) {
    if (hasVirtualFlags(s) && size === 2) return returnParagraph(core, size, ALWAYS | mask(IF), true);
    if (iopl(s) < 3) return core.raise(VECTOR.GP, because('v86-iopl', iopl(s)), 0);
    return returnParagraph(core, size, ALWAYS | mask(IF) | (size > 2 ? WIDE : 0n));
  }
  if (!s.systemFlag(NT)) return returnProtected(core, size);
  if (isLong(s)) return core.raise(VECTOR.GP, because('iret-nested-task'), 0);
  const link = core.readSystem(s.get(SLOT.TR_BASE), 2);
  if (link === undefined) return SYS_EVENT;
  return taskSwitch(core, { selector: Number(link), source: 'iret', returnRip: core.nextRip }) ? SYS_JUMPED : SYS_EVENT;
}
