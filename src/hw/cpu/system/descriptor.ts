import { because, type FaultReason } from '../../../isa/reasons/index';
import { bits } from '../../../base/bits';
import { RIGHTS, SEG, SLOT } from '../../state/layout';
import type { SegmentCache } from '../../state/cpu-state';
import type { Core } from '../core';
import { isLong } from './modes';
import { fault, selectorError } from './raise';

/**
 * Segment and system descriptors (SDM vol. 3, 3.4.5):
 *
 *   63      56 55 54  53 52  51       48 47 46 45 44 43  40 39       16 15       0
 *  | base 31:24|G |D/B|L |AVL|limit 19:16|P |DPL  |S |type  | base 23:0 |limit 15:0|
 *
 * In IA-32e mode system descriptors (LDT, TSS, call gates) have a second quadword whose low half is base 63:32.
 */
export interface Descriptor extends SegmentCache {
  readonly raw: bigint;
}

/** Types of system descriptors (S = 0), SDM vol. 3, table 3-2. */
export const SYS_TYPE = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL16: 4,
  TASK_GATE: 5,
  INT16: 6,
  TRAP16: 7,
  TSS32: 9,
  TSS32_BUSY: 11,
  CALL32: 12,
  INT32: 14,
  TRAP32: 15,
} as const;

export const typeOf = (rights: number): number => rights & RIGHTS.TYPE_MASK;
export const dplOf = (rights: number): number => (rights >>> RIGHTS.DPL_SHIFT) & 3;
export const isPresent = (rights: number): boolean => (rights & RIGHTS.P) !== 0;
export const isCode = (rights: number): boolean => (rights & (RIGHTS.S | 8)) === (RIGHTS.S | 8);
export const isConforming = (rights: number): boolean => (rights & (RIGHTS.S | 0xc)) === (RIGHTS.S | 0xc);
export const isWritableData = (rights: number): boolean => (rights & (RIGHTS.S | 8 | 2)) === (RIGHTS.S | 2);
export const isReadable = (rights: number): boolean =>
  (rights & RIGHTS.S) !== 0 && ((rights & 8) === 0 || (rights & 2) !== 0);
const isUnusable = (rights: number): boolean => (rights & RIGHTS.UNUSABLE) !== 0;
/** Selectors 0–3. */
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;

export function decodeDescriptor(selector: number, raw: bigint): Descriptor {
  // bits 55:52 and 47:40 of the descriptor are the rights in the VMCS's format as they stand
  const rights = Number(bits(raw, 55, 40)) & 0xf0ff;
  const limit = Number(bits(raw, 15, 0) | (bits(raw, 51, 48) << 16n));
  return {
    raw,
    selector,
    base: bits(raw, 39, 16) | (bits(raw, 63, 56) << 24n),
    limit: (rights & RIGHTS.G) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit,
    rights,
  };
}

/** Linear address of the descriptor `selector` names, or undefined when its `bytes` are not all inside the table. */
export function descriptorAddress(core: Core, selector: number, bytes = 8): bigint | undefined {
  const s = core.state;
  const index = selector & 0xfff8;
  const local = (selector & 4) !== 0;
  if (local && isUnusable(s.get32(SLOT.RIGHTS + SEG.LDTR))) return undefined;
  const limit = s.get32(local ? SLOT.LIMIT + SEG.LDTR : SLOT.GDTR_LIMIT);
  if (index + bytes - 1 > limit) return undefined;
  return tableAddress(core, s.get(local ? SLOT.LDTR_BASE : SLOT.GDTR_BASE), index);
}

/** `base` + `offset` in a descriptor table or TSS: 32-bit addresses outside IA-32e mode. */
export const tableAddress = (core: Core, base: bigint, offset: number): bigint =>
  BigInt.asUintN(isLong(core.state) ? 64 : 32, base + BigInt(offset));

/** Why `descriptorAddress` finds nothing. */
function beyondTable(core: Core, role: number, selector: number): FaultReason {
  const s = core.state;
  const local = (selector & 4) !== 0;
  if (local && isUnusable(s.get32(SLOT.RIGHTS + SEG.LDTR))) return because('selector-without-ldt', role, selector);
  return because('selector-limit', role, selector, s.get32(local ? SLOT.LIMIT + SEG.LDTR : SLOT.GDTR_LIMIT));
}

/** Reads a descriptor; beyond its table: `vector` with the selector's error code. `role`: what the selector is for (ROLE). Undefined: event set. */
export function fetchDescriptor(
  core: Core,
  role: number,
  selector: number,
  vector: number,
  ext = 0,
): Descriptor | undefined {
  const at = descriptorAddress(core, selector);
  if (at === undefined) return fault(core, vector, beyondTable(core, role, selector), selectorError(selector, ext));
  const raw = core.readSystem(at, 8);
  return raw === undefined ? undefined : decodeDescriptor(selector, raw);
}

/**
 * The second quadword of a system descriptor in IA-32e mode: base 63:32 in its low half; bits 12:8 of its high half must be zero
 * (SDM vol. 3, 3.5.2 and 5.8.3.1). Undefined: event set (`vector` naming the selector).
 */
export function fetchUpperHalf(
  core: Core,
  role: number,
  selector: number,
  vector: number,
  ext = 0,
): bigint | undefined {
  const at = descriptorAddress(core, selector, 16);
  if (at === undefined) return fault(core, vector, beyondTable(core, role, selector), selectorError(selector, ext));
  const upper = core.readSystem(BigInt.asUintN(64, at + 8n), 8);
  if (upper === undefined) return undefined;
  if (bits(upper, 44, 40) !== 0n)
    return fault(core, vector, because('descriptor-second-half', role, selector), selectorError(selector, ext));
  return upper & 0xffff_ffffn;
}

/** Sets type bits in the descriptor's byte 5 in memory: accessed (1) for segments, busy (2) for TSSs. False: event set. */
export function orTypeBits(core: Core, d: Descriptor, mask: number): boolean {
  if ((d.rights & mask) === mask) return true;
  const at = descriptorAddress(core, d.selector);
  if (at === undefined) return true;
  return core.writeSystem(at + 5n, 1, bits(d.raw, 47, 40) | BigInt(mask));
}

/** What the hidden part of a segment register gets: the accessed bit is set in it too. */
export const cacheOf = (d: Descriptor, selector: number): SegmentCache => ({
  selector,
  base: d.base,
  limit: d.limit,
  rights: d.rights | 1,
});
