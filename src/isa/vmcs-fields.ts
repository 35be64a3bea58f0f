/**
 * VMCS fields by their Linux names (arch/x86/include/asm/vmx.h), with their encodings and the manual's names
 * (SDM vol. 3, 24.4–24.9 and appendix B).
 *
 * The encoding describes the field (24.11.2):
 *
 *    31..15   14..13  12  11..10  9..1   0
 *   |   0    | width | 0 | type  |index|high|
 *
 *   width: 0 = 16 bits, 1 = 64 bits, 2 = 32 bits, 3 = natural width (64 bits here)
 *   type:  0 = control, 1 = VM-exit information (read-only data), 2 = guest state, 3 = host state
 *   high:  1 = bits 63:32 of a 64-bit field
 */
const TABLE = {
  // 16-bit control fields (B.1.1)
  VIRTUAL_PROCESSOR_ID: [0x0000, 'Virtual-processor identifier (VPID)'],
  POSTED_INTR_NV: [0x0002, 'Posted-interrupt notification vector'],
  EPTP_INDEX: [0x0004, 'EPTP index'],
  // 16-bit guest state (B.1.2)
  GUEST_ES_SELECTOR: [0x0800, 'Guest ES selector'],
  GUEST_CS_SELECTOR: [0x0802, 'Guest CS selector'],
  GUEST_SS_SELECTOR: [0x0804, 'Guest SS selector'],
  GUEST_DS_SELECTOR: [0x0806, 'Guest DS selector'],
  GUEST_FS_SELECTOR: [0x0808, 'Guest FS selector'],
  GUEST_GS_SELECTOR: [0x080a, 'Guest GS selector'],
  GUEST_LDTR_SELECTOR: [0x080c, 'Guest LDTR selector'],
  GUEST_TR_SELECTOR: [0x080e, 'Guest TR selector'],
  GUEST_INTR_STATUS: [0x0810, 'Guest interrupt status'],
  GUEST_PML_INDEX: [0x0812, 'PML index'],
  // 16-bit host state (B.1.3)
  HOST_ES_SELECTOR: [0x0c00, 'Host ES selector'],
  HOST_CS_SELECTOR: [0x0c02, 'Host CS selector'],
  HOST_SS_SELECTOR: [0x0c04, 'Host SS selector'],
  HOST_DS_SELECTOR: [0x0c06, 'Host DS selector'],
  HOST_FS_SELECTOR: [0x0c08, 'Host FS selector'],
  HOST_GS_SELECTOR: [0x0c0a, 'Host GS selector'],
  HOST_TR_SELECTOR: [0x0c0c, 'Host TR selector'],
  // 64-bit control fields (B.2.1)
  IO_BITMAP_A: [0x2000, 'Address of I/O bitmap A'],
  IO_BITMAP_B: [0x2002, 'Address of I/O bitmap B'],
  MSR_BITMAP: [0x2004, 'Address of MSR bitmaps'],
  VM_EXIT_MSR_STORE_ADDR: [0x2006, 'VM-exit MSR-store address'],
  VM_EXIT_MSR_LOAD_ADDR: [0x2008, 'VM-exit MSR-load address'],
  VM_ENTRY_MSR_LOAD_ADDR: [0x200a, 'VM-entry MSR-load address'],
  PML_ADDRESS: [0x200e, 'PML address'],
  TSC_OFFSET: [0x2010, 'TSC offset'],
  VIRTUAL_APIC_PAGE_ADDR: [0x2012, 'Virtual-APIC address'],
  APIC_ACCESS_ADDR: [0x2014, 'APIC-access address'],
  POSTED_INTR_DESC_ADDR: [0x2016, 'Posted-interrupt descriptor address'],
  VM_FUNCTION_CONTROL: [0x2018, 'VM-function controls'],
  EPT_POINTER: [0x201a, 'EPT pointer (EPTP)'],
  EOI_EXIT_BITMAP0: [0x201c, 'EOI-exit bitmap 0'],
  EOI_EXIT_BITMAP1: [0x201e, 'EOI-exit bitmap 1'],
  EOI_EXIT_BITMAP2: [0x2020, 'EOI-exit bitmap 2'],
  EOI_EXIT_BITMAP3: [0x2022, 'EOI-exit bitmap 3'],
  EPTP_LIST_ADDRESS: [0x2024, 'EPTP-list address'],
  VMREAD_BITMAP: [0x2026, 'VMREAD-bitmap address'],
  VMWRITE_BITMAP: [0x2028, 'VMWRITE-bitmap address'],
  VIRT_EXCEPTION_INFO: [0x202a, 'Virtualization-exception information address'],
  XSS_EXIT_BITMAP: [0x202c, 'XSS-exiting bitmap'],
  ENCLS_EXITING_BITMAP: [0x202e, 'ENCLS-exiting bitmap'],
  SPPTP: [0x2030, 'Sub-page-permission-table pointer'],
  TSC_MULTIPLIER: [0x2032, 'TSC multiplier'],
  // 64-bit VM-exit information (B.2.2)
  GUEST_PHYSICAL_ADDRESS: [0x2400, 'Guest-physical address'],
  // 64-bit guest state (B.2.3)
  VMCS_LINK_POINTER: [0x2800, 'VMCS link pointer'],
  GUEST_IA32_DEBUGCTL: [0x2802, 'Guest IA32_DEBUGCTL'],
  GUEST_IA32_PAT: [0x2804, 'Guest IA32_PAT'],
  GUEST_IA32_EFER: [0x2806, 'Guest IA32_EFER'],
  GUEST_IA32_PERF_GLOBAL_CTRL: [0x2808, 'Guest IA32_PERF_GLOBAL_CTRL'],
  GUEST_PDPTR0: [0x280a, 'Guest PDPTE0'],
  GUEST_PDPTR1: [0x280c, 'Guest PDPTE1'],
  GUEST_PDPTR2: [0x280e, 'Guest PDPTE2'],
  GUEST_PDPTR3: [0x2810, 'Guest PDPTE3'],
  GUEST_BNDCFGS: [0x2812, 'Guest IA32_BNDCFGS'],
  GUEST_IA32_RTIT_CTL: [0x2814, 'Guest IA32_RTIT_CTL'],
  // 64-bit host state (B.2.4)
  HOST_IA32_PAT: [0x2c00, 'Host IA32_PAT'],
  HOST_IA32_EFER: [0x2c02, 'Host IA32_EFER'],
  HOST_IA32_PERF_GLOBAL_CTRL: [0x2c04, 'Host IA32_PERF_GLOBAL_CTRL'],
  // 32-bit control fields (B.3.1)
  PIN_BASED_VM_EXEC_CONTROL: [0x4000, 'Pin-based VM-execution controls'],
  CPU_BASED_VM_EXEC_CONTROL: [0x4002, 'Primary processor-based VM-execution controls'],
  EXCEPTION_BITMAP: [0x4004, 'Exception bitmap'],
  PAGE_FAULT_ERROR_CODE_MASK: [0x4006, 'Page-fault error-code mask'],
  PAGE_FAULT_ERROR_CODE_MATCH: [0x4008, 'Page-fault error-code match'],
  CR3_TARGET_COUNT: [0x400a, 'CR3-target count'],
  VM_EXIT_CONTROLS: [0x400c, 'VM-exit controls'],
  VM_EXIT_MSR_STORE_COUNT: [0x400e, 'VM-exit MSR-store count'],
  VM_EXIT_MSR_LOAD_COUNT: [0x4010, 'VM-exit MSR-load count'],
  VM_ENTRY_CONTROLS: [0x4012, 'VM-entry controls'],
  VM_ENTRY_MSR_LOAD_COUNT: [0x4014, 'VM-entry MSR-load count'],
  VM_ENTRY_INTR_INFO_FIELD: [0x4016, 'VM-entry interruption-information field'],
  VM_ENTRY_EXCEPTION_ERROR_CODE: [0x4018, 'VM-entry exception error code'],
  VM_ENTRY_INSTRUCTION_LEN: [0x401a, 'VM-entry instruction length'],
  TPR_THRESHOLD: [0x401c, 'TPR threshold'],
  SECONDARY_VM_EXEC_CONTROL: [0x401e, 'Secondary processor-based VM-execution controls'],
  PLE_GAP: [0x4020, 'PLE_Gap'],
  PLE_WINDOW: [0x4022, 'PLE_Window'],
  // 32-bit VM-exit information (B.3.2)
  VM_INSTRUCTION_ERROR: [0x4400, 'VM-instruction error'],
  VM_EXIT_REASON: [0x4402, 'Exit reason'],
  VM_EXIT_INTR_INFO: [0x4404, 'VM-exit interruption information'],
  VM_EXIT_INTR_ERROR_CODE: [0x4406, 'VM-exit interruption error code'],
  IDT_VECTORING_INFO_FIELD: [0x4408, 'IDT-vectoring information field'],
  IDT_VECTORING_ERROR_CODE: [0x440a, 'IDT-vectoring error code'],
  VM_EXIT_INSTRUCTION_LEN: [0x440c, 'VM-exit instruction length'],
  VMX_INSTRUCTION_INFO: [0x440e, 'VM-exit instruction information'],
  // 32-bit guest state (B.3.3)
  GUEST_ES_LIMIT: [0x4800, 'Guest ES limit'],
  GUEST_CS_LIMIT: [0x4802, 'Guest CS limit'],
  GUEST_SS_LIMIT: [0x4804, 'Guest SS limit'],
  GUEST_DS_LIMIT: [0x4806, 'Guest DS limit'],
  GUEST_FS_LIMIT: [0x4808, 'Guest FS limit'],
  GUEST_GS_LIMIT: [0x480a, 'Guest GS limit'],
  GUEST_LDTR_LIMIT: [0x480c, 'Guest LDTR limit'],
  GUEST_TR_LIMIT: [0x480e, 'Guest TR limit'],
  GUEST_GDTR_LIMIT: [0x4810, 'Guest GDTR limit'],
  GUEST_IDTR_LIMIT: [0x4812, 'Guest IDTR limit'],
  GUEST_ES_AR_BYTES: [0x4814, 'Guest ES access rights'],
  GUEST_CS_AR_BYTES: [0x4816, 'Guest CS access rights'],
  GUEST_SS_AR_BYTES: [0x4818, 'Guest SS access rights'],
  GUEST_DS_AR_BYTES: [0x481a, 'Guest DS access rights'],
  GUEST_FS_AR_BYTES: [0x481c, 'Guest FS access rights'],
  GUEST_GS_AR_BYTES: [0x481e, 'Guest GS access rights'],
  GUEST_LDTR_AR_BYTES: [0x4820, 'Guest LDTR access rights'],
  GUEST_TR_AR_BYTES: [0x4822, 'Guest TR access rights'],
  GUEST_INTERRUPTIBILITY_INFO: [0x4824, 'Guest interruptibility state'],
  GUEST_ACTIVITY_STATE: [0x4826, 'Guest activity state'],
  GUEST_SMBASE: [0x4828, 'Guest SMBASE'],
  GUEST_SYSENTER_CS: [0x482a, 'Guest IA32_SYSENTER_CS'],
  VMX_PREEMPTION_TIMER_VALUE: [0x482e, 'VMX-preemption timer value'],
  // 32-bit host state (B.3.4)
  HOST_IA32_SYSENTER_CS: [0x4c00, 'Host IA32_SYSENTER_CS'],
  // natural-width control fields (B.4.1)
  CR0_GUEST_HOST_MASK: [0x6000, 'CR0 guest/host mask'],
  CR4_GUEST_HOST_MASK: [0x6002, 'CR4 guest/host mask'],
  CR0_READ_SHADOW: [0x6004, 'CR0 read shadow'],
  CR4_READ_SHADOW: [0x6006, 'CR4 read shadow'],
  CR3_TARGET_VALUE0: [0x6008, 'CR3-target value 0'],
  CR3_TARGET_VALUE1: [0x600a, 'CR3-target value 1'],
  CR3_TARGET_VALUE2: [0x600c, 'CR3-target value 2'],
  CR3_TARGET_VALUE3: [0x600e, 'CR3-target value 3'],
  // natural-width VM-exit information (B.4.2)
  EXIT_QUALIFICATION: [0x6400, 'Exit qualification'],
  IO_RCX: [0x6402, 'I/O RCX'],
  IO_RSI: [0x6404, 'I/O RSI'],
  IO_RDI: [0x6406, 'I/O RDI'],
  IO_RIP: [0x6408, 'I/O RIP'],
  GUEST_LINEAR_ADDRESS: [0x640a, 'Guest-linear address'],
  // natural-width guest state (B.4.3)
  GUEST_CR0: [0x6800, 'Guest CR0'],
  GUEST_CR3: [0x6802, 'Guest CR3'],
  GUEST_CR4: [0x6804, 'Guest CR4'],
  GUEST_ES_BASE: [0x6806, 'Guest ES base'],
  GUEST_CS_BASE: [0x6808, 'Guest CS base'],
  GUEST_SS_BASE: [0x680a, 'Guest SS base'],
  GUEST_DS_BASE: [0x680c, 'Guest DS base'],
  GUEST_FS_BASE: [0x680e, 'Guest FS base'],
  GUEST_GS_BASE: [0x6810, 'Guest GS base'],
  GUEST_LDTR_BASE: [0x6812, 'Guest LDTR base'],
  GUEST_TR_BASE: [0x6814, 'Guest TR base'],
  GUEST_GDTR_BASE: [0x6816, 'Guest GDTR base'],
  GUEST_IDTR_BASE: [0x6818, 'Guest IDTR base'],
  GUEST_DR7: [0x681a, 'Guest DR7'],
  GUEST_RSP: [0x681c, 'Guest RSP'],
  GUEST_RIP: [0x681e, 'Guest RIP'],
  GUEST_RFLAGS: [0x6820, 'Guest RFLAGS'],
  GUEST_PENDING_DBG_EXCEPTIONS: [0x6822, 'Guest pending debug exceptions'],
  GUEST_SYSENTER_ESP: [0x6824, 'Guest IA32_SYSENTER_ESP'],
  GUEST_SYSENTER_EIP: [0x6826, 'Guest IA32_SYSENTER_EIP'],
  // natural-width host state (B.4.4)
  HOST_CR0: [0x6c00, 'Host CR0'],
  HOST_CR3: [0x6c02, 'Host CR3'],
  HOST_CR4: [0x6c04, 'Host CR4'],
  HOST_FS_BASE: [0x6c06, 'Host FS base'],
  HOST_GS_BASE: [0x6c08, 'Host GS base'],
  HOST_TR_BASE: [0x6c0a, 'Host TR base'],
  HOST_GDTR_BASE: [0x6c0c, 'Host GDTR base'],
  HOST_IDTR_BASE: [0x6c0e, 'Host IDTR base'],
  HOST_IA32_SYSENTER_ESP: [0x6c10, 'Host IA32_SYSENTER_ESP'],
  HOST_IA32_SYSENTER_EIP: [0x6c12, 'Host IA32_SYSENTER_EIP'],
  HOST_RSP: [0x6c14, 'Host RSP'],
  HOST_RIP: [0x6c16, 'Host RIP'],
} as const;

