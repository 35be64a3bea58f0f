import { isCanonical } from '../../../base/bits';
import { VECTOR } from '../../../isa/exceptions';
import { because, ROLE, type FaultReason } from '../../../isa/reasons/index';
import type { CpuState, SegmentCache } from '../../state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { Core } from '../core';
import {
  cacheOf,
  dplOf,
  fetchDescriptor,
  fetchUpperHalf,
  isCode,
  isConforming,
  isNull,
  isPresent,
  isReadable,
  isWritableData,
  orTypeBits,
  SYS_TYPE,
  typeOf,
} from './descriptor';
import { isLong, isLong64, isParagraphMode, isV86 } from './modes';
import { deny, fault, selectorError } from './raise';

const isExpandDown = (rights: number): boolean => (rights & (RIGHTS.S | 0xc)) === (RIGHTS.S | 4);

/**
 * Whether `size` bytes at `offset` lie inside a segment's limit (SDM vol. 3, 5.3). An expand-down segment holds the offsets *above* its limit, up to
 * 0xffff or, with the B bit, 0xffffffff. An access that would wrap past the end faults.
 */
export function insideLimit(rights: number, limit: number, offset: number, size: number): boolean {
  const last = offset + size - 1;
  if (!isExpandDown(rights)) return last <= limit;
  return offset > limit && last <= ((rights & RIGHTS.DB) !== 0 ? 0xffff_ffff : 0xffff);
}

/** Whether the type allows the access: code is never written and read only if readable; data is written only if writable (SDM vol. 3, 5.5). */
function typeAllows(rights: number, write: boolean): boolean {
  if ((rights & RIGHTS.UNUSABLE) !== 0) return false;
  if ((rights & 8) !== 0) return !write && (rights & 2) !== 0;
  return !write || (rights & 2) !== 0;
}

/**
 * The check of the segment part of an address outside 64-bit mode: usable, type, limit. `offset` is already truncated to the address size.
 * False: #SS(0) for the stack segment, else #GP(0), is set on the core. In real and virtual-8086 mode only the cached limit counts.
 */
export function checkSegment(core: Core, segment: number, offset: number, size: number, write: boolean): boolean {
  const s = core.state;
  const rights = s.get32(SLOT.RIGHTS + segment);
  const ok =
    (isParagraphMode(s) || typeAllows(rights, write)) &&
    insideLimit(rights, s.get32(SLOT.LIMIT + segment), offset, size);
  if (ok) return true;
  const vector = segment === SEG.SS ? VECTOR.SS : VECTOR.GP;
  return deny(core, vector, refusal(core, segment, s.segment(segment), offset, size, write), 0);
}

/** Why `cache`, in or on its way to segment register `segment`, does not allow an access. */
export function refusal(
  core: Core,
  segment: number,
  cache: SegmentCache,
  offset: number,
  size: number,
  write: boolean,
): FaultReason {
  const { rights, limit, selector } = cache;
  if (!isParagraphMode(core.state) && !typeAllows(rights, write)) {
    if ((rights & RIGHTS.UNUSABLE) !== 0) return because('segment-null', segment, selector);
    return write ? because('segment-write', segment, rights) : because('segment-read', segment);
  }
  return isExpandDown(rights)
    ? because('segment-limit-down', segment, limit, offset, size)
    : because('segment-limit', segment, limit, offset, size);
}

/** Whether a segment outside the state (one about to be loaded) takes a write of `size` bytes at `offset`. */
export const cacheAllowsWrite = (c: SegmentCache, offset: number, size: number): boolean =>
  typeAllows(c.rights, true) && insideLimit(c.rights, c.limit, offset, size);

/** Hidden part of a segment register loaded with a null selector: not usable for accesses outside 64-bit mode. SS keeps its DPL, which is the CPL. */
export const nullSegment = (selector: number, dpl = 0): SegmentCache => ({
  selector,
  base: 0n,
  limit: 0,
  rights: RIGHTS.UNUSABLE | (dpl << RIGHTS.DPL_SHIFT),
});

/** Real and virtual-8086 rights: data, writable, accessed, present; DPL 3 in virtual-8086 mode. */
const REAL_DATA = 0x93;
const REAL_CODE = 0x9b;
const V86_RIGHTS = 0xf3;

/**
 * Base = selector × 16. Real mode changes neither limit nor D/B (what a protected-mode load left stays: "unreal mode"); virtual-8086 mode fixes
 * them at 64 KiB (SDM vol. 3, 20.1.1 and 20.2.1).
 */
