import { withoutReserved } from '../../hw/cpu/system/msr-refusal';
import { AMD_PLAIN_MSRS } from '../../hw/cpu/system/model-msrs';
import { SLOT } from '../../hw/state/layout';
import { EFER } from '../../isa/flags';
import { MSR } from '../../isa/msrs';
import { bit } from '../../base/bits';
import { dropped, type KvmMsr, type KvmMsrs } from '../x86/kvm-msr';

/** VM_CR (APM vol. 2, 15.30.1): DPD 0, R_INIT 1, DIS_A20M 2, LOCK 3, SVMDIS 4. */
const VM_CR_DEFINED = 0x1fn;
const VM_CR_DISABLED = 1n << 4n;
const VM_CR_LOCKED = 1n << 3n;

/** svm_get_msr and svm_set_msr: the MSRs that SVM answers differently from the common code. */
export const SVM_MSRS: KvmMsrs = new Map<number, KvmMsr>([
  ...[...AMD_PLAIN_MSRS].map(([msr, plain]): [number, KvmMsr] => [
    msr,
    { read: (v) => plain.read(v.saved), write: (v, value) => plain.write(v.saved, value, v.model) },
  ]),
  [MSR.BIOS_SIGN_ID, { read: () => 0x0100_0065n, write: dropped }],
  [
    MSR.VM_CR,
    {
      read: (v) => v.saved.get(SLOT.VM_CR),
      // svm_set_vm_cr: once SVM is disabled, neither SVMDIS nor the lock changes
      write(v, value) {
        const allowed = withoutReserved(MSR.VM_CR, value, ~VM_CR_DEFINED);
        if (allowed !== true) return allowed;
        const now = v.saved.get(SLOT.VM_CR);
        const changes =
          (now & VM_CR_DISABLED) !== 0n ? VM_CR_DEFINED & ~(VM_CR_DISABLED | VM_CR_LOCKED) : VM_CR_DEFINED;
        const next = (now & ~changes) | (value & changes);
        v.saved.set(SLOT.VM_CR, next);
        return (next & VM_CR_DISABLED) === 0n || !bit(v.regs.efer, EFER.SVME);
      },
    },
  ],
  [
    MSR.VM_HSAVE_PA,
    {
      read: (v) => v.saved.get(SLOT.VM_HSAVE_PA),
      write(v, value) {
        const allowed = withoutReserved(MSR.VM_HSAVE_PA, value, 0xfffn, v.model.physicalBits);
        if (allowed !== true) return allowed;
        v.saved.set(SLOT.VM_HSAVE_PA, value);
        return true;
      },
    },
  ],
]);
