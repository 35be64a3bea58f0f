import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import type { SegmentCache } from '../../state/cpu-state';
import { SEG } from '../../state/layout';
import { SYS_EVENT, SYS_JUMPED, type Core } from '../core';
import {
  dplOf,
  fetchDescriptor,
  isCode,
  isConforming,
  isNull,
  isPresent,
  orTypeBits,
  type Descriptor,
} from './descriptor';
import { checkTarget, enterCode } from './far';
import { isParagraphMode } from './modes';
import { fault, selectorError } from './raise';
import {
  dropInnerSegments,
  isBadLongCode,
  isCode64,
  nullSegment,
  paragraphSegment,
  prepareStackSegment,
} from './segments';
import { Pops, setStackPointer } from './stack';
import type { SystemFunction } from './table';

const RETURN_PRIVILEGE = 'the code returned to has its DPL equal to the RPL';
const CONFORMING_RETURN = 'conforming code may not have a DPL above the RPL';

/** The code segment a RETF or IRET returns to: RPL ≥ CPL; DPL = RPL, or ≤ RPL when conforming; present (SDM vol. 2, RET). Undefined: event set. */
export function fetchReturnCode(core: Core, selector: number): Descriptor | undefined {
  if (isNull(selector)) return fault(core, VECTOR.GP, because('selector-null', ROLE.CS, selector), 0);
  const d = fetchDescriptor(core, ROLE.CS, selector, VECTOR.GP);
  if (d === undefined) return undefined;
  const rpl = selector & 3;
  const dpl = dplOf(d.rights);
  const error = selectorError(selector);
  const { cpl } = core.state;
  if (!isCode(d.rights))
    return fault(core, VECTOR.GP, because('descriptor-type', ROLE.CS, selector, d.rights, 'a code segment'), error);
  if (rpl < cpl) return fault(core, VECTOR.GP, because('return-outward', selector, cpl), error);
  if (isBadLongCode(core, d.rights)) return fault(core, VECTOR.GP, because('code-l-and-d', ROLE.CS, selector), error);
  if (isConforming(d.rights) ? dpl > rpl : dpl !== rpl) {
    const wanted = isConforming(d.rights) ? CONFORMING_RETURN : RETURN_PRIVILEGE;
    return fault(core, VECTOR.GP, because('descriptor-privilege', ROLE.CS, selector, dpl, cpl, wanted), error);
  }
  return isPresent(d.rights)
    ? d
    : fault(core, VECTOR.NP, because('descriptor-absent', ROLE.CS, selector, d.rights), error);
}

/** SS of a return at level `cpl` into `code`: null only for 64-bit code below level 3, with that level as RPL. Undefined: event set. */
function prepareReturnStack(core: Core, selector: number, cpl: number, code: Descriptor): SegmentCache | undefined {
  if (isNull(selector))
    return isCode64(core, code.rights) && cpl !== 3 && (selector & 3) === cpl
      ? nullSegment(selector, cpl)
      : fault(core, VECTOR.GP, because('selector-null', ROLE.SS, selector), 0);
  return prepareStackSegment(core, selector, cpl);
}

/** RETF and RETF imm16: to the same level, or to an outer one with its stack; the immediate is released from both stacks. */
export const retf: SystemFunction = (core) => {
  const s = core.state;
  const size = core.insn.operandBits / 8;
  const o = core.insn.operands[0];
  const release = o?.kind === 'immediate' ? Number(o.value & 0xffffn) : 0;
  const stack = new Pops(core);
  const rip = stack.pop(size);
  const cs = rip === undefined ? undefined : stack.pop(size);
  if (rip === undefined || cs === undefined) return SYS_EVENT;
  stack.skip(release);
  const selector = Number(cs & 0xffffn);
  if (isParagraphMode(s)) {
    const cache = paragraphSegment(s, SEG.CS, selector);
    if (!checkTarget(core, cache, rip)) return SYS_EVENT;
    stack.commit();
    s.setSegment(SEG.CS, cache);
    s.rip = rip;
    return SYS_JUMPED;
  }
  const code = fetchReturnCode(core, selector);
  if (code === undefined) return SYS_EVENT;
  const cpl = selector & 3;
  if (cpl === s.cpl) {
    if (!checkTarget(core, code, rip) || !orTypeBits(core, code, 1)) return SYS_EVENT;
    stack.commit();
    enterCode(core, code, selector, cpl, rip);
    return SYS_JUMPED;
  }
  return returnOuter(core, stack, size, code, selector, rip, release) ? SYS_JUMPED : SYS_EVENT;
};

/** Pops SP and SS of the outer level, then loads CS, SS and RSP and drops data segments the outer level may not have. False: event set. */
export function returnOuter(
  core: Core,
  stack: Pops,
  size: number,
  code: Descriptor,
  selector: number,
  rip: bigint,
  release: number,
): boolean {
  const cpl = selector & 3;
  const sp = stack.pop(size);
  const ss = sp === undefined ? undefined : stack.pop(size);
  if (sp === undefined || ss === undefined) return false;
  const cache = prepareReturnStack(core, Number(ss & 0xffffn), cpl, code);
  if (cache === undefined || !checkTarget(core, code, rip) || !orTypeBits(core, code, 1)) return false;
  const outer = cpl > core.state.cpl;
  enterCode(core, code, selector, cpl, rip);
  core.state.setSegment(SEG.SS, cache);
  setStackPointer(core, sp + BigInt(release));
  if (outer) dropInnerSegments(core.state);
  return true;
}
