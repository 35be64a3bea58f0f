import type { VmcbFieldName } from '../../isa/vmcb-fields';
import type { SegmentCache } from '../state/cpu-state';
import { RIGHTS, SEG } from '../state/layout';
import type { Vmcb } from './vmcb';

export type VmcbSegment = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';
/** Names by SEG index. */
const VMCB_SEGMENTS: readonly VmcbSegment[] = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];

type FieldsOf = Readonly<Record<'selector' | 'attrib' | 'limit' | 'base', VmcbFieldName>>;
const FIELDS: readonly FieldsOf[] = VMCB_SEGMENTS.map((s) => ({
  selector: `${s}_SELECTOR`,
  attrib: `${s}_ATTRIB`,
  limit: `${s}_LIMIT`,
  base: `${s}_BASE`,
}));

/**
 * Attributes as the VMCB packs them (appendix B): bits 55:52 and 47:40 of a descriptor.
 *
 *   11 10  9  8   7  6..5 4  3..0
 *  |G |D/B|L |AVL|P |DPL |S |type|
 *
 * A segment that is not present cannot be used; there is no bit of its own for that, as VMX has.
 */
export const rightsOfAttrib = (attrib: number): number =>
  (attrib & 0xff) | ((attrib & 0xf00) << 4) | ((attrib & RIGHTS.P) === 0 ? RIGHTS.UNUSABLE : 0);
const attribOfRights = (rights: number): number =>
  (rights & RIGHTS.UNUSABLE) !== 0 ? 0 : (rights & 0xff) | ((rights >>> 4) & 0xf00);

export function readSegment(vmcb: Vmcb, index: number): SegmentCache {
  const f = FIELDS[index] as FieldsOf;
  const rights = rightsOfAttrib(vmcb.read32(f.attrib));
  return {
    selector: vmcb.read32(f.selector),
    base: vmcb.read(f.base),
    limit: vmcb.read32(f.limit),
    rights: index === SEG.CS ? rights & ~RIGHTS.UNUSABLE : rights,
  };
}
export function writeSegment(vmcb: Vmcb, index: number, s: SegmentCache): void {
  const f = FIELDS[index] as FieldsOf;
  vmcb.write(f.selector, BigInt(s.selector));
  vmcb.write(f.attrib, BigInt(attribOfRights(s.rights)));
  vmcb.write(f.limit, BigInt(s.limit >>> 0));
  vmcb.write(f.base, s.base);
}
