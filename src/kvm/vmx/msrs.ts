import { withoutReserved } from '../../hw/cpu/system/msr-refusal';
import { because } from '../../isa/reasons/index';
import { SLOT } from '../../hw/state/layout';
import { MSR } from '../../isa/msrs';
import { dropped, type KvmMsr, type KvmMsrs } from '../x86/kvm-msr';

const LOCKED = 1n;

/** vmx_get_msr and vmx_set_msr: the MSRs that VMX answers differently from the common code. */
export const VMX_MSRS: KvmMsrs = new Map<number, KvmMsr>([
  [
    MSR.FEATURE_CONTROL,
    {
      read: (v) => v.saved.get(SLOT.FEATURE_CONTROL),
      // is_vmx_feature_control_msr_valid: without VMX in the guest there is nothing to enable, only the lock
      write(v, value) {
        if ((v.saved.get(SLOT.FEATURE_CONTROL) & LOCKED) !== 0n) return because('feature-control-locked');
        const allowed = withoutReserved(MSR.FEATURE_CONTROL, value, ~LOCKED);
        if (allowed !== true) return allowed;
        v.saved.set(SLOT.FEATURE_CONTROL, value);
        return true;
      },
    },
  ],
  [MSR.BIOS_SIGN_ID, { read: () => 0x1_0000_0000n, write: dropped }],
  [MSR.VM_HSAVE_PA, { read: () => 0n, write: dropped }],
]);
