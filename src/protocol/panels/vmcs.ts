/** The requests of the VMCS panel. A VMCS or, on SVM, a VMCB: the panel shows either by the same messages. */
import type { Space } from '../../base/address';
import type { Hex } from '../translation';

export interface ControlBits {
  /** By the manual's name. */
  readonly name: string;
  /** `bit 3`, `bits 11:8`. */
  readonly where: string;
  readonly value: Hex;
  /** What the value means, where it has a name. */
  readonly text: string;
  /** In words or as a number, what it was at the exit before, where it was another value. */
  readonly before?: string;
}

export interface ControlField {
  /** Names the field to `pagewalk/setControlField`. */
  readonly path: string;
  /** Linux's name. */
  readonly name: string;
  readonly value: Hex;
  /** What it was as the VM exit before the last one left it, where it was another value. */
  readonly before?: Hex;
  /** The set bits in words; empty where the number says it all. */
  readonly meaning: string;
  /** Title in the manual, encoding or offset, width. */
  readonly about: readonly string[];
  readonly bits: readonly ControlBits[];
  readonly address?: { readonly space: Space; readonly value: Hex };
  readonly editable: boolean;
}

export interface ControlArea {
  readonly id: string;
  readonly name: string;
  /** Said beside the name; empty mostly. */
  readonly note: string;
  readonly fields: readonly ControlField[];
}

/** A check of VM entry (VMRUN) that does not hold. */
export interface UnmetEntryCheck {
  readonly fields: readonly string[];
  readonly what: string;
  /** Section of the manual. */
  readonly source: string;
}

export interface ControlStructureReply {
  /** none: nothing here has one (translation in software, or none is current). */
  readonly kind: 'vmcs' | 'vmcb' | 'none';
  readonly areas: readonly ControlArea[];
  /** The exit that the fields are compared with: the one before the last. Absent: there were not two yet. */
  readonly since?: { readonly exit: number; readonly name: string };
  readonly unmet: readonly UnmetEntryCheck[];
}

export interface VmcsRequests {
  'pagewalk/controlStructure': {
    readonly arguments: Record<string, never>;
    readonly reply: ControlStructureReply;
  };
  /** `value`: an expression. The reply: the field's row as it reads now. */
  'pagewalk/setControlField': {
    readonly arguments: { readonly path: string; readonly value: string };
    readonly reply: { readonly value: string };
  };
}
