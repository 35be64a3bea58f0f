import type { Gva } from '../base/address';
import type { ExitCause, RecordedExit } from './exit-cause';

/**
 * One VM exit, made where KVM takes it (kvm_x86_ops.exitInfo), and the same for all who need it: the exit log, the handlers, conditions and
 * explanations.
 */
export interface ExitInfo extends RecordedExit {
  readonly name: string;
  readonly gva: Gva | undefined;
  /** Guest RIP at the exit (an offset in CS), and the corresponding linear address. */
  readonly rip: bigint;
  readonly linear: bigint;
  readonly instructionLength: number;
  readonly cause: ExitCause;
}