export function paragraphSegment(s: CpuState, index: number, selector: number): SegmentCache {
  const base = BigInt(selector) << 4n;
  if (isV86(s)) return v86Segment(selector);
  const old = s.get32(SLOT.RIGHTS + index);
  if ((old & RIGHTS.UNUSABLE) !== 0) return { selector, base, limit: 0xffff, rights: REAL_DATA };
  const kept = old & (RIGHTS.DB | RIGHTS.G);
  return {
    selector,
    base,
    limit: s.get32(SLOT.LIMIT + index),
    rights: kept | (index === SEG.CS ? REAL_CODE : REAL_DATA),
  };
}
export const v86Segment = (selector: number): SegmentCache => ({
  selector,
  base: BigInt(selector) << 4n,
  limit: 0xffff,
  rights: V86_RIGHTS,
});

/** How a stack segment is refused: where the instruction's own SS load says #GP, stack switches through the TSS say #TS. */
interface StackRules {
  readonly vector: number;
  readonly ext: number;
  readonly role: number;
}
const OWN_LOAD: StackRules = { vector: VECTOR.GP, ext: 0, role: ROLE.SS };

const STACK_PRIVILEGE = 'a stack segment has the DPL and RPL of the code that uses it';
const DATA_PRIVILEGE = 'neither CPL nor RPL may be above the DPL';

/**
 * Checks a selector for SS at privilege `cpl` (SDM vol. 2, MOV; vol. 3, 5.7): not null, RPL and DPL equal to CPL, writable data, present.
 * Sets the descriptor's accessed bit. Undefined: event set.
 */
export function prepareStackSegment(
  core: Core,
  selector: number,
  cpl: number,
  rules: StackRules = OWN_LOAD,
): SegmentCache | undefined {
  const { vector, ext, role } = rules;
  if (isNull(selector)) return fault(core, vector, because('selector-null', role, selector), ext);
  const d = fetchDescriptor(core, role, selector, vector, ext);
  if (d === undefined) return undefined;
  const error = selectorError(selector, ext);
  const dpl = dplOf(d.rights);
  if (!isWritableData(d.rights))
    return fault(core, vector, because('descriptor-type', role, selector, d.rights, 'a writable data segment'), error);
  if ((selector & 3) !== cpl || dpl !== cpl)
    return fault(core, vector, because('descriptor-privilege', role, selector, dpl, cpl, STACK_PRIVILEGE), error);
  if (!isPresent(d.rights))
    return fault(core, VECTOR.SS, because('descriptor-absent', role, selector, d.rights), error);
  return orTypeBits(core, d, 1) ? cacheOf(d, selector) : undefined;
}

/**
 * Everything a load of ES, SS, DS, FS or GS checks, without loading: the value for the register, so that several registers can be committed together.
 * `vector`: #GP, or #TS when a task switch loads. Undefined: event set (that, #NP, #SS, or a fault of the descriptor tables).
 */
export function prepareSegment(
  core: Core,
  index: number,
  selector: number,
  vector: number = VECTOR.GP,
): SegmentCache | undefined {
  const s = core.state;
  if (isParagraphMode(s)) return paragraphSegment(s, index, selector);
  const cpl = s.cpl;
  if (index === SEG.SS) {
    // 64-bit code below CPL 3 may run on a null SS whose RPL is its CPL
    if (isNull(selector) && isLong64(s) && cpl < 3 && (selector & 3) === cpl) return nullSegment(selector, cpl);
    return prepareStackSegment(core, selector, cpl, { vector, ext: 0, role: ROLE.SS });
  }
  if (isNull(selector)) return nullSegment(selector);
  const d = fetchDescriptor(core, index, selector, vector);
  if (d === undefined) return undefined;
  const rpl = selector & 3;
  const dpl = dplOf(d.rights);
  const error = selectorError(selector);
  if (!isReadable(d.rights))
    return fault(core, vector, because('descriptor-type', index, selector, d.rights, 'data or readable code'), error);
  if (!isConforming(d.rights) && (rpl > dpl || cpl > dpl))
    return fault(core, vector, because('descriptor-privilege', index, selector, dpl, cpl, DATA_PRIVILEGE), error);
  if (!isPresent(d.rights))
    return fault(core, VECTOR.NP, because('descriptor-absent', index, selector, d.rights), error);
  return orTypeBits(core, d, 1) ? cacheOf(d, selector) : undefined;
}

/** Checks and loads ES, SS, DS, FS or GS. False: event set, nothing loaded. */
export function loadSegment(core: Core, index: number, selector: number): boolean {
  const cache = prepareSegment(core, index, selector);
  if (cache === undefined) return false;
  core.state.setSegment(index, cache);
  return true;
}

