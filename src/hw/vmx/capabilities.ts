import { MSR } from '../../isa/msrs';
import { CR0, CR4 } from '../../isa/flags';
import { ENTRY_CTL, EXIT_CTL, PIN, PROC, SECONDARY } from '../../isa/vmcs-controls';
import { VMCS_FIELDS, fieldIndex } from '../../isa/vmcs-fields';

/** What VMX must know of the CPU model. */
export interface VmxProcessor {
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  /** 48 or 57. */
  readonly linearBits: number;
  /** 1 GiB pages, in ordinary tables as in EPT; default: offered. */
  readonly pages1g?: boolean;
  /** CR4 bits the processor supports, VMXE included. */
  readonly cr4: bigint;
  /** IA32_EFER bits the processor supports. */
  readonly efer: bigint;
}

/** The bits of a control field that must be 1 and that may be 1 (SDM vol. 3, A.2: allowed 0-settings and allowed 1-settings). */
export interface ControlBits {
  readonly mustBeOne: number;
  readonly mayBeOne: number;
}

export interface VmxCapabilities {
  readonly processor: VmxProcessor;
  /** VMCS revision identifier, 31 bits. */
  readonly revision: number;
  readonly pin: ControlBits;
  readonly proc: ControlBits;
  readonly secondary: ControlBits;
  readonly exit: ControlBits;
  readonly entry: ControlBits;
  readonly cr0Fixed0: bigint;
  readonly cr0Fixed1: bigint;
  readonly cr4Fixed0: bigint;
  readonly cr4Fixed1: bigint;
  readonly eptVpid: bigint;
  readonly misc: bigint;
  /** CR3-target values there are. */
  readonly cr3Targets: number;
  /** Entries an MSR load or store area may have; more ends as a failed load. */
  readonly maxMsrListEntries: number;
  /** Activity states beside active: a bit per state number. */
  readonly activityStates: number;
  /** The VMX capability MSR `index` (0x480–0x490), or undefined for one that does not exist. */
  msr(index: number): bigint | undefined;
}

/** "PW" and the layout's version: changes with vmcs.ts's data layout (24.2). */
const VMCS_REVISION = 0x5057_0001;

/** Controls that are 1 on every processor without the TRUE capability MSRs (A.2: the default1 class). */
const DEFAULT1 = { pin: 0x16, proc: 0x0401_e172, exit: 0x0003_6dff, entry: 0x0000_11ff } as const;
/** Members of default1 that may be 0 here, as the TRUE capability MSRs say. */
const RELAXED = {
  proc: PROC.CR3_LOAD_EXITING | PROC.CR3_STORE_EXITING,
  exit: EXIT_CTL.SAVE_DEBUG_CONTROLS,
  entry: ENTRY_CTL.LOAD_DEBUG_CONTROLS,
} as const;

const PIN_OFFERED = PIN.EXT_INTR | PIN.NMI_EXITING | PIN.VIRTUAL_NMIS | PIN.PREEMPTION_TIMER;
const PROC_OFFERED =
  PROC.INTR_WINDOW_EXITING |
  PROC.USE_TSC_OFFSETTING |
  PROC.HLT_EXITING |
  PROC.INVLPG_EXITING |
  PROC.MWAIT_EXITING |
  PROC.RDPMC_EXITING |
  PROC.RDTSC_EXITING |
  PROC.CR3_LOAD_EXITING |
  PROC.CR3_STORE_EXITING |
  PROC.CR8_LOAD_EXITING |
  PROC.CR8_STORE_EXITING |
  PROC.NMI_WINDOW_EXITING |
  PROC.MOV_DR_EXITING |
  PROC.UNCOND_IO_EXITING |
  PROC.USE_IO_BITMAPS |
  PROC.MONITOR_TRAP_FLAG |
  PROC.USE_MSR_BITMAPS |
  PROC.MONITOR_EXITING |
  PROC.PAUSE_EXITING |
  PROC.ACTIVATE_SECONDARY_CONTROLS;
const SECONDARY_OFFERED =
  SECONDARY.ENABLE_EPT |
  SECONDARY.DESC |
  SECONDARY.ENABLE_RDTSCP |
  SECONDARY.ENABLE_VPID |
  SECONDARY.WBINVD_EXITING |
  SECONDARY.UNRESTRICTED_GUEST |
  SECONDARY.ENABLE_INVPCID |
  SECONDARY.ENABLE_PML;
const EXIT_OFFERED =
  EXIT_CTL.SAVE_DEBUG_CONTROLS |
  EXIT_CTL.HOST_ADDR_SPACE_SIZE |
  EXIT_CTL.ACK_INTR_ON_EXIT |
  EXIT_CTL.SAVE_IA32_PAT |
  EXIT_CTL.LOAD_IA32_PAT |
  EXIT_CTL.SAVE_IA32_EFER |
  EXIT_CTL.LOAD_IA32_EFER |
  EXIT_CTL.SAVE_VMX_PREEMPTION_TIMER;
const ENTRY_OFFERED =
  ENTRY_CTL.LOAD_DEBUG_CONTROLS | ENTRY_CTL.IA32E_MODE | ENTRY_CTL.LOAD_IA32_PAT | ENTRY_CTL.LOAD_IA32_EFER;

