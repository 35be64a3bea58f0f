import type { SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS } from '../../hw/state/layout';

/** Bytes to lie in guest RAM before the guest runs. */
export interface RamWrite {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
}

/** A VCPU's registers at its first instruction, as KVM_SET_REGS and KVM_SET_SREGS will get them. Registers not named are zero. */
export interface StartState {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly rdx: bigint;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** ES CS SS DS FS GS LDTR TR. */
  readonly segments: readonly SegmentCache[];
  readonly gdtr: { readonly base: bigint; readonly limit: number };
  readonly idtr: { readonly base: bigint; readonly limit: number };
}

/** How a guest starts: what is in its RAM besides its image, and its registers. */
export interface StartPlan {
  readonly writes: readonly RamWrite[];
  readonly state: StartState;
}

/** A range of guest RAM. */
export interface RamRange {
  readonly gpa: bigint;
  readonly size: bigint;
  readonly readonly: boolean;
}

export const UNUSABLE: SegmentCache = { selector: 0, base: 0n, limit: 0, rights: RIGHTS.UNUSABLE };
