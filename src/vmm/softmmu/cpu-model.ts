import type { CpuFeature, CpuidModel, CpuidRegisters } from '../../hw/cpu/cpuid-model';
import { CR4, EFER } from '../../isa/flags';

const LEAF1_ECX_VMX = 1 << 5;
const LEAF1_ECX_X2APIC = 1 << 21;
const LEAF1_ECX_TSC_DEADLINE = 1 << 24;
const LEAF1_ECX_HYPERVISOR = 1 << 31;
const LEAF1_EDX_APIC = 1 << 9;
const LEAF_EXT_ECX_SVM = 1 << 2;
/** The hypervisor leaves: signature "TCGTCGTCGTCG", then one of no use to a guest (target/i386/cpu.c of QEMU). */
const TCG_SIGNATURE = 0x4000_0000;
const TCG_INFO = 0x4000_0001;
const SIGNATURE: CpuidRegisters = [TCG_INFO, 0x5447_4354, 0x4354_4743, 0x4743_5447];
/** Nested virtualization, which would need hardware support below, and what QEMU's APIC lacks. */
const ABSENT: ReadonlySet<CpuFeature> = new Set(['VMX', 'SVM', 'TSC_DEADLINE']);
const PRESENT: ReadonlySet<CpuFeature> = new Set(['HYPERVISOR', 'APIC', 'X2APIC']);

/** The processor that QEMU's TCG would offer for this model. */
export function softwareCpuModel(full: CpuidModel): CpuidModel {
  return {
    name: full.name,
    vendor: full.vendor,
    physicalBits: full.physicalBits,
    linearBits: full.linearBits,
    pages1g: full.pages1g,
    // helper_rdmsr and helper_wrmsr of QEMU: an unknown MSR reads 0, and a write to it does nothing
    ignoresUnknownMsrs: true,
    has: (feature) => !ABSENT.has(feature) && (PRESENT.has(feature) || full.has(feature)),
    cr4Mask: full.cr4Mask & ~(1n << BigInt(CR4.VMXE)),
    eferMask: full.eferMask & ~(1n << BigInt(EFER.SVME)),
    leaf(leaf, subleaf) {
      if (leaf >>> 0 === TCG_SIGNATURE) return SIGNATURE;
      if (leaf >>> 0 === TCG_INFO) return [0, 0, 0, 0];
      const [eax, ebx, ecx, edx] = full.leaf(leaf, subleaf);
      if (leaf >>> 0 === 0x8000_0001) return [eax, ebx, (ecx & ~LEAF_EXT_ECX_SVM) >>> 0, edx];
      if (leaf >>> 0 !== 1) return [eax, ebx, ecx, edx];
      const clear = LEAF1_ECX_VMX | LEAF1_ECX_TSC_DEADLINE;
      return [eax, ebx, ((ecx & ~clear) | LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC) >>> 0, (edx | LEAF1_EDX_APIC) >>> 0];
    },
  };
}
