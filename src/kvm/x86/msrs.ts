import { MSR } from '../../isa/msrs';
import { SEG, SLOT } from '../../hw/state/layout';
import type { VcpuContext } from '../vcpu-context';
import { isCanonicalFor, kvmSetEfer } from './control-registers';
import { USER_RETURN_MSRS } from './user-return-msrs';

const RETURN_SLOTS = new Map(USER_RETURN_MSRS);
/** MSRs whose value must be a canonical address. */
const ADDRESSES: ReadonlySet<number> = new Set([
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
  MSR.LSTAR,
  MSR.CSTAR,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
]);
/** x2APIC registers as MSRs. */
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;
const M64 = 0xffff_ffff_ffff_ffffn;
/** What each of KVM's own MSRs for asynchronous page faults is. */
const ASYNC_PF = {
  [MSR.KVM_ASYNC_PF_EN]: 'EN',
  [MSR.KVM_ASYNC_PF_INT]: 'INT',
  [MSR.KVM_ASYNC_PF_ACK]: 'ACK',
} as const;
/** The one microcode revision that KVM claims on Intel. */
const BIOS_SIGN_ID = 0x1_0000_0000n;
/** Counters of P6 and K7: without a PMU for the guest they read as 0 and forget what is written (kvm_get_msr_common, kvm_set_msr_common). */
const isLegacyCounter = (msr: number): boolean =>
  msr === MSR.P6_PERFCTR0 ||
  msr === MSR.P6_PERFCTR1 ||
  msr === MSR.P6_EVNTSEL0 ||
  msr === MSR.P6_EVNTSEL1 ||
  (msr >= MSR.K7_EVNTSEL0 && msr <= MSR.K7_PERFCTR3);
/** Memory types PAT entries may have: UC, WC, WT, WP, WB, UC−. */
const PAT_TYPES: ReadonlySet<bigint> = new Set([0n, 1n, 4n, 5n, 6n, 7n]);

/** kvm_get_msr: undefined is #GP(0). */
export function kvmGetMsr(v: VcpuContext, msr: number): bigint | undefined {
  const { regs } = v;
  const slot = RETURN_SLOTS.get(msr);
  if (slot !== undefined) return regs.keptMsr(slot);
  if (isLegacyCounter(msr)) return 0n;
  switch (msr) {
    case MSR.EFER:
      return regs.efer;
    case MSR.FS_BASE:
      return regs.segment(SEG.FS).base;
    case MSR.GS_BASE:
      return regs.segment(SEG.GS).base;
    case MSR.SYSENTER_CS:
      return regs.sysenter(SLOT.SYSENTER_CS);
    case MSR.SYSENTER_ESP:
      return regs.sysenter(SLOT.SYSENTER_ESP);
    case MSR.SYSENTER_EIP:
      return regs.sysenter(SLOT.SYSENTER_EIP);
    case MSR.PAT:
      return regs.pat;
    case MSR.TSC:
      return BigInt.asUintN(64, v.hostTsc + v.ops.tscOffset);
    case MSR.APIC_BASE:
      return v.lapic.apicBase;
    case MSR.TSC_DEADLINE:
      return v.model.has('TSC_DEADLINE') ? v.lapic.timer.deadlineMsr : undefined;
    case MSR.MISC_ENABLE:
      return regs.saved.get(SLOT.MISC_ENABLE);
    case MSR.BIOS_SIGN_ID:
      return BIOS_SIGN_ID;
    case MSR.KVM_ASYNC_PF_EN:
    case MSR.KVM_ASYNC_PF_INT:
    case MSR.KVM_ASYNC_PF_ACK:
      return v.apf?.read(ASYNC_PF[msr]);
    default:
      return msr >= X2APIC_FIRST && msr <= X2APIC_LAST ? v.lapic.readMsr(msr) : undefined;
  }
}

/** kvm_set_msr: false is #GP(0). */
export function kvmSetMsr(v: VcpuContext, msr: number, value: bigint): boolean {
  const { regs } = v;
  if (ADDRESSES.has(msr) && !isCanonicalFor(v, value)) return false;
  const slot = RETURN_SLOTS.get(msr);
  if (slot !== undefined) {
    if (msr === MSR.TSC_AUX && value >> 32n !== 0n) return false;
    regs.setKeptMsr(slot, value);
    return true;
  }
  if (isLegacyCounter(msr)) return true;
  switch (msr) {
    case MSR.EFER:
      return kvmSetEfer(v, value);
    case MSR.FS_BASE:
      regs.setSegment(SEG.FS, { ...regs.segment(SEG.FS), base: value });
      return true;
    case MSR.GS_BASE:
      regs.setSegment(SEG.GS, { ...regs.segment(SEG.GS), base: value });
      return true;
    case MSR.SYSENTER_CS:
      regs.setSysenter(SLOT.SYSENTER_CS, value & 0xffff_ffffn);
      return true;
    case MSR.SYSENTER_ESP:
      regs.setSysenter(SLOT.SYSENTER_ESP, value);
      return true;
    case MSR.SYSENTER_EIP:
      regs.setSysenter(SLOT.SYSENTER_EIP, value);
      return true;
    case MSR.PAT:
      for (let i = 0n; i < 64n; i += 8n) if (!PAT_TYPES.has((value >> i) & 0xffn)) return false;
      regs.pat = value;
      return true;
    case MSR.TSC:
      v.ops.tscOffset = (value - v.hostTsc) & M64;
      return true;
    case MSR.APIC_BASE:
      if (!v.lapic.setBase(value, v.model.physicalBits, v.model.has('X2APIC'))) return false;
      regs.saved.set(SLOT.APIC_BASE, v.lapic.apicBase);
      return true;
    case MSR.TSC_DEADLINE:
      if (!v.model.has('TSC_DEADLINE')) return false;
      v.lapic.timer.setDeadline(value);
      return true;
    case MSR.MISC_ENABLE:
      regs.saved.set(SLOT.MISC_ENABLE, value);
      return true;
    case MSR.BIOS_SIGN_ID:
      return value === 0n;
    case MSR.KVM_ASYNC_PF_EN:
    case MSR.KVM_ASYNC_PF_INT:
    case MSR.KVM_ASYNC_PF_ACK:
      return v.apf?.write(ASYNC_PF[msr], value) === true;
    default:
      return msr >= X2APIC_FIRST && msr <= X2APIC_LAST && v.lapic.writeMsr(msr, value);
  }
}
