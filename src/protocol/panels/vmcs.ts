/** The requests of the VMCS panel. It shows a VMCS or, on SVM, a VMCB, through the same messages. */
import type * as model from '../../model/control-structure';
import type { Hex } from '../translation';

export type ControlBits = model.ControlBits<Hex>;
export type ControlField = model.ControlField<Hex>;
export type ControlArea = model.ControlArea<Hex>;

export interface ControlStructureReply extends model.ControlStructure<Hex> {
  /** The exit that the fields are compared with: the one before the last. Absent: there were not two yet. */
  readonly since?: { readonly exit: number; readonly name: string };
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
