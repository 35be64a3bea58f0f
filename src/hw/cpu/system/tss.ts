import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE } from '../../../isa/reasons/index';
import { SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';
import { SYS_TYPE, tableAddress, typeOf } from './descriptor';
import { isLong, linearWidth } from './modes';
import { fault, selectorError } from './raise';
import { nullSegment, prepareStackSegment } from './segments';
import { stackBitsOf, type StackTarget } from './stack';

/**
 * Stack pointers in the TSS (SDM vol. 3, 7.2.1, 7.6, 7.7):
 *
 *   32-bit: ESP0 at 4, SS0 at 8, ESP1 at 12, …    16-bit: SP0 at 2, SS0 at 4, SP1 at 6, …
 *   64-bit: RSP0 at 4, RSP1 at 12, RSP2 at 20; IST1 at 36 … IST7 at 84
 */
const is32 = (type: number): boolean => type === SYS_TYPE.TSS32 || type === SYS_TYPE.TSS32_BUSY;

const field = (core: Core, offset: number, size: number, ext: number): bigint | undefined => {
  const s = core.state;
  const limit = s.get32(SLOT.LIMIT + SEG.TR);
  if (offset + size - 1 > limit) {
    const error = selectorError(s.get32(SLOT.SELECTOR + SEG.TR), ext);
    return fault(core, VECTOR.TS, because('tss-limit', offset, size, limit), error);
  }
  return core.readSystem(tableAddress(core, s.get(SLOT.TR_BASE), offset), size);
};

/**
 * The stack of a more privileged level, from the TSS, for a call gate or an event. `ist` 1–7 takes that entry of a 64-bit TSS instead. SS is checked
 * (#TS, #SS) and, in IA-32e mode, null with the new level as its RPL. Undefined: event set.
 */
export function innerStack(core: Core, cpl: number, ist: number, ext: number): StackTarget | undefined {
  const s = core.state;
  if (isLong(s)) {
    const sp = field(core, ist > 0 ? 28 + ist * 8 : 4 + cpl * 8, 8, ext);
    if (sp === undefined) return undefined;
    if (!isCanonical(sp, linearWidth(s))) return fault(core, VECTOR.SS, because('tss-stack', ist, cpl, sp), ext);
    return { ss: nullSegment(cpl, cpl), sp, bits: 64, cpl, errorCode: ext };
  }
  const wide = is32(typeOf(s.get32(SLOT.RIGHTS + SEG.TR)));
  const at = wide ? 4 + cpl * 8 : 2 + cpl * 4;
  const sp = field(core, at, wide ? 4 : 2, ext);
  const selector = sp === undefined ? undefined : field(core, at + (wide ? 4 : 2), 2, ext);
  if (sp === undefined || selector === undefined) return undefined;
  const ss = prepareStackSegment(core, Number(selector), cpl, {
    vector: VECTOR.TS,
    ext,
    role: ROLE.TSS_STACK + cpl,
  });
  if (ss === undefined) return undefined;
  return { ss, sp, bits: stackBitsOf(core, ss), cpl, errorCode: selectorError(Number(selector), ext) };
}
