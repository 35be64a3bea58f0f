/**
 * #VMEXIT codes (AMD APM vol. 2, appendix C) by the manual's names without VMEXIT_. Codes of one kind of intercept
 * are consecutive, in the bit order of the
 * VMCB's intercept words, so a code is the first of its word plus the bit.
 */
const NAMED = {
  INTR: 0x60,
  NMI: 0x61,
  SMI: 0x62,
  INIT: 0x63,
  VINTR: 0x64,
  CR0_SEL_WRITE: 0x65,
  IDTR_READ: 0x66,
  GDTR_READ: 0x67,
  LDTR_READ: 0x68,
  TR_READ: 0x69,
  IDTR_WRITE: 0x6a,
  GDTR_WRITE: 0x6b,
  LDTR_WRITE: 0x6c,
  TR_WRITE: 0x6d,
  RDTSC: 0x6e,
  RDPMC: 0x6f,
  PUSHF: 0x70,
  POPF: 0x71,
  CPUID: 0x72,
  RSM: 0x73,
  IRET: 0x74,
  SWINT: 0x75,
  INVD: 0x76,
  PAUSE: 0x77,
  HLT: 0x78,
  INVLPG: 0x79,
  INVLPGA: 0x7a,
  IOIO: 0x7b,
  MSR: 0x7c,
  TASK_SWITCH: 0x7d,
  FERR_FREEZE: 0x7e,
  SHUTDOWN: 0x7f,
  VMRUN: 0x80,
  VMMCALL: 0x81,
  VMLOAD: 0x82,
  VMSAVE: 0x83,
  STGI: 0x84,
  CLGI: 0x85,
  SKINIT: 0x86,
  RDTSCP: 0x87,
  ICEBP: 0x88,
  WBINVD: 0x89,
  MONITOR: 0x8a,
  MWAIT: 0x8b,
  MWAIT_CONDITIONAL: 0x8c,
  XSETBV: 0x8d,
  RDPRU: 0x8e,
  INVPCID: 0xa2,
  NPF: 0x400,
  AVIC_INCOMPLETE_IPI: 0x401,
  AVIC_NOACCEL: 0x402,
  VMGEXIT: 0x403,
} as const;

/** VMEXIT_INVALID, −1 in the 64-bit field: VMRUN's checks failed. */
export const SVM_INVALID = 0xffff_ffff_ffff_ffffn;

const numbered: Record<string, number> = {};
for (let i = 0; i < 16; i++) {
  numbered[`CR${i}_READ`] = i;
  numbered[`CR${i}_WRITE`] = 0x10 + i;
  numbered[`DR${i}_READ`] = 0x20 + i;
  numbered[`DR${i}_WRITE`] = 0x30 + i;
}
for (let i = 0; i < 32; i++) numbered[`EXCP${i}`] = 0x40 + i;

/** Exits for an instruction, event or fault. */
export const SVM_EXIT = NAMED;
/** The first codes for accesses to control and debug registers and for exceptions: add the register or vector. */
export const SVM_EXIT_BASE = { CR_READ: 0, CR_WRITE: 0x10, DR_READ: 0x20, DR_WRITE: 0x30, EXCP: 0x40 } as const;
/** Every exit code by name. */
export const SVM_EXITS: Readonly<Record<string, number>> = { ...numbered, ...NAMED };

const BY_CODE = new Map<number, string>(Object.entries(SVM_EXITS).map(([n, c]) => [c, n]));

/** The name of an exit code; −1 is INVALID. */
export const svmExitName = (code: number): string =>
  code === -1 ? 'INVALID' : (BY_CODE.get(code) ?? `CODE_0x${code.toString(16)}`);
