import type { VmcsFieldName } from '../../isa/vmcs-fields';
import type { EntryView } from './entry-view';

/** One VM-entry check. */
export interface EntryRule {
  readonly fields: readonly VmcsFieldName[];
  readonly section: string;
  readonly message: string;
  readonly qualification?: number;
  readonly holds: (v: EntryView) => boolean;
}

/** A VM-entry check that the VMCS does not meet. */
export interface UnmetCheck {
  /** 'control' ends as VM-instruction error 7, 'host' as 8, 'guest' as a failed VM entry (exit reason 33). */
  readonly area: 'control' | 'host' | 'guest';
  /** The fields to look at, the one to change first. */
  readonly fields: readonly VmcsFieldName[];
  /** Section of the SDM, vol. 3. */
  readonly section: string;
  /** What must hold. */
  readonly message: string;
  /** Exit qualification of the failed VM entry: 0, 2 PDPTE loading, 3 NMI injection, 4 VMCS link pointer (26.8). */
  readonly qualification: number;
}
