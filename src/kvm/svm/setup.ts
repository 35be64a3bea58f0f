import type { Hpa } from '../../base/address';
import type { HostLevels } from '../../host/page-tables';
import { decodeControls, type PagingControls, type PagingModel } from '../../hw/paging/controls';
import { MSR } from '../../isa/msrs';
import { CR0, CR4, EFER } from '../../isa/flags';
import { VECTOR } from '../../isa/exceptions';
import { SVM_EXIT } from '../../isa/svm-exits';
import { VINTR } from '../../isa/vmcb-fields';
import type { VmcbPort } from './vmcb-port';

const b = (...bits: readonly number[]): bigint => bits.reduce((m, n) => m | (1n << BigInt(n)), 0n);
/** Bits of intercept words 3 and 4 by exit code. */
const word3 = (...codes: readonly number[]): bigint => b(...codes.map((c) => c - SVM_EXIT.INTR));
const word4 = (...codes: readonly number[]): bigint => b(...codes.map((c) => c - SVM_EXIT.VMRUN));

/** The host kernel's control registers while it runs KVM on SVM: as on VMX, with EFER.SVME in place of CR4.VMXE. */
export const SVM_HOST_CR0 = b(CR0.PE, CR0.MP, CR0.ET, CR0.NE, CR0.WP, CR0.AM, CR0.PG);
const SVM_HOST_CR4 = b(CR4.DE, CR4.PSE, CR4.PAE, CR4.PGE, CR4.PCIDE, CR4.SMEP, CR4.SMAP, CR4.FSGSBASE);
export const SVM_HOST_EFER = b(EFER.SCE, EFER.LME, EFER.LMA, EFER.NXE, EFER.SVME);

/** `levels`: of the host's tables. */
export const svmHostCr4 = (levels: HostLevels): bigint => (levels === 5 ? SVM_HOST_CR4 | b(CR4.LA57) : SVM_HOST_CR4);

/** The host's paging, whose format nested tables have. */
export const hostPaging = (model: PagingModel, levels: HostLevels): PagingControls =>
  decodeControls(SVM_HOST_CR0, svmHostCr4(levels), SVM_HOST_EFER, 0, model);

/** Reads and writes of DR0 to DR7 (set_dr_intercepts). */
export const DR_INTERCEPTS = 0x00ff_00ffn;
/** Control-register intercepts other than CR0's, which svm_set_cr0 manages: with nested paging the guest owns CR3. */
const CR4_INTERCEPTS = b(4, 16 + 4);
export const CR0_INTERCEPTS = b(0, 16);

/** init_vmcb (arch/x86/kvm/svm/svm.c) with nested paging. Guest state is set by KVM_SET_REGS and KVM_SET_SREGS afterwards. */
export function initVmcb(
  vmcb: VmcbPort,
  s: { readonly iopm: Hpa; readonly msrpm: Hpa; readonly asid: number; readonly ncr3: bigint },
): void {
  vmcb.write('INTERCEPT_CR', CR4_INTERCEPTS | CR0_INTERCEPTS);
  vmcb.write('INTERCEPT_DR', DR_INTERCEPTS);
  vmcb.write('INTERCEPT_EXCEPTION', b(VECTOR.UD, VECTOR.DB, VECTOR.AC, VECTOR.MC));
  const { INTR, NMI, SMI, CR0_SEL_WRITE, RDPMC, CPUID, RSM, INVD, HLT, INVLPGA, IOIO, MSR: MSR_PROT } = SVM_EXIT;
  vmcb.write(
    'INTERCEPT_MISC1',
    word3(
      ...[INTR, NMI, SMI, CR0_SEL_WRITE, RDPMC, CPUID, RSM, INVD, HLT, INVLPGA, IOIO, MSR_PROT],
      SVM_EXIT.TASK_SWITCH,
      SVM_EXIT.SHUTDOWN,
    ),
  );
  const { VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, WBINVD, XSETBV, MONITOR, MWAIT, RDPRU } = SVM_EXIT;
  vmcb.write(
    'INTERCEPT_MISC2',
    word4(VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, WBINVD, XSETBV, MONITOR, MWAIT, RDPRU),
  );
  vmcb.write('INTERCEPT_MISC3', 0n);
  vmcb.write('IOPM_BASE_PA', s.iopm);
  vmcb.write('MSRPM_BASE_PA', s.msrpm);
  vmcb.write('TSC_OFFSET', 0n);
  vmcb.write('GUEST_ASID', BigInt(s.asid));
  vmcb.write('VINTR', VINTR.MASKING | VINTR.NMI_ENABLE);
  vmcb.write('NP_CONTROL', 1n);
  vmcb.write('N_CR3', s.ncr3);
}

/**
 * The MSR permission map (APM vol. 2, 15.11): two bits per MSR, read and write, 1 = exit, for three ranges of 0x2000:
 *
 *   0x000 MSRs 0–1fff   0x800 c0000000–c0001fff   0x1000 c0010000–c0011fff
 */
export const MSRPM_BYTES = 0x2000;
export const IOPM_BYTES = 0x3000;
export function msrpmBit(msr: number): number {
  const range = msr < 0x2000 ? 0 : msr < 0xc001_0000 ? 1 : 2;
  return range * 0x800 * 8 + (msr & 0x1fff) * 2;
}
/** direct_access_msrs: no exits for these in either direction; TSC may be read. */
export const SVM_PASSTHROUGH = [
  MSR.STAR,
  MSR.SYSENTER_CS,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
  MSR.LSTAR,
  MSR.CSTAR,
  MSR.SFMASK,
] as const;
