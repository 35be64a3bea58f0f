/**
 * A CPU's state as 64-bit slots at a fixed place in the machine's memory. Everything a snapshot must hold lies here, so that saving a CPU is one copy,
 * and code compiled to WebAssembly can later use the same bytes.
 *
 * Slots 0–15 are the general registers by encoding. Slots SLOT.TEMP0… are the temporaries of the micro-op runner: meaningless between instructions.
 */
export const SLOT = {
  RIP: 16,
  /** RFLAGS without the arithmetic flags, which live in the lazy-flag slots below until somebody asks. */
  RFLAGS: 17,
  /** Segment bases in encoding order: ES CS SS DS FS GS. */
  SEG_BASE: 18,
  /** Lazy arithmetic flags: the kind and width of the last flag-setting operation, its result and operands (see state/lazy-flags). */
  CC_OP: 24,
  CC_RES: 25,
  CC_A: 26,
  CC_B: 27,
  /** Always zero: the operand "no register". */
  ZERO: 28,
  /** Retired instructions: guest time. */
  RETIRED: 29,
  /** Memory-port answers for the slow path. */
  VALUE: 30,
  TEMP0: 32,
  TEMP_END: 64,

  CR0: 64,
  CR2: 65,
  CR3: 66,
  CR4: 67,
  CR8: 68,
  EFER: 69,
  DR0: 70, // DR0–DR3: 70–73
  DR6: 74,
  DR7: 75,
  /** Selectors ES CS SS DS FS GS LDTR TR: 76–83. */
  SELECTOR: 76,
  /** Limits in bytes, granularity applied, same order: 84–91. */
  LIMIT: 84,
  /** Access rights in the VMCS format, same order: 92–99. */
  RIGHTS: 92,
  LDTR_BASE: 100,
  TR_BASE: 101,
  GDTR_BASE: 102,
  GDTR_LIMIT: 103,
  IDTR_BASE: 104,
  IDTR_LIMIT: 105,
  CPL: 106,
  /** Blocking by STI (bit 0), by MOV SS (bit 1), by SMI (2), by NMI (3): the VMCS's guest interruptibility state. */
  INTERRUPTIBILITY: 107,
  /** 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI: the VMCS's activity state. */
  ACTIVITY: 108,
  /** 1 when the next instruction fetch follows the last one in the same page without a taken branch or flush between. */
  FETCH_CONTINUES: 109,
  PDPTE0: 110, // PDPTE0–PDPTE3: 110–113
  STAR: 114,
  LSTAR: 115,
  CSTAR: 116,
  SFMASK: 117,
  KERNEL_GS_BASE: 118,
  SYSENTER_CS: 119,
  SYSENTER_ESP: 120,
  SYSENTER_EIP: 121,
  PAT: 122,
  APIC_BASE: 123,
  TSC_OFFSET: 124,
  TSC_AUX: 125,
  PKRU: 126,
  XCR0: 127,
  MISC_ENABLE: 128,
  FEATURE_CONTROL: 129,
  /** Pending external interrupt: 0x100 | vector, or 0; and pending NMI: 0 or 1. */
  PENDING_INTR: 130,
  PENDING_NMI: 131,
  MTRR_DEF_TYPE: 132,
  /** While FETCH_CONTINUES: the linear page the fetch unit is in, and the offset of its bytes in the machine's memory. */
  FETCH_LINEAR: 133,
  FETCH_OFFSET: 134,
  /** SVM's VM_CR and VM_HSAVE_PA MSRs. */
  VM_CR: 135,
  VM_HSAVE_PA: 136,
  /** MTRRs: base and mask of the eight variable ranges: 137–152; the eleven fixed-range registers: 153–163. */
  MTRR_VARIABLE: 137,
  MTRR_FIXED: 153,
  /** Machine check: the global registers, then CTL, STATUS, ADDR and MISC of ten banks: 166–205. */
  MCG_STATUS: 164,
  MCG_CTL: 165,
  MC_BANKS: 166,
  /** MSRs that keep what is written: AMD's HWCR and DE_CFG, Intel's POWER_CTL and MISC_FEATURES_ENABLES, IA32_TSC_ADJUST. */
  HWCR: 206,
  DE_CFG: 207,
  POWER_CTL: 208,
  MISC_FEATURES_ENABLES: 209,
  TSC_ADJUST: 210,
  /** The last event that was taken to a handler, in the format of interruption information (SDM vol. 3, 24.9.2); 0: none yet. */
  LAST_EVENT: 211,
  /** KVM's paravirtual MSRs, in its save area alone. */
  PV_WALL_CLOCK: 212,
  PV_SYSTEM_TIME: 213,
  PV_STEAL_TIME: 214,
  PV_EOI: 215,
  PV_POLL_OFF: 216,

  /** XMM0–XMM15, two slots each, low half first: 256–287. */
  XMM: 256,
  /** The x87 registers R0–R7 by physical number, two slots each: significand, then sign and exponent in bits 15:0: 288–303. ST(i) is R(TOP + i). */
  FPR: 288,
  FCW: 304,
  /** x87 status word, TOP in bits 13:11. */
  FSW: 305,
  /** Bit n set: R(n) is not empty (the abridged form of FXSAVE). */
  FTW: 306,
  /** Opcode (11 bits), instruction and operand offset of x87's exception pointers. */
  FOP: 307,
  FIP: 308,
  FDP: 309,
  MXCSR: 310,
  /** Opcode and operand offset of the x87 instruction that runs: what the pointers become if it meets an unmasked exception. */
  FOP_NOW: 311,
  FDP_NOW: 312,
  FP_END: 313,
  /** State of the generator behind RDRAND and RDSEED. */
  RANDOM: 313,
  END: 512,
} as const;

/** Bytes of one CPU's state: all of them slots. */
export const CPU_STATE_SIZE = 0x1000;
/** States 0 … MAX_CPUS−1 are the machine's CPUs; the ones after are KVM's register save areas and its emulator's scratch state. */
export const MAX_CPUS = 8;
export const MAX_STATES = 32;
export const CPU_STATES_OFFSET = 0x1000;

/** Indices into SELECTOR/LIMIT/RIGHTS (and, below 6, SEG_BASE). */
export const SEG = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/**
 * Access rights in the VMCS format (SDM vol. 3, 24.4.1):
 *
 *   16       15 14  13 12  11..8  7  6..5 4  3..0
 *  |unusable|G |D/B|L |AVL| 0    |P |DPL |S |type|
 */
export const RIGHTS = {
  TYPE_MASK: 0xf,
  S: 1 << 4,
  DPL_SHIFT: 5,
  P: 1 << 7,
  AVL: 1 << 12,
  L: 1 << 13,
  DB: 1 << 14,
  G: 1 << 15,
  UNUSABLE: 1 << 16,
} as const;
