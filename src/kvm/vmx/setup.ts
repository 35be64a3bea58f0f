import type { Hpa } from '../../base/address';
import type { HostLevels } from '../../host/page-tables';
import { MSR } from '../../isa/msrs';
import { CR0, CR4, EFER } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { ENTRY_CTL, EXIT_CTL, PIN, PROC, SECONDARY } from '../../isa/vmcs-controls';
import { XCR0_MASK } from '../../isa/xstate';
import type { VmcsPort } from './vmcs-port';

/** The VM and module parameters that determine a VMCS. */
export interface VmcsSetup {
  /** Undefined: EPT is off, and the guest runs on shadow tables. */
  readonly eptp: bigint | undefined;
  /**
   * Shadow paging that leaves last-level tables unsynchronised must intercept INVLPG, and INVPCID, which the same
   * control makes exit.
   */
  readonly interceptInvlpg: boolean;
  /** 0: VPIDs are off. */
  readonly vpid: number;
  readonly msrBitmap: Hpa;
  /** CR3 of the host process that calls KVM_RUN. */
  readonly hostCr3: Hpa;
  /** Levels of the tables that CR3 names. */
  readonly hostLevels: HostLevels;
  /** Reads a VMX capability MSR (RDMSR in root mode). */
  readonly capability: (msr: number) => bigint;
}

/**
 * adjust_vmx_controls: what KVM wants, within what the capability MSR allows (low half: must be 1, high half: may be
 * 1). Every CPU model here supports the `required` bits.
 */
function adjust(wanted: number, capability: bigint): bigint {
  const mustBeOne = Number(capability & 0xffff_ffffn);
  const mayBeOne = Number(capability >> 32n);
  return BigInt(((wanted & mayBeOne) | mustBeOne) >>> 0);
}

const PIN_WANTED = PIN.EXT_INTR | PIN.NMI_EXITING | PIN.VIRTUAL_NMIS;
/** With EPT neither INVLPG nor CR3 accesses exit; without an in-kernel APIC there is no TPR shadow, so CR8 accesses do. */
const PROC_WANTED =
  PROC.HLT_EXITING |
  PROC.CR8_LOAD_EXITING |
  PROC.CR8_STORE_EXITING |
  PROC.UNCOND_IO_EXITING |
  PROC.MOV_DR_EXITING |
  PROC.USE_TSC_OFFSETTING |
  PROC.MWAIT_EXITING |
  PROC.MONITOR_EXITING |
  PROC.RDPMC_EXITING |
  PROC.USE_MSR_BITMAPS |
  PROC.ACTIVATE_SECONDARY_CONTROLS;
const SECONDARY_WANTED =
  SECONDARY.ENABLE_EPT |
  SECONDARY.UNRESTRICTED_GUEST |
  SECONDARY.WBINVD_EXITING |
  SECONDARY.ENABLE_RDTSCP |
  SECONDARY.ENABLE_INVPCID;
const EXIT_WANTED =
  EXIT_CTL.SAVE_DEBUG_CONTROLS |
  EXIT_CTL.HOST_ADDR_SPACE_SIZE |
  EXIT_CTL.LOAD_IA32_PAT |
  EXIT_CTL.LOAD_IA32_EFER |
  EXIT_CTL.ACK_INTR_ON_EXIT;
const ENTRY_WANTED = ENTRY_CTL.LOAD_DEBUG_CONTROLS | ENTRY_CTL.LOAD_IA32_PAT | ENTRY_CTL.LOAD_IA32_EFER;

/**
 * vmx_update_exception_bitmap with EPT: #UD (KVM emulates what a CPU lacks), #DB (it keeps DR6), #AC (so a guest
 * cannot loop on it) and #MC. #PF is left to the guest.
 */
const EXCEPTION_BITMAP = (1 << VECTOR.UD) | (1 << VECTOR.DB) | (1 << VECTOR.AC) | (1 << VECTOR.MC);

const b = (...bits: readonly number[]): bigint => bits.reduce((m, n) => m | (1n << BigInt(n)), 0n);

/** KVM_POSSIBLE_CR0_GUEST_BITS and KVM_POSSIBLE_CR4_GUEST_BITS: bits that a guest under EPT changes without an exit. */
const CR0_GUEST_OWNED = b(CR0.TS, CR0.WP);
const CR4_GUEST_OWNED = b(CR4.PVI, CR4.DE, CR4.PCE, CR4.OSFXSR, CR4.OSXMMEXCPT, CR4.PGE, CR4.TSD, CR4.FSGSBASE);
/** Under shadow paging, KVM controls write protection and global pages. */
const CR0_GUEST_OWNED_SHADOW = b(CR0.TS);
const CR4_GUEST_OWNED_SHADOW = CR4_GUEST_OWNED & ~b(CR4.PGE);
/**
 * KVM_VM_CR0_ALWAYS_ON_UNRESTRICTED_GUEST and KVM_VM_CR4_ALWAYS_ON_UNRESTRICTED_GUEST: set in the hardware's
 * registers whatever the guest sets.
 */
