/** The requests of the VMCS panel. It shows a VMCS or, on SVM, a VMCB, through the same messages. */
import type { Space } from '../../base/address';
import type { Hex } from '../translation';

export interface ControlBits {
  /** By the manual's name. */
  readonly name: string;
  /** `bit 3`, `bits 11:8`. */
  readonly where: string;
  readonly value: Hex;
  /** The name of the value, if it has one. */
  readonly text: string;
  /** The value at the previous exit, named or as a number, if it differed. */
  readonly before?: string;
}

export interface ControlField {
  /** The field's name for `pagewalk/setControlField`. */
  readonly path: string;
  /** The field's Linux name. */
  readonly name: string;
  readonly value: Hex;
  /** The value that the second-to-last VM exit left, if it differed. */
  readonly before?: Hex;
  /** The set bits by name; empty if the number is sufficient. */
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
  /** A note shown beside the name; usually empty. */
  readonly note: string;
  readonly fields: readonly ControlField[];
}

/** A check of VM entry (VMRUN) that fails. */
export interface UnmetEntryCheck {
  readonly fields: readonly string[];
  readonly what: string;
  /** Section of the manual. */
  readonly source: string;
}

export interface ControlStructureReply {
  /** none: this machine has none (translation in software, or no VMCS is current). */
  readonly kind: 'vmcs' | 'vmcb' | 'none';
  readonly areas: readonly ControlArea[];
  /** The exit that the fields are compared with: the second-to-last. Absent: there have not been two yet. */
  readonly since?: { readonly exit: number; readonly name: string };
  readonly unmet: readonly UnmetEntryCheck[];
}

export interface VmcsRequests {
  'pagewalk/controlStructure': {
    readonly arguments: Record<string, never>;
    readonly reply: ControlStructureReply;
  };
  /** `value`: an expression. The reply: the field's row after the write. */
  'pagewalk/setControlField': {
    readonly arguments: { readonly path: string; readonly value: string };
    readonly reply: { readonly value: string };
  };
}
