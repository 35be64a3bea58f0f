import type { SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS } from '../../hw/state/layout';
import type { Sregs } from '../../kvm/x86/sregs';

/** Bytes to place in guest RAM before the guest runs. */
export interface RamWrite {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
}

/**
 * How a guest starts: the contents of its RAM besides its image, and its registers for KVM_SET_REGS and
 * KVM_SET_SREGS.
 */
export interface StartPlan {
  readonly writes: readonly RamWrite[];
  readonly state: Sregs;
}

/** A range of guest RAM. */
export interface RamRange {
  readonly gpa: bigint;
  readonly size: bigint;
  readonly readonly: boolean;
}

export const UNUSABLE: SegmentCache = { selector: 0, base: 0n, limit: 0, rights: RIGHTS.UNUSABLE };