export const CR0_ALWAYS_ON = b(CR0.NE);
export const CR0_ALWAYS_OFF = b(CR0.NW, CR0.CD);
export const CR4_ALWAYS_ON = b(CR4.VMXE);

/**
 * KVM_VM_CR0_ALWAYS_ON and KVM_PMODE_VM_CR4_ALWAYS_ON: shadow tables are always in use, in a 64-bit format, whether
 * or not the guest has paging enabled.
 */
export const CR0_ALWAYS_ON_SHADOW = b(CR0.NE, CR0.WP, CR0.PG, CR0.PE);
export const CR4_ALWAYS_ON_SHADOW = b(CR4.VMXE, CR4.PAE);
/** Bits without effect while the guest has paging off, which would take effect since hardware pages all the same. */
export const CR4_PAGING_ONLY = b(CR4.SMEP, CR4.SMAP, CR4.PKE, CR4.PCIDE);

/** The host kernel's own control registers while it runs KVM. */
export const HOST_CR0 = b(CR0.PE, CR0.MP, CR0.ET, CR0.NE, CR0.WP, CR0.AM, CR0.PG);
const HOST_CR4 = b(CR4.DE, CR4.PSE, CR4.PAE, CR4.PGE, CR4.VMXE, CR4.PCIDE, CR4.SMEP, CR4.SMAP, CR4.FSGSBASE);
/** `levels`: of the host's tables. */
export const hostCr4 = (levels: HostLevels): bigint => (levels === 5 ? HOST_CR4 | b(CR4.LA57) : HOST_CR4);
export const HOST_EFER = b(EFER.SCE, EFER.LME, EFER.LMA, EFER.NXE);
export const HOST_XCR0 = XCR0_MASK;
export const HOST_PAT = 0x0407_0506_0007_0106n;
/** Selectors of Linux's GDT (arch/x86/include/asm/segment.h). */
const HOST_SELECTORS = { cs: 0x10, ss: 0x18, tr: 0x40 } as const;
/**
 * Where the host's code and tables would be: KVM here is not machine code, so these are addresses in Linux's layout
 * (Documentation/arch/x86/x86_64/mm.rst) that are never fetched.
 */
export const HOST_PLACES = {
  vmxVmexit: 0xffff_ffff_c0a0_1000n,
  stack: 0xffff_c900_0001_3e00n,
  gsBase: 0xffff_8880_3fc0_0000n,
  gdt: 0xffff_fe00_0000_1000n,
  idt: 0xffff_fe00_0000_0000n,
  tss: 0xffff_fe00_0000_3000n,
  sysenter: 0xffff_ffff_81e0_0190n,
} as const;

