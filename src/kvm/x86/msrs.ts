import { isValidPat } from '../../hw/cpu/system/memory-types';
import { withoutReserved } from '../../hw/cpu/system/msr-refusal';
import { PLAIN_MSRS } from '../../hw/cpu/system/model-msrs';
import { because, type FaultReason } from '../../isa/reasons/index';
import { SEG, SLOT } from '../../hw/state/layout';
import { MSR } from '../../isa/msrs';
import { SVM_MSRS } from '../svm/msrs';
import type { Vcpu } from '../vcpu';
import { VMX_MSRS } from '../vmx/msrs';
import { isCanonicalFor, kvmSetEfer } from './control-registers';
import type { KvmMsr, KvmMsrs } from './kvm-msr';
import { PV_MSRS, updateSystemTime } from './pv-msrs';
import type { SysenterSlot } from './registers';
import { USER_RETURN_MSRS } from './user-return-msrs';

/** x2APIC registers as MSRs. */
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;
/** MSRs whose value must be a canonical address (__kvm_set_msr). */
const ADDRESSES: ReadonlySet<number> = new Set([MSR.FS_BASE, MSR.GS_BASE, MSR.KERNEL_GS_BASE, MSR.LSTAR, MSR.CSTAR]);
/**
 * Bits of IA32_MISC_ENABLE: writes do not change performance monitoring (7); the guest cannot change that BTS (11)
 * and PEBS (12) are unavailable.
 */
const MISC_ENABLE_EMON = 1n << 7n;
const MISC_ENABLE_PMU = (1n << 11n) | (1n << 12n);

const segmentBase = (segment: number): KvmMsr => ({
  read: ({ regs }) => regs.segment(segment).base,
  write({ regs }, base) {
    regs.setSegment(segment, { ...regs.segment(segment), base });
    return true;
  },
});
const sysenter = (slot: SysenterSlot, value: (v: Vcpu, written: bigint) => bigint): KvmMsr => ({
  read: ({ regs }) => regs.sysenter(slot),
  write(v, written) {
    v.regs.setSysenter(slot, value(v, written));
    return true;
  },
});
/** Intel rejects a non-canonical address, AMD does not check: KVM makes it canonical (__kvm_set_msr). */
const canonicalized = ({ model }: Vcpu, address: bigint): bigint =>
  BigInt.asUintN(64, BigInt.asIntN(model.linearBits, address));

const asyncPf = (which: 'EN' | 'INT' | 'ACK'): KvmMsr => ({
  read: ({ apf }) => apf?.read(which),
  write: ({ apf }, value) => apf?.write(which, value) === true,
});

