/** A field of a VMCS or VMCB: as data, which the panel shows, and as the row made of it. */
import { hex } from '../../base/hex';
import type { DecodedBits } from '../../isa/bit-layout';
import type * as model from '../../model/control-structure';
import type { ViewNode } from '../types';
import { row, was, whereOf } from './view';

export type ControlField = model.ControlField<bigint>;

/** The field's number and the named bits of it, now or at the exit before. */
export interface FieldState {
  readonly value: bigint;
  readonly bits: readonly DecodedBits[];
}
type Naming = Pick<ControlField, 'path' | 'name' | 'meaning' | 'about' | 'address' | 'editable'>;

export function controlField(naming: Naming, now: FieldState, before: FieldState | undefined): ControlField {
  return {
    ...naming,
    value: now.value,
    ...(before && before.value !== now.value ? { before: before.value } : {}),
    bits: now.bits.map((d) => {
      const old = before?.bits.find(({ name, lo }) => name === d.name && lo === d.lo);
      return {
        name: d.name,
        where: whereOf(d),
        value: d.value,
        text: d.text ?? '',
        ...(old && old.value !== d.value ? { before: old.text ?? hex(old.value) } : {}),
      };
    }),
  };
}

export const fieldRow = (f: ControlField, before: FieldState | undefined): ViewNode =>
  row({
    path: f.path,
    name: f.name,
    value: f.meaning === '' ? hex(f.value) : `${hex(f.value)} ${f.meaning}`,
    raw: f.value,
    ...(before && was(before.value)),
    kind: 'field',
    children: f.bits.length,
    editable: f.editable,
    detail: f.about,
    ...(f.address ? { address: f.address } : {}),
  });
