import { EXIT_CTL, ENTRY_CTL, PIN, PROC, SECONDARY } from '../../isa/vmcs-controls';
import type { VmcsField, VmcsFieldName } from '../../isa/vmcs-fields';
import { VMCS_FIELDS } from '../../isa/vmcs-fields';
import type { ControlBits, VmxCapabilities } from './capabilities';

type ControlGroup = 'pin' | 'proc' | 'secondary' | 'exit' | 'entry';

/** Fields that exist only on processors with the 1-setting of a control (SDM vol. 3, appendix B, the footnotes of each table). */
const NEEDS: Partial<Record<VmcsFieldName, readonly [ControlGroup, number]>> = {
  POSTED_INTR_NV: ['pin', PIN.POSTED_INTR],
  POSTED_INTR_DESC_ADDR: ['pin', PIN.POSTED_INTR],
  EPTP_INDEX: ['secondary', SECONDARY.EPT_VIOLATION_VE],
  VIRT_EXCEPTION_INFO: ['secondary', SECONDARY.EPT_VIOLATION_VE],
  GUEST_INTR_STATUS: ['secondary', SECONDARY.VIRTUAL_INTR_DELIVERY],
  EOI_EXIT_BITMAP0: ['secondary', SECONDARY.VIRTUAL_INTR_DELIVERY],
  EOI_EXIT_BITMAP1: ['secondary', SECONDARY.VIRTUAL_INTR_DELIVERY],
  EOI_EXIT_BITMAP2: ['secondary', SECONDARY.VIRTUAL_INTR_DELIVERY],
  EOI_EXIT_BITMAP3: ['secondary', SECONDARY.VIRTUAL_INTR_DELIVERY],
  GUEST_PML_INDEX: ['secondary', SECONDARY.ENABLE_PML],
  PML_ADDRESS: ['secondary', SECONDARY.ENABLE_PML],
  VIRTUAL_APIC_PAGE_ADDR: ['proc', PROC.TPR_SHADOW],
  TPR_THRESHOLD: ['proc', PROC.TPR_SHADOW],
  APIC_ACCESS_ADDR: ['secondary', SECONDARY.VIRTUALIZE_APIC_ACCESSES],
  VM_FUNCTION_CONTROL: ['secondary', SECONDARY.ENABLE_VMFUNC],
  EPTP_LIST_ADDRESS: ['secondary', SECONDARY.ENABLE_VMFUNC],
  VMREAD_BITMAP: ['secondary', SECONDARY.SHADOW_VMCS],
  VMWRITE_BITMAP: ['secondary', SECONDARY.SHADOW_VMCS],
  XSS_EXIT_BITMAP: ['secondary', SECONDARY.ENABLE_XSAVES],
  ENCLS_EXITING_BITMAP: ['secondary', SECONDARY.ENCLS_EXITING],
  SPPTP: ['secondary', SECONDARY.SUB_PAGE_WRITE_PERMISSION],
  TSC_MULTIPLIER: ['secondary', SECONDARY.TSC_SCALING],
  PLE_GAP: ['secondary', SECONDARY.PAUSE_LOOP_EXITING],
  PLE_WINDOW: ['secondary', SECONDARY.PAUSE_LOOP_EXITING],
  VIRTUAL_PROCESSOR_ID: ['secondary', SECONDARY.ENABLE_VPID],
  EPT_POINTER: ['secondary', SECONDARY.ENABLE_EPT],
  GUEST_PHYSICAL_ADDRESS: ['secondary', SECONDARY.ENABLE_EPT],
  GUEST_PDPTR0: ['secondary', SECONDARY.ENABLE_EPT],
  GUEST_PDPTR1: ['secondary', SECONDARY.ENABLE_EPT],
  GUEST_PDPTR2: ['secondary', SECONDARY.ENABLE_EPT],
  GUEST_PDPTR3: ['secondary', SECONDARY.ENABLE_EPT],
  SECONDARY_VM_EXEC_CONTROL: ['proc', PROC.ACTIVATE_SECONDARY_CONTROLS],
  MSR_BITMAP: ['proc', PROC.USE_MSR_BITMAPS],
  VMX_PREEMPTION_TIMER_VALUE: ['pin', PIN.PREEMPTION_TIMER],
  GUEST_IA32_PAT: ['entry', ENTRY_CTL.LOAD_IA32_PAT],
  HOST_IA32_PAT: ['exit', EXIT_CTL.LOAD_IA32_PAT],
  GUEST_IA32_EFER: ['entry', ENTRY_CTL.LOAD_IA32_EFER],
  HOST_IA32_EFER: ['exit', EXIT_CTL.LOAD_IA32_EFER],
  GUEST_IA32_PERF_GLOBAL_CTRL: ['entry', ENTRY_CTL.LOAD_IA32_PERF_GLOBAL_CTRL],
  HOST_IA32_PERF_GLOBAL_CTRL: ['exit', EXIT_CTL.LOAD_IA32_PERF_GLOBAL_CTRL],
  GUEST_BNDCFGS: ['entry', ENTRY_CTL.LOAD_BNDCFGS],
  GUEST_IA32_RTIT_CTL: ['entry', ENTRY_CTL.LOAD_IA32_RTIT_CTL],
};

function exists(field: VmcsField, capabilities: VmxCapabilities): boolean {
  const need = NEEDS[field.name];
  if (need === undefined) return true;
  const [group, mask] = need;
  const bits: ControlBits = capabilities[group];
  return (bits.mayBeOne & mask) !== 0;
}

/** The fields a processor with these capabilities has, in the order of their encodings. */
export const supportedFields = (capabilities: VmxCapabilities): VmcsField[] =>
  VMCS_FIELDS.filter((f) => exists(f, capabilities));

/** The encodings that VMREAD and VMWRITE take, high halves included; others end as VM-instruction error 12. */
export function supportedEncodings(capabilities: VmxCapabilities): ReadonlySet<number> {
  return new Set(
    supportedFields(capabilities).flatMap((f) => (f.width === 64 ? [f.encoding, f.encoding + 1] : [f.encoding])),
  );
}