/** LLDT (and the task switch's load of LDTR): LDT descriptor in the GDT, present. `vector` #GP or #TS. False: event set. */
export function loadLdtr(core: Core, selector: number, vector: number = VECTOR.GP): boolean {
  const s = core.state;
  if (isNull(selector)) {
    s.setSegment(SEG.LDTR, nullSegment(selector));
    return true;
  }
  const error = selectorError(selector);
  if ((selector & 4) !== 0) return deny(core, vector, because('selector-in-ldt', ROLE.LDT, selector), error);
  const d = fetchDescriptor(core, ROLE.LDT, selector, vector);
  if (d === undefined) return false;
  if ((d.rights & RIGHTS.S) !== 0 || typeOf(d.rights) !== SYS_TYPE.LDT)
    return deny(core, vector, because('descriptor-type', ROLE.LDT, selector, d.rights, 'an LDT'), error);
  const base = systemBase(core, ROLE.LDT, selector, d.base, vector);
  if (base === undefined) return false;
  if (!isPresent(d.rights)) {
    const why = because('descriptor-absent', ROLE.LDT, selector, d.rights);
    return deny(core, vector === VECTOR.TS ? VECTOR.TS : VECTOR.NP, why, error);
  }
  s.setSegment(SEG.LDTR, { selector, base, limit: d.limit, rights: d.rights });
  return true;
}

/** LTR: an available TSS in the GDT, present; marks it busy in memory and in the register. False: event set. */
export function loadTr(core: Core, selector: number): boolean {
  const error = selectorError(selector);
  if (isNull(selector)) return deny(core, VECTOR.GP, because('selector-null', ROLE.TSS, selector), 0);
  if ((selector & 4) !== 0) return deny(core, VECTOR.GP, because('selector-in-ldt', ROLE.TSS, selector), error);
  const d = fetchDescriptor(core, ROLE.TSS, selector, VECTOR.GP);
  if (d === undefined) return false;
  const type = typeOf(d.rights);
  const available = type === SYS_TYPE.TSS32 || (type === SYS_TYPE.TSS16 && !isLong(core.state));
  if ((d.rights & RIGHTS.S) !== 0 || !available)
    return deny(core, VECTOR.GP, because('descriptor-type', ROLE.TSS, selector, d.rights, 'an available TSS'), error);
  const base = systemBase(core, ROLE.TSS, selector, d.base, VECTOR.GP);
  if (base === undefined) return false;
  if (!isPresent(d.rights))
    return deny(core, VECTOR.NP, because('descriptor-absent', ROLE.TSS, selector, d.rights), error);
  if (!orTypeBits(core, d, 2)) return false;
  core.state.setSegment(SEG.TR, { selector, base, limit: d.limit, rights: d.rights | 2 });
  return true;
}

/** Base of an LDT or TSS, completed by the second quadword in IA-32e mode, where it must be canonical. */
function systemBase(core: Core, role: number, selector: number, low: bigint, vector: number): bigint | undefined {
  if (!isLong(core.state)) return low;
  const high = fetchUpperHalf(core, role, selector, vector);
  if (high === undefined) return undefined;
  const base = (high << 32n) | low;
  return isCanonical(base, core.model.linearBits)
    ? base
    : fault(core, vector, because('descriptor-base', role, selector, base), selectorError(selector));
}

/**
 * After a return to an outer privilege level: data segments more privileged than the new CPL become null, so that the outer code cannot use what the
 * inner left behind (SDM vol. 3, 5.8.6). Their bases stay, as processors keep them: in 64-bit mode FS and GS are used with their bases whatever the selector is.
 */
export function dropInnerSegments(s: CpuState): void {
  for (const index of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) {
    const rights = s.get32(SLOT.RIGHTS + index);
    if ((rights & RIGHTS.UNUSABLE) === 0 && !isConforming(rights) && dplOf(rights) < s.cpl)
      s.setSegment(index, { ...nullSegment(0), base: s.segmentBase(index) });
  }
}

/** Whether `rights` are those of 64-bit code in IA-32e mode, and whether they are the combination L with D that no mode accepts. */
export const isCode64 = (core: Core, rights: number): boolean =>
  isLong(core.state) && isCode(rights) && (rights & RIGHTS.L) !== 0;
export const isBadLongCode = (core: Core, rights: number): boolean =>
  isCode64(core, rights) && (rights & RIGHTS.DB) !== 0;

/** Blocking of interrupts for one instruction (SDM vol. 3, 6.8.3): bit 0 by STI, bit 1 by MOV SS or POP SS. */
export const SHADOW = { STI: 1, MOV_SS: 2, SMI: 4, NMI: 8 } as const;
export const setShadow = (s: CpuState, bit: number): void =>
  s.set32(SLOT.INTERRUPTIBILITY, (s.get32(SLOT.INTERRUPTIBILITY) & ~3) | bit);
