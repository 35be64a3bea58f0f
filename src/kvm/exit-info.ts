import type { Gpa, Gva } from '../base/address';

/** An exit as recorded in the VMCS or VMCB. */
export interface ExitInfo {
  /** Basic exit reason and its name. */
  readonly reason: number;
  readonly name: string;
  /** Exit qualification, or EXITINFO1 of SVM. */
  readonly qualification: bigint;
  /** EXITINFO2 of SVM. */
  readonly info2?: bigint;
  readonly gpa: Gpa | undefined;
  readonly gva: Gva | undefined;
  /** Guest RIP at the exit (an offset in CS), and the corresponding linear address. */
  readonly rip: bigint;
  readonly linear: bigint;
  readonly instructionLength: number;
  readonly interruptionInfo: number;
  readonly interruptionErrorCode: number;
  readonly vectoringInfo: number;
}
