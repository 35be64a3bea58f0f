import { SLOT } from '../../hw/state/layout';
import { MSR } from '../../isa/msrs';

/**
 * MSRs that KVM keeps for the guest and loads into the hardware before each entry (kvm_user_return_msrs and
 * MSR_KERNEL_GS_BASE), with their register slots.
 */
export const USER_RETURN_MSRS: readonly (readonly [msr: number, slot: number])[] = [
  [MSR.STAR, SLOT.STAR],
  [MSR.LSTAR, SLOT.LSTAR],
  [MSR.CSTAR, SLOT.CSTAR],
  [MSR.SFMASK, SLOT.SFMASK],
  [MSR.TSC_AUX, SLOT.TSC_AUX],
  [MSR.KERNEL_GS_BASE, SLOT.KERNEL_GS_BASE],
];