/** kvm_get_msr_common and kvm_set_msr_common, for MSRs that are more than a register. */
const COMMON: KvmMsrs = new Map<number, KvmMsr>([
  ...USER_RETURN_MSRS.map(([msr, slot]): [number, KvmMsr] => [
    msr,
    {
      read: ({ regs }) => regs.keptMsr(slot),
      write({ regs, model }, value) {
        // the upper half is reserved on Intel processors and dropped by AMD's
        if (msr === MSR.TSC_AUX && model.vendor === 'intel') {
          const allowed = withoutReserved(msr, value, 0xffff_ffff_0000_0000n);
          if (allowed !== true) return allowed;
        }
        regs.setKeptMsr(slot, msr === MSR.TSC_AUX ? value & 0xffff_ffffn : value);
        return true;
      },
    },
  ]),
  [MSR.EFER, { read: ({ regs }) => regs.efer, write: kvmSetEfer }],
  [MSR.FS_BASE, segmentBase(SEG.FS)],
  [MSR.GS_BASE, segmentBase(SEG.GS)],
  [MSR.SYSENTER_CS, sysenter(SLOT.SYSENTER_CS, (_, value) => value & 0xffff_ffffn)],
  [MSR.SYSENTER_ESP, sysenter(SLOT.SYSENTER_ESP, canonicalized)],
  [MSR.SYSENTER_EIP, sysenter(SLOT.SYSENTER_EIP, canonicalized)],
  [
    MSR.PAT,
    {
      read: ({ regs }) => regs.pat,
      write({ regs }, value) {
        if (!isValidPat(value)) return false;
        regs.pat = value;
        return true;
      },
    },
  ],
  [
    MSR.TSC,
    {
      read: (v) => BigInt.asUintN(64, v.hostTsc + v.ops.tscOffset),
      write(v, value) {
        const offset = BigInt.asUintN(64, value - v.hostTsc);
        const adjust = v.saved.get(SLOT.TSC_ADJUST) + offset - v.ops.tscOffset;
        v.saved.set(SLOT.TSC_ADJUST, BigInt.asUintN(64, adjust));
        v.ops.tscOffset = offset;
        updateSystemTime(v);
        return true;
      },
    },
  ],
  // without the CPUID bit it can be read, and writes are dropped
  [MSR.TSC_ADJUST, { read: (v) => v.saved.get(SLOT.TSC_ADJUST), write: () => true }],
  [
    MSR.APIC_BASE,
    {
      read: (v) => v.lapic.apicBase,
      write(v, value) {
        const set = v.lapic.setBase(value, v.model.physicalBits, v.model.has('X2APIC'));
        if (set !== true) return set;
        v.saved.set(SLOT.APIC_BASE, v.lapic.apicBase);
        return true;
      },
    },
  ],
  [
    MSR.TSC_DEADLINE,
    {
      read: (v) => (v.model.has('TSC_DEADLINE') ? v.lapic.timer.deadlineMsr : undefined),
      write(v, value) {
        if (!v.model.has('TSC_DEADLINE')) return false;
        v.lapic.timer.setDeadline(value);
        return true;
      },
    },
  ],
  [
    MSR.MISC_ENABLE,
    {
      read: (v) => v.saved.get(SLOT.MISC_ENABLE),
      write(v, value) {
        const now = v.saved.get(SLOT.MISC_ENABLE);
        if (((value ^ now) & MISC_ENABLE_PMU) !== 0n) return because('misc-enable-pmu', value ^ now);
        v.saved.set(SLOT.MISC_ENABLE, (value & ~MISC_ENABLE_EMON) | (now & MISC_ENABLE_EMON));
        return true;
      },
    },
  ],
  ...PV_MSRS,
  [MSR.KVM_ASYNC_PF_EN, asyncPf('EN')],
  [MSR.KVM_ASYNC_PF_INT, asyncPf('INT')],
  [MSR.KVM_ASYNC_PF_ACK, asyncPf('ACK')],
]);

/** MSRs that VMX or SVM answers in its own way are tried first (kvm_x86_ops.get_msr, set_msr). */
const OF_EXTENSION = { vmx: VMX_MSRS, svm: SVM_MSRS } as const;

const isX2apic = (msr: number): boolean => msr >= X2APIC_FIRST && msr <= X2APIC_LAST;

/** kvm_get_msr: undefined is #GP(0). */
export function kvmGetMsr(v: Vcpu, msr: number): bigint | undefined {
  const own = OF_EXTENSION[v.ops.name].get(msr) ?? COMMON.get(msr);
  if (own) return own.read(v);
  return isX2apic(msr) ? v.lapic.readMsr(msr) : PLAIN_MSRS.get(msr)?.read(v.saved);
}

/** kvm_set_msr: any result but true is #GP(0); false if nothing more is known than that the value is rejected. */
export function kvmSetMsr(v: Vcpu, msr: number, value: bigint): boolean | FaultReason {
  if (ADDRESSES.has(msr) && !isCanonicalFor(v, value)) return false;
  const own = OF_EXTENSION[v.ops.name].get(msr) ?? COMMON.get(msr);
  if (own) return own.write(v, value);
  return isX2apic(msr) ? v.lapic.writeMsr(msr, value) : (PLAIN_MSRS.get(msr)?.write(v.saved, value, v.model) ?? false);
}
