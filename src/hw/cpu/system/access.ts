import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because } from '../../../isa/reasons/index';
import { RFLAGS } from '../../../isa/flags';
import {
  ACCESS_OF_CLASS,
  CLASS_READ,
  CLASS_WRITE,
  WHO_SUPERVISOR,
  WHO_SUPERVISOR_AC,
  WHO_USER,
  type Access,
} from '../../paging/access';
import { SEG, SLOT } from '../../state/layout';
import type { MemoryOperand } from '../decoded';
import type { Core } from '../core';
import { isLong64, linearWidth } from './modes';
import { fault } from './raise';
import { checkSegment } from './segments';

/** An ordinary data access at privilege `cpl`, as SMAP and U/S checks see it. */
export function dataAccess(core: Core, op: 'read' | 'write', cpl: number = core.state.cpl): Access {
  const who = cpl === 3 ? WHO_USER : core.state.systemFlag(RFLAGS.AC) ? WHO_SUPERVISOR_AC : WHO_SUPERVISOR;
  return ACCESS_OF_CLASS[(op === 'read' ? CLASS_READ : CLASS_WRITE) + who] as Access;
}

/**
 * The linear address of `size` bytes at segment:offset, checked as the access would be (segmentation, or canonical form in 64-bit mode).
 * Undefined: event set.
 */
export function linearAddress(
  core: Core,
  segment: number,
  offset: bigint,
  size: number,
  write: boolean,
): bigint | undefined {
  if (!isLong64(core.state)) {
    if (!checkSegment(core, segment, Number(offset), size, write)) return undefined;
    return BigInt.asUintN(32, core.state.segmentBase(segment) + offset);
  }
  const at = linearUnchecked(core, segment, offset);
  const width = linearWidth(core.state);
  if (isCanonical(at, width) && isCanonical(BigInt.asUintN(64, at + BigInt(size - 1)), width)) return at;
  return fault(core, segment === SEG.SS ? VECTOR.SS : VECTOR.GP, because('address-canonical', at, width), 0);
}

/** Segment base applied, nothing checked: what INVLPG takes and what exits report. */
export function linearUnchecked(core: Core, segment: number, offset: bigint): bigint {
  if (!isLong64(core.state)) return BigInt.asUintN(32, core.state.segmentBase(segment) + offset);
  return segment >= SEG.FS ? BigInt.asUintN(64, core.state.segmentBase(segment) + offset) : offset;
}

/** Base + index×scale + displacement, truncated to the address size. */
export function effectiveAddress(core: Core, m: MemoryOperand): bigint {
  const s = core.state;
  let a = m.displacement;
  if (m.ripRelative) a += s.rip;
  if (m.base >= 0) a += s.get(m.base);
  if (m.index >= 0) a += s.get(m.index) * BigInt(m.scale);
  return BigInt.asUintN(m.addressBits, a);
}

/** Reads `size` (1, 2, 4, 8) bytes at a linear address as an ordinary access. */
export function readLinear(core: Core, linear: bigint, size: number, intent = false): bigint | undefined {
  return core.port.load(core, linear, size, dataAccess(core, intent ? 'write' : 'read'), SLOT.VALUE, intent)
    ? core.state.get(SLOT.VALUE)
    : undefined;
}
export function writeLinear(core: Core, linear: bigint, size: number, value: bigint): boolean {
  core.state.set(SLOT.VALUE, value);
  return core.port.store(core, linear, size, dataAccess(core, 'write'), SLOT.VALUE);
}
