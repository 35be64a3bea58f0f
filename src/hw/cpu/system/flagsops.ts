import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { IOPL_SHIFT, RFLAGS } from '../../../isa/flags';
import { SVM_EXIT } from '../../../isa/svm-exits';
import { SYS_EVENT, SYS_NEXT, type Core } from '../core';
import { iopl, isProtected, isV86 } from './modes';
import { setShadow, SHADOW } from './segments';
import { currentStack, Pops, Pushes } from './stack';
import type { SystemFunction } from './table';
import { clearVirtualIf, hasVirtualFlags, hasVirtualIf, setVirtualIf, virtualFlags, withVirtualFlags } from './vme';

const flag = (n: number): bigint => 1n << BigInt(n);
const IF = flag(RFLAGS.IF);
const RF = flag(RFLAGS.RF);
/** VM and RF: zero in what PUSHF stores. */
const HIDDEN = flag(RFLAGS.VM) | RF;
const VIRTUAL = flag(RFLAGS.VIF) | flag(RFLAGS.VIP);

/** Bits that PUSHF and POPF of 2 bytes reach; wider ones reach AC and ID too. */
const LOW = 0x7fd5n;
const WIDE = flag(RFLAGS.AC) | flag(RFLAGS.ID);
const IOPL_BITS = 3n << BigInt(IOPL_SHIFT);

/** In virtual-8086 mode PUSHF and POPF need IOPL 3, or 16-bit operands and CR4.VME. */
const v86Denied = (core: Core): boolean =>
  isV86(core.state) && iopl(core.state) < 3 && !(hasVirtualFlags(core.state) && core.insn.operandBits === 16);

/** PUSHF PUSHFD PUSHFQ: VM and RF read as zero in the image. */
export const pushf: SystemFunction = (core) => {
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.PUSHF);
  if (exit) return core.exit(exit);
  if (v86Denied(core)) return core.raise(VECTOR.GP, because('v86-iopl', iopl(core.state)), 0);
  const s = core.state;
  const image = (hasVirtualFlags(s) ? virtualFlags(s) : s.rflags) & ~HIDDEN;
  const push = new Pushes(core, currentStack(core)).push(image, core.insn.operandBits / 8);
  if (!push.write()) return SYS_EVENT;
  push.commit();
  return SYS_NEXT;
};

/**
 * POPF POPFD POPFQ (SDM vol. 2, table 4-16): IOPL only at CPL 0, IF only with CPL ≤ IOPL; VM never; RF cleared; VIF and VIP cleared by the wide forms
 * outside virtual-8086 mode. There, with CR4.VME and IOPL below 3, IF is VIF.
 */
export const popf: SystemFunction = (core) => {
  const exit = core.intercepts?.svm?.(core, SVM_EXIT.POPF);
  if (exit) return core.exit(exit);
  const s = core.state;
  if (v86Denied(core)) return core.raise(VECTOR.GP, because('v86-iopl', iopl(core.state)), 0);
  const size = core.insn.operandBits / 8;
  const stack = new Pops(core);
  const image = stack.pop(size);
  if (image === undefined) return SYS_EVENT;
  let may = size > 2 ? LOW | WIDE : LOW;
  if (hasVirtualFlags(s)) {
    const flags = withVirtualFlags(core, image, may);
    if (flags === undefined) return SYS_EVENT;
    stack.commit();
    s.rflags = flags;
    return SYS_NEXT;
  }
  if (isV86(s) || (isProtected(s) && s.cpl > 0)) may &= ~IOPL_BITS;
  if (isProtected(s) && !isV86(s) && s.cpl > iopl(s)) may &= ~IF;
  const cleared = size > 2 ? RF | (isV86(s) ? 0n : VIRTUAL) : 0n;
  stack.commit();
  s.rflags = (s.rflags & ~may & ~cleared) | (image & may);
  return SYS_NEXT;
};

/** CLI and STI: IOPL ≥ CPL, or a virtual interrupt flag, or #GP(0). STI that turns interrupts on holds them off for one more instruction. */
export const cli: SystemFunction = (core) => {
  if (hasVirtualIf(core.state)) {
    clearVirtualIf(core.state);
    return SYS_NEXT;
  }
  if (!mayChangeIf(core)) return core.raise(VECTOR.GP, because('iopl', core.state.cpl, iopl(core.state)), 0);
  core.state.setSystemFlag(RFLAGS.IF, false);
  return SYS_NEXT;
};
export const sti: SystemFunction = (core) => {
  if (hasVirtualIf(core.state)) return setVirtualIf(core) ? SYS_NEXT : SYS_EVENT;
  if (!mayChangeIf(core)) return core.raise(VECTOR.GP, because('iopl', core.state.cpl, iopl(core.state)), 0);
  const s = core.state;
  if (!s.systemFlag(RFLAGS.IF)) {
    s.setSystemFlag(RFLAGS.IF, true);
    setShadow(s, SHADOW.STI);
  }
  return SYS_NEXT;
};
/** CPL is 3 in virtual-8086 mode, which makes the rule the same everywhere but real mode, where CPL is 0. */
const mayChangeIf = (core: Core): boolean => core.state.cpl <= iopl(core.state);

/** CLAC and STAC: #UD without SMAP or above CPL 0. */
const setAc =
  (on: boolean): SystemFunction =>
  (core) => {
    if (!core.model.has('SMAP')) return core.raise(VECTOR.UD, because('feature-absent', 'SMAP'));
    if (core.state.cpl !== 0) return core.raise(VECTOR.UD, because('cpl-undefined', core.state.cpl));
    core.state.setSystemFlag(RFLAGS.AC, on);
    return SYS_NEXT;
  };
export const clac = setAc(false);
export const stac = setAc(true);