/** init_vmcs and vmx_set_constant_host_state (arch/x86/kvm/vmx/vmx.c). Guest state is set by KVM_SET_REGS and KVM_SET_SREGS afterwards. */
export function initVmcs(vmcs: VmcsPort, s: VmcsSetup): void {
  vmcs.write('PIN_BASED_VM_EXEC_CONTROL', adjust(PIN_WANTED, s.capability(MSR.VMX_TRUE_PINBASED_CTLS)));
  const ept = s.eptp !== undefined;
  const proc =
    PROC_WANTED |
    (ept ? 0 : PROC.CR3_LOAD_EXITING | PROC.CR3_STORE_EXITING | (s.interceptInvlpg ? PROC.INVLPG_EXITING : 0));
  const secondary = ept
    ? SECONDARY_WANTED
    : SECONDARY_WANTED &
      ~(SECONDARY.ENABLE_EPT | SECONDARY.UNRESTRICTED_GUEST | (s.interceptInvlpg ? 0 : SECONDARY.ENABLE_INVPCID));
  vmcs.write('CPU_BASED_VM_EXEC_CONTROL', adjust(proc, s.capability(MSR.VMX_TRUE_PROCBASED_CTLS)));
  vmcs.write(
    'SECONDARY_VM_EXEC_CONTROL',
    adjust(secondary | (s.vpid ? SECONDARY.ENABLE_VPID : 0), s.capability(MSR.VMX_PROCBASED_CTLS2)),
  );
  vmcs.write('VM_EXIT_CONTROLS', adjust(EXIT_WANTED, s.capability(MSR.VMX_TRUE_EXIT_CTLS)));
  vmcs.write('VM_ENTRY_CONTROLS', adjust(ENTRY_WANTED, s.capability(MSR.VMX_TRUE_ENTRY_CTLS)));

  vmcs.write('EXCEPTION_BITMAP', BigInt(ept ? EXCEPTION_BITMAP : EXCEPTION_BITMAP | (1 << VECTOR.PF)));
  vmcs.write('PAGE_FAULT_ERROR_CODE_MASK', 0n);
  vmcs.write('PAGE_FAULT_ERROR_CODE_MATCH', 0n);
  vmcs.write('CR3_TARGET_COUNT', 0n);
  vmcs.write('MSR_BITMAP', s.msrBitmap);
  if (s.eptp !== undefined) vmcs.write('EPT_POINTER', s.eptp);
  if (s.vpid) vmcs.write('VIRTUAL_PROCESSOR_ID', BigInt(s.vpid));
  vmcs.write('TSC_OFFSET', 0n);
  vmcs.write('CR0_GUEST_HOST_MASK', BigInt.asUintN(64, ~(ept ? CR0_GUEST_OWNED : CR0_GUEST_OWNED_SHADOW)));
  vmcs.write('CR4_GUEST_HOST_MASK', BigInt.asUintN(64, ~(ept ? CR4_GUEST_OWNED : CR4_GUEST_OWNED_SHADOW)));
  vmcs.write('VMCS_LINK_POINTER', 0xffff_ffff_ffff_ffffn);
  for (const count of ['VM_EXIT_MSR_STORE_COUNT', 'VM_EXIT_MSR_LOAD_COUNT', 'VM_ENTRY_MSR_LOAD_COUNT'] as const)
    vmcs.write(count, 0n);
  vmcs.write('VM_ENTRY_INTR_INFO_FIELD', 0n);

  vmcs.write('GUEST_IA32_DEBUGCTL', 0n);
  vmcs.write('GUEST_PENDING_DBG_EXCEPTIONS', 0n);
  vmcs.write('GUEST_INTERRUPTIBILITY_INFO', 0n);
  vmcs.write('GUEST_ACTIVITY_STATE', 0n);

  vmcs.write('HOST_CR0', HOST_CR0);
  vmcs.write('HOST_CR3', s.hostCr3);
  vmcs.write('HOST_CR4', hostCr4(s.hostLevels));
  vmcs.write('HOST_IA32_EFER', HOST_EFER);
  vmcs.write('HOST_IA32_PAT', HOST_PAT);
  vmcs.write('HOST_CS_SELECTOR', BigInt(HOST_SELECTORS.cs));
  vmcs.write('HOST_SS_SELECTOR', BigInt(HOST_SELECTORS.ss));
  vmcs.write('HOST_TR_SELECTOR', BigInt(HOST_SELECTORS.tr));
  for (const null0 of [
    'HOST_DS_SELECTOR',
    'HOST_ES_SELECTOR',
    'HOST_FS_SELECTOR',
    'HOST_GS_SELECTOR',
    'HOST_FS_BASE',
  ] as const)
    vmcs.write(null0, 0n);
  vmcs.write('HOST_GS_BASE', HOST_PLACES.gsBase);
  vmcs.write('HOST_TR_BASE', HOST_PLACES.tss);
  vmcs.write('HOST_GDTR_BASE', HOST_PLACES.gdt);
  vmcs.write('HOST_IDTR_BASE', HOST_PLACES.idt);
  vmcs.write('HOST_IA32_SYSENTER_CS', BigInt(HOST_SELECTORS.cs));
  vmcs.write('HOST_IA32_SYSENTER_ESP', HOST_PLACES.stack);
  vmcs.write('HOST_IA32_SYSENTER_EIP', HOST_PLACES.sysenter);
  vmcs.write('HOST_RSP', HOST_PLACES.stack);
  vmcs.write('HOST_RIP', HOST_PLACES.vmxVmexit);
}

/**
 * The MSR bitmap (SDM vol. 3, 24.6.9): 4 KiB, one bit per MSR and direction, 1 = exit:
 *
 *   0x000 reads of 0–1fff   0x400 reads of c0000000–c0001fff   0x800 writes of 0–1fff   0xc00 writes of c0000000–c0001fff
 */
export function msrBitmapPosition(
  msr: number,
  write: boolean,
): { readonly byte: number; readonly bit: number } | undefined {
  const low = msr >>> 0 < 0x2000;
  const high = msr >>> 0 >= 0xc000_0000 && msr >>> 0 < 0xc000_2000;
  if (!low && !high) return undefined;
  const n = msr & 0x1fff;
  return { byte: (write ? 0x800 : 0) + (high ? 0x400 : 0) + (n >> 3), bit: n & 7 };
}

/** MSRs that KVM passes through to a guest: read-only, and in both directions (vmx_vcpu_create). */
export const PASSTHROUGH_READ = [MSR.TSC] as const;
export const PASSTHROUGH = [
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
  MSR.SYSENTER_CS,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
] as const;
