/**
 * The control fields of the VMCS bit by bit (SDM vol. 3, 24.6 to 24.8), as 32-bit masks. Linux's names without their
 * prefixes
 * (PIN_BASED_, CPU_BASED_, SECONDARY_EXEC_, VM_EXIT_, VM_ENTRY_).
 */
export const PIN = {
  EXT_INTR: 1 << 0,
  NMI_EXITING: 1 << 3,
  VIRTUAL_NMIS: 1 << 5,
  PREEMPTION_TIMER: 1 << 6,
  POSTED_INTR: 1 << 7,
} as const;

export const PROC = {
  INTR_WINDOW_EXITING: 1 << 2,
  USE_TSC_OFFSETTING: 1 << 3,
  HLT_EXITING: 1 << 7,
  INVLPG_EXITING: 1 << 9,
  MWAIT_EXITING: 1 << 10,
  RDPMC_EXITING: 1 << 11,
  RDTSC_EXITING: 1 << 12,
  CR3_LOAD_EXITING: 1 << 15,
  CR3_STORE_EXITING: 1 << 16,
  CR8_LOAD_EXITING: 1 << 19,
  CR8_STORE_EXITING: 1 << 20,
  TPR_SHADOW: 1 << 21,
  NMI_WINDOW_EXITING: 1 << 22,
  MOV_DR_EXITING: 1 << 23,
  UNCOND_IO_EXITING: 1 << 24,
  USE_IO_BITMAPS: 1 << 25,
  MONITOR_TRAP_FLAG: 1 << 27,
  USE_MSR_BITMAPS: 1 << 28,
  MONITOR_EXITING: 1 << 29,
  PAUSE_EXITING: 1 << 30,
  ACTIVATE_SECONDARY_CONTROLS: 1 << 31,
} as const;

export const SECONDARY = {
  VIRTUALIZE_APIC_ACCESSES: 1 << 0,
  ENABLE_EPT: 1 << 1,
  DESC: 1 << 2,
  ENABLE_RDTSCP: 1 << 3,
  VIRTUALIZE_X2APIC_MODE: 1 << 4,
  ENABLE_VPID: 1 << 5,
  WBINVD_EXITING: 1 << 6,
  UNRESTRICTED_GUEST: 1 << 7,
  APIC_REGISTER_VIRT: 1 << 8,
  VIRTUAL_INTR_DELIVERY: 1 << 9,
  PAUSE_LOOP_EXITING: 1 << 10,
  RDRAND_EXITING: 1 << 11,
  ENABLE_INVPCID: 1 << 12,
  ENABLE_VMFUNC: 1 << 13,
  SHADOW_VMCS: 1 << 14,
  ENCLS_EXITING: 1 << 15,
  RDSEED_EXITING: 1 << 16,
  ENABLE_PML: 1 << 17,
  EPT_VIOLATION_VE: 1 << 18,
  CONCEAL_FROM_PT: 1 << 19,
  ENABLE_XSAVES: 1 << 20,
  MODE_BASED_EPT_EXEC: 1 << 22,
  SUB_PAGE_WRITE_PERMISSION: 1 << 23,
  PT_USE_GPA: 1 << 24,
  TSC_SCALING: 1 << 25,
} as const;

export const EXIT_CTL = {
  SAVE_DEBUG_CONTROLS: 1 << 2,
  HOST_ADDR_SPACE_SIZE: 1 << 9,
  LOAD_IA32_PERF_GLOBAL_CTRL: 1 << 12,
  ACK_INTR_ON_EXIT: 1 << 15,
  SAVE_IA32_PAT: 1 << 18,
  LOAD_IA32_PAT: 1 << 19,
  SAVE_IA32_EFER: 1 << 20,
  LOAD_IA32_EFER: 1 << 21,
  SAVE_VMX_PREEMPTION_TIMER: 1 << 22,
  CLEAR_BNDCFGS: 1 << 23,
  PT_CONCEAL_PIP: 1 << 24,
  CLEAR_IA32_RTIT_CTL: 1 << 25,
} as const;

export const ENTRY_CTL = {
  LOAD_DEBUG_CONTROLS: 1 << 2,
  IA32E_MODE: 1 << 9,
  SMM: 1 << 10,
  DEACT_DUAL_MONITOR: 1 << 11,
  LOAD_IA32_PERF_GLOBAL_CTRL: 1 << 13,
  LOAD_IA32_PAT: 1 << 14,
  LOAD_IA32_EFER: 1 << 15,
  LOAD_BNDCFGS: 1 << 16,
  PT_CONCEAL_PIP: 1 << 17,
  LOAD_IA32_RTIT_CTL: 1 << 18,
} as const;

/**
 * Interruption information, the one format of VM entry, VM exit and IDT vectoring (24.8.3, 24.9.2, 24.9.3):
 *
 *    31    30..13   12           11          10..8   7..0
 *   |valid|   0    |NMI unblock|error valid | type | vector|
 *
 * Bit 12 (NMI unblocking due to IRET) exists in the VM-exit field only.
 */
export const INTR_INFO = {
  VECTOR_MASK: 0xff,
  TYPE_SHIFT: 8,
  TYPE_MASK: 7,
  DELIVER_CODE: 1 << 11,
  UNBLOCK_NMI: 1 << 12,
  VALID: 0x8000_0000,
} as const;

/** Interruption types, bits 10:8. Type 1 is reserved; 7 is "other event" (a pending MTF exit) at VM entry only. */
export const INTR_TYPE = {
  EXT_INTR: 0,
  NMI_INTR: 2,
  HARD_EXCEPTION: 3,
  SOFT_INTR: 4,
  PRIV_SW_EXCEPTION: 5,
  SOFT_EXCEPTION: 6,
  OTHER_EVENT: 7,
} as const;
export type InterruptionType = (typeof INTR_TYPE)[keyof typeof INTR_TYPE];

/** Guest interruptibility state (24.4.2). */
export const INTERRUPTIBILITY = { STI: 1 << 0, MOV_SS: 1 << 1, SMI: 1 << 2, NMI: 1 << 3, ENCLAVE: 1 << 4 } as const;

/** Guest activity state (24.4.2). */
export const ACTIVITY_STATE = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_SIPI: 3 } as const;

/** EPTP (24.6.11): memory type 2:0, page-walk length − 1 in 5:3, accessed/dirty enable 6, address of the EPT PML4 above. */
export const EPTP = { MEMORY_TYPE_MASK: 7n, WALK_LENGTH_SHIFT: 3n, WALK_LENGTH_MASK: 7n, AD_ENABLE: 1n << 6n } as const;

/** Pending debug exceptions (24.4.2). */
export const PENDING_DBG = { B0: 0, B1: 1, B2: 2, B3: 3, ENABLED_BREAKPOINT: 12, BS: 14, RTM: 16 } as const;

/** Bit 31 of the exit reason: the VM entry failed (24.9.1). */
export const EXIT_REASON_ENTRY_FAILURE = 0x8000_0000;