/** IA32_VMX_EPT_VPID_CAP (A.10): bit positions. */
export const EPT_VPID_CAP = {
  EXECUTE_ONLY: 0,
  PAGE_WALK_4: 6,
  PAGE_WALK_5: 7,
  UC: 8,
  WB: 14,
  PAGES_2M: 16,
  PAGES_1G: 17,
  INVEPT: 20,
  AD_BITS: 21,
  INVEPT_CONTEXT: 25,
  INVEPT_GLOBAL: 26,
  INVVPID: 32,
  INVVPID_ADDRESS: 40,
  INVVPID_CONTEXT: 41,
  INVVPID_ALL: 42,
  INVVPID_CONTEXT_RETAINING_GLOBALS: 43,
} as const;

/** IA32_VMX_MISC (A.6): timer rate 0 (it counts down with each TSC tick), LMA stored by VM exits, HLT and shutdown states, 4 CR3 targets, 512 MSRs. */
const MISC_STORES_LMA = 1n << 5n;
const MISC_HLT = 1n << 6n;
const MISC_SHUTDOWN = 1n << 7n;
const MISC_CR3_TARGETS = 4n << 16n;

const msr64 = (b: ControlBits): bigint => (BigInt(b.mayBeOne >>> 0) << 32n) | BigInt(b.mustBeOne >>> 0);
const offered = (default1: number, relaxed: number, controls: number): ControlBits => ({
  mustBeOne: default1 & ~relaxed,
  mayBeOne: default1 | controls,
});
/** A capability MSR of the days before the TRUE ones: every default1 control must be 1. */
const legacy = (b: ControlBits, default1: number): bigint => msr64({ mustBeOne: default1, mayBeOne: b.mayBeOne });

/** The VMX features of a processor: what is implemented, and nothing else (SDM vol. 3, appendix A). */
export function vmxCapabilities(processor: VmxProcessor): VmxCapabilities {
  const pin = offered(DEFAULT1.pin, 0, PIN_OFFERED);
  const proc = offered(DEFAULT1.proc, RELAXED.proc, PROC_OFFERED);
  const exit = offered(DEFAULT1.exit, RELAXED.exit, EXIT_OFFERED);
  const entry = offered(DEFAULT1.entry, RELAXED.entry, ENTRY_OFFERED);
  const secondary: ControlBits = { mustBeOne: 0, mayBeOne: SECONDARY_OFFERED };
  const lacks = new Set<number>([
    ...(processor.linearBits < 57 ? [EPT_VPID_CAP.PAGE_WALK_5] : []),
    ...(processor.pages1g === false ? [EPT_VPID_CAP.PAGES_1G] : []),
  ]);
  const eptVpid = Object.values(EPT_VPID_CAP).reduce((m, n) => (lacks.has(n) ? m : m | (1n << BigInt(n))), 0n);
  const misc = MISC_STORES_LMA | MISC_HLT | MISC_SHUTDOWN | MISC_CR3_TARGETS;
  const cr0Fixed0 = (1n << BigInt(CR0.PE)) | (1n << BigInt(CR0.NE)) | (1n << BigInt(CR0.PG));
  const cr0Fixed1 = 0xffff_ffffn;
  const cr4Fixed0 = 1n << BigInt(CR4.VMXE);
  const cr4Fixed1 = processor.cr4 | cr4Fixed0;
  const highestIndex = Math.max(...VMCS_FIELDS.map((f) => fieldIndex(f.encoding)));
  // VMX_BASIC (A.1): revision, region size 4096 (44:32), WB (53:50), INS/OUTS information (54), TRUE capability MSRs (55)
  const basic = BigInt(VMCS_REVISION) | (0x1000n << 32n) | (6n << 50n) | (1n << 54n) | (1n << 55n);
  const msrs = new Map<number, bigint>([
    [MSR.VMX_BASIC, basic],
    [MSR.VMX_PINBASED_CTLS, legacy(pin, DEFAULT1.pin)],
    [MSR.VMX_PROCBASED_CTLS, legacy(proc, DEFAULT1.proc)],
    [MSR.VMX_EXIT_CTLS, legacy(exit, DEFAULT1.exit)],
    [MSR.VMX_ENTRY_CTLS, legacy(entry, DEFAULT1.entry)],
    [MSR.VMX_MISC, misc],
    [MSR.VMX_CR0_FIXED0, cr0Fixed0],
    [MSR.VMX_CR0_FIXED1, cr0Fixed1],
    [MSR.VMX_CR4_FIXED0, cr4Fixed0],
    [MSR.VMX_CR4_FIXED1, cr4Fixed1],
    [MSR.VMX_VMCS_ENUM, BigInt(highestIndex << 1)],
    [MSR.VMX_PROCBASED_CTLS2, msr64(secondary)],
    [MSR.VMX_EPT_VPID_CAP, eptVpid],
    [MSR.VMX_TRUE_PINBASED_CTLS, msr64(pin)],
    [MSR.VMX_TRUE_PROCBASED_CTLS, msr64(proc)],
    [MSR.VMX_TRUE_EXIT_CTLS, msr64(exit)],
    [MSR.VMX_TRUE_ENTRY_CTLS, msr64(entry)],
  ]);
  return {
    processor,
    revision: VMCS_REVISION,
    pin,
    proc,
    secondary,
    exit,
    entry,
    cr0Fixed0,
    cr0Fixed1,
    cr4Fixed0,
    cr4Fixed1,
    eptVpid,
    misc,
    cr3Targets: 4,
    maxMsrListEntries: 512,
    activityStates: Number((misc >> 6n) & 7n) << 1,
    msr: (index) => msrs.get(index >>> 0),
  };
}
