/** A VMCS or, on SVM, a VMCB as it is shown: areas, fields, and the named bits of each. */
import type { Space } from '../base/address';
import type { Value } from './value';

export interface ControlBits<N extends Value> {
  /** By the manual's name. */
  readonly name: string;
  /** `bit 3`, `bits 11:8`. */
  readonly where: string;
  readonly value: N;
  /** What the value means; empty where it has no name. */
  readonly text: string;
  /** In words or as a number, what it was at the exit before, where it was another value. */
  readonly before?: string;
}

export interface ControlField<N extends Value> {
  /** Of the field's row in the views. */
  readonly path: string;
  /** Linux's name. */
  readonly name: string;
  readonly value: N;
  /** What it was as the VM exit before the last one left it, where it was another value. */
  readonly before?: N;
  /** The set bits in words; empty where the number says it all. */
  readonly meaning: string;
  /** Title in the manual, encoding or offset, width. */
  readonly about: readonly string[];
  readonly bits: readonly ControlBits<N>[];
  readonly address?: { readonly space: Space; readonly value: N };
  readonly editable: boolean;
}

export interface ControlArea<N extends Value> {
  readonly id: string;
  readonly name: string;
  /** Shown beside the name; mostly empty. */
  readonly note: string;
  readonly fields: readonly ControlField<N>[];
}

/** A check of VM entry (VMRUN) that fails. */
export interface UnmetEntryCheck {
  readonly fields: readonly string[];
  readonly what: string;
  /** Section of the manual. */
  readonly source: string;
}

export interface ControlStructure<N extends Value> {
  /** none: nothing here has one (translation in software, or none is current). */
  readonly kind: 'vmcs' | 'vmcb' | 'none';
  readonly areas: readonly ControlArea<N>[];
  readonly unmet: readonly UnmetEntryCheck[];
}
