import type { CpuFeature, CpuidModel, CpuidRegisters } from '../../hw/cpu/cpuid-model';
import { CR4, EFER } from '../../isa/flags';
import type { ShadowGeneration } from '../mmu/shadow/role';

const SVM_LEAF = 0x8000_000a;
const LEAF1_ECX_VMX = 1 << 5;
const LEAF1_ECX_HYPERVISOR = 1 << 31;
const LEAF1_ECX_X2APIC = 1 << 21;
const LEAF1_ECX_OSXSAVE = 1 << 27;
const LEAF1_ECX_TSC_DEADLINE = 1 << 24;
const LEAF1_EDX_APIC = 1 << 9;
/** What KVM's own local APIC adds, whatever the host's CPU supports. */
const LAPIC_FEATURES: ReadonlySet<CpuFeature> = new Set(['APIC', 'X2APIC', 'TSC_DEADLINE']);
const EXT_ECX_SVM = 1 << 2;
/** Nested virtualization is off (module parameter nested=0). */
const SVM_FEATURES: ReadonlySet<CpuFeature> = new Set([
  'SVM',
  'NPT',
  'NRIPS',
  'VMCB_CLEAN',
  'FLUSH_BY_ASID',
  'DECODE_ASSISTS',
  'VNMI',
]);
/** The hypervisor leaves (Documentation/virt/kvm/x86/cpuid.rst): signature "KVMKVMKVM\0\0\0", then the paravirtual features. */
const KVM_SIGNATURE = 0x4000_0000;
const KVM_FEATURES = 0x4000_0001;
/** KVM_FEATURE_ASYNC_PF and KVM_FEATURE_ASYNC_PF_INT. */
const ASYNC_PF_FEATURES = (1 << 4) | (1 << 14);
const SIGNATURE: CpuidRegisters = [KVM_FEATURES, 0x4b4d_564b, 0x564b_4d56, 0x4d];

/**
 * The result of KVM_SET_CPUID2 for a guest on this CPU: everything but VMX, plus the in-kernel local APIC and the
 * hypervisor bit.
 */
export function guestCpuModel(full: CpuidModel, shadow?: ShadowGeneration): CpuidModel {
  const host = shadow ? without(full, shadow === 'classic' ? CLASSIC_LACKS : MODERN_LACKS) : full;
  return {
    name: host.name,
    vendor: host.vendor,
    physicalBits: host.physicalBits,
    linearBits: host.linearBits,
    pages1g: host.pages1g,
    has: (feature) =>
      feature === 'VMX' || SVM_FEATURES.has(feature)
        ? false
        : feature === 'HYPERVISOR' || LAPIC_FEATURES.has(feature)
          ? true
          : host.has(feature),
    cr4Mask: host.cr4Mask & ~(1n << BigInt(CR4.VMXE)),
    eferMask: host.eferMask & ~(1n << BigInt(EFER.SVME)),
    leaf(leaf, subleaf) {
      if (leaf >>> 0 === SVM_LEAF) return [0, 0, 0, 0];
      if (leaf >>> 0 === KVM_SIGNATURE) return SIGNATURE;
      if (leaf >>> 0 === KVM_FEATURES) return [shadow === 'classic' ? 0 : ASYNC_PF_FEATURES, 0, 0, 0];
      const [eax, ebx, ecx, edx] = host.leaf(leaf, subleaf);
      if (leaf >>> 0 === 0x8000_0001) return [eax, ebx, (ecx & ~EXT_ECX_SVM) >>> 0, edx];
      if (leaf >>> 0 !== 1) return [eax, ebx, ecx, edx];
      return [
        eax,
        ebx,
        ((ecx & ~LEAF1_ECX_VMX) | LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE) >>> 0,
        (edx | LEAF1_EDX_APIC) >>> 0,
      ];
    },
  };
}

/**
 * What the shadow MMU does not virtualize: protection keys (kvm_set_cpu_caps) and, in 2.6.20, which knew neither,
 * process-context identifiers.
 */
const MODERN_LACKS: readonly CpuFeature[] = ['PKU'];
const CLASSIC_LACKS: readonly CpuFeature[] = ['PKU', 'PCID', 'INVPCID'];
const LACK_CR4: Readonly<Partial<Record<CpuFeature, number>>> = { PKU: CR4.PKE, PCID: CR4.PCIDE };
const LEAF1_ECX_PCID = 1 << 17;
const LEAF7_EBX_INVPCID = 1 << 10;
const LEAF7_ECX_PKU = (1 << 3) | (1 << 4);
function without(host: CpuidModel, lacks: readonly CpuFeature[]): CpuidModel {
  const mask = (feature: CpuFeature, bits: number): number => (lacks.includes(feature) ? ~bits : ~0);
  return {
    ...host,
    has: (feature) => !lacks.includes(feature) && host.has(feature),
    cr4Mask: lacks.reduce((m, f) => m & ~(LACK_CR4[f] === undefined ? 0n : 1n << BigInt(LACK_CR4[f])), host.cr4Mask),
    leaf(leaf, subleaf) {
      const [eax, ebx, ecx, edx] = host.leaf(leaf, subleaf);
      if (leaf >>> 0 === 1) return [eax, ebx, (ecx & mask('PCID', LEAF1_ECX_PCID)) >>> 0, edx];
      if (leaf >>> 0 === 7 && subleaf >>> 0 === 0)
        return [eax, (ebx & mask('INVPCID', LEAF7_EBX_INVPCID)) >>> 0, (ecx & mask('PKU', LEAF7_ECX_PKU)) >>> 0, edx];
      return [eax, ebx, ecx, edx];
    },
  };
}

/** kvm_update_cpuid_runtime: hides a local APIC that is disabled in IA32_APIC_BASE; OSXSAVE follows CR4. */
export function runtimeCpuid(
  leaf: number,
  registers: CpuidRegisters,
  apicEnabled: boolean,
  osxsave: boolean,
): CpuidRegisters {
  if (leaf >>> 0 !== 1) return registers;
  const [eax, ebx, ecx, edx] = registers;
  return [eax, ebx, (osxsave ? ecx | LEAF1_ECX_OSXSAVE : ecx) >>> 0, (apicEnabled ? edx : edx & ~LEAF1_EDX_APIC) >>> 0];
}
