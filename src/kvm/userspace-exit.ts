import type { Gpa } from '../base/address';

/** KVM_INTERNAL_ERROR_* suberrors (include/uapi/linux/kvm.h). */
export const INTERNAL_ERROR = { EMULATION: 1, SIMUL_EX: 2, DELIVERY_EV: 3, UNEXPECTED_EXIT_REASON: 4 } as const;
export type InternalError = keyof typeof INTERNAL_ERROR;

/** Why ioctl(KVM_RUN) returned: struct kvm_run, by its exit_reason. */
export type UserspaceExit =
  | {
      readonly reason: 'KVM_EXIT_IO';
      readonly direction: 'in' | 'out';
      readonly port: number;
      /** 1, 2 or 4. */
      readonly size: number;
      /** What OUT wrote; 0 for IN. */
      readonly value: number;
    }
  | {
      readonly reason: 'KVM_EXIT_MMIO';
      readonly gpa: Gpa;
      readonly isWrite: boolean;
      /** 1 to 8. */
      readonly size: number;
      /** What is written, little-endian; 0 for reads. */
      readonly value: bigint;
    }
  | { readonly reason: 'KVM_EXIT_HLT' }
  | { readonly reason: 'KVM_EXIT_SHUTDOWN' }
  | { readonly reason: 'KVM_EXIT_IRQ_WINDOW_OPEN' }
  | {
      readonly reason: 'KVM_EXIT_FAIL_ENTRY';
      readonly hardwareReason: number;
      readonly why: string;
      readonly unmet: readonly UnmetCheck[];
    }
  /** Not an exit but ioctl's own error: the VMM's memory backing `gpa` is unavailable. */
  | { readonly reason: 'EFAULT'; readonly gpa: Gpa; readonly why: string }
  | { readonly reason: 'KVM_EXIT_INTERNAL_ERROR'; readonly suberror: InternalError; readonly why: string };

/** A failed VM-entry check: the VMCS fields concerned, the manual section, and what is wrong. */
export interface UnmetCheck {
  readonly fields: readonly string[];
  readonly section: string;
  readonly what: string;
}

/** The outcome of handling an exit: reenter the guest, or return to user space. */
export type Handled = { readonly kind: 'reenter' } | { readonly kind: 'userspace'; readonly exit: UserspaceExit };

export const REENTER: Handled = { kind: 'reenter' };
export const toUserspace = (exit: UserspaceExit): Handled => ({ kind: 'userspace', exit });
export const internalError = (suberror: InternalError, why: string): Handled =>
  toUserspace({ reason: 'KVM_EXIT_INTERNAL_ERROR', suberror, why });