export type VmcsFieldName = keyof typeof TABLE;
export type VmcsArea = 'control' | 'exit' | 'guest' | 'host';
export type VmcsWidth = 16 | 32 | 64 | 'natural';

export interface VmcsField {
  readonly name: VmcsFieldName;
  readonly encoding: number;
  /** The manual's name. */
  readonly title: string;
  readonly width: VmcsWidth;
  readonly area: VmcsArea;
}

/** `FIELD.GUEST_CR3` = 0x6802: the encodings, as VMREAD and VMWRITE take them. */
export const FIELD = Object.fromEntries(Object.entries(TABLE).map(([name, [encoding]]) => [name, encoding])) as {
  readonly [K in VmcsFieldName]: (typeof TABLE)[K][0];
};

const AREAS = ['control', 'exit', 'guest', 'host'] as const;
const WIDTHS = [16, 64, 32, 'natural'] as const;

export const fieldArea = (encoding: number): VmcsArea => AREAS[(encoding >> 10) & 3] as VmcsArea;
const fieldWidth = (encoding: number): VmcsWidth => WIDTHS[(encoding >> 13) & 3] as VmcsWidth;
/** Bits 9:1. */
export const fieldIndex = (encoding: number): number => (encoding >> 1) & 0x1ff;
/** Whether the encoding names bits 63:32 of a 64-bit field. */
export const isHighHalf = (encoding: number): boolean => (encoding & 1) === 1;

/** All of the manual's fields that are listed here, in encoding order. */
export const VMCS_FIELDS: readonly VmcsField[] = Object.entries(TABLE).map(([name, [encoding, title]]) => ({
  name: name as VmcsFieldName,
  encoding,
  title,
  width: fieldWidth(encoding),
  area: fieldArea(encoding),
}));

const BY_ENCODING = new Map<number, VmcsField>(VMCS_FIELDS.map((f) => [f.encoding, f]));
const BY_NAME = new Map<string, VmcsField>(VMCS_FIELDS.map((f) => [f.name, f]));

/** The field of a full-access encoding, or of the high half of a 64-bit field. */
export function vmcsField(encoding: number): VmcsField | undefined {
  if (!isHighHalf(encoding)) return BY_ENCODING.get(encoding);
  const full = BY_ENCODING.get(encoding - 1);
  return full?.width === 64 ? full : undefined;
}

/** The field called `name` (Linux's spelling, upper case). */
export const vmcsFieldByName = (name: string): VmcsField | undefined => BY_NAME.get(name);

/** The field of VmcsFieldName `name`. */
export const fieldOf = (name: VmcsFieldName): VmcsField => BY_NAME.get(name) as VmcsField;
