import { because } from '../../isa/reasons/index';
import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { CR4, RFLAGS } from '../../isa/flags';
import { earlier } from '../async-pf';
import { xsetbvRefusal } from '../../hw/cpu/system/control';
import { CPUID_FAULT_ENABLE } from '../../hw/cpu/system/model-msrs';
import { msrRefusal } from '../../hw/cpu/system/msr-refusal';
import { SLOT } from '../../hw/state/layout';
import { msrName } from '../../isa/msrs';
import { cost } from '../../trace/costs';
import { runtimeCpuid } from '../x86/cpuid';
import { kvmGetMsr, kvmSetMsr } from '../x86/msrs';
import { REENTER, toUserspace } from '../userspace-exit';
import type { ExitHandler } from './handler';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;

/**
 * kvm_emulate_cpuid: EAX and ECX select the leaf, the answers zero the upper halves. With CPUID faulting enabled,
 * only CPL 0 is answered.
 */
export const handleCpuid: ExitHandler = function* (v) {
  if ((v.saved.get(SLOT.MISC_FEATURES_ENABLES) & CPUID_FAULT_ENABLE) !== 0n && v.regs.cpl !== 0) {
    v.injectGp(because('cpuid-faulting', v.regs.cpl));
    yield v.step(
      'kvm_emulate_cpuid',
      'CPUID above CPL 0, and MISC_FEATURES_ENABLES has CPUID faulting on: #GP(0)',
      cost('kvmHandler'),
    );
    return REENTER;
  }
  const leaf = v.regs.gpr32(RAX);
  const subleaf = v.regs.gpr32(RCX);
  const [eax, ebx, ecx, edx] = runtimeCpuid(
    leaf,
    v.model.leaf(leaf, subleaf),
    v.lapic.enabled,
    bit(v.regs.cr4, CR4.OSXSAVE),
  );
  v.regs.setGpr32(RAX, eax);
  v.regs.setGpr32(RBX, ebx);
  v.regs.setGpr32(RCX, ecx);
  v.regs.setGpr32(RDX, edx);
  v.skipEmulatedInstruction();
  yield v.step(
    'kvm_emulate_cpuid',
    `CPUID leaf ${hex(leaf)}, subleaf ${hex(subleaf)}: ${hex(eax)} ${hex(ebx)} ${hex(ecx)} ${hex(edx)}`,
    cost('kvmHandler'),
  );
  return REENTER;
};

const nameOf = (msr: number): string => msrName(msr) ?? hex(msr);

export const handleRdmsr: ExitHandler = function* (v) {
  const msr = v.regs.gpr32(RCX);
  const value = kvmGetMsr(v, msr);
  if (value === undefined) {
    v.injectGp(because('msr-unknown', msr));
    yield v.step('kvm_emulate_rdmsr', `RDMSR ${nameOf(msr)}: there is none, #GP(0)`, cost('kvmHandler'));
    return REENTER;
  }
  v.regs.setGpr32(RAX, Number(value & 0xffff_ffffn));
  v.regs.setGpr32(RDX, Number(value >> 32n));
  v.skipEmulatedInstruction();
  yield v.step('kvm_emulate_rdmsr', `RDMSR ${nameOf(msr)}: ${hex(value)}`, cost('kvmHandler'));
  return REENTER;
};

export const handleWrmsr: ExitHandler = function* (v) {
  const msr = v.regs.gpr32(RCX);
  const value = (BigInt(v.regs.gpr32(RDX)) << 32n) | BigInt(v.regs.gpr32(RAX));
  const accepted = kvmSetMsr(v, msr, value);
  if (accepted === true) v.skipEmulatedInstruction();
  else v.injectGp(accepted || msrRefusal(msr, value, kvmGetMsr(v, msr) !== undefined));
  yield v.step(
    'kvm_emulate_wrmsr',
    `WRMSR ${nameOf(msr)}: ${hex(value)}${accepted === true ? '' : ' is refused, #GP(0)'}`,
    cost('kvmHandler'),
  );
  return REENTER;
};

/**
 * kvm_emulate_halt and kvm_vcpu_block: the VCPU sleeps until an interrupt that it can take, or an NMI. Time skips to
 * the timer's expiry. If nothing will ever wake it, KVM's thread would sleep forever; here control returns to user
 * space so the run ends.
 */
export const handleHlt: ExitHandler = function* (v) {
  v.skipEmulatedInstruction();
  v.stats.add('halt_exits');
  yield v.step('kvm_emulate_halt', 'the guest halts', cost('kvmHandler'));
  const mayWake = bit(v.regs.rflags, RFLAGS.IF);
  while (!v.events.runnable(v.regs, v.lapic)) {
    const timer = mayWake && v.lapic.timerUnmasked ? v.lapic.timer.deadline : undefined;
    const wake = earlier(timer, v.apf?.deadline);
    if (wake === undefined) return toUserspace({ reason: 'KVM_EXIT_HLT' });
    v.passTimeUntil(wake);
    v.lapic.checkTimer();
    yield v.step(
      'kvm_vcpu_block',
      wake === timer ? "sleeps until the local APIC's timer fires" : 'sleeps until a worker of the host has a page',
      cost('kvmHandler'),
    );
    // a ready page makes the VCPU runnable, whatever interrupts the guest accepts
    if (v.apf && (yield* v.apf.check())) return REENTER;
    // an interrupt with too low a priority does not wake the guest, and a periodic timer only raises the same one
    // again
    if (wake === timer && !v.events.runnable(v.regs, v.lapic)) return toUserspace({ reason: 'KVM_EXIT_HLT' });
  }
  return REENTER;
};

const KVM_EPERM = 1n;
const KVM_ENOSYS = 1000n;
const KVM_HC_VAPIC_POLL_IRQ = 1n;

/** kvm_emulate_hypercall: the number and the result in RAX. Paravirtual hypercalls are not offered. */
export const handleVmcall: ExitHandler = function* (v) {
  const long = v.regs.mode64;
  const number = long ? v.regs.gpr(RAX) : BigInt.asUintN(32, v.regs.gpr(RAX));
  const result = v.regs.cpl !== 0 ? -KVM_EPERM : number === KVM_HC_VAPIC_POLL_IRQ ? 0n : -KVM_ENOSYS;
  v.regs.setGpr(RAX, long ? result : BigInt.asUintN(32, result));
  v.stats.add('hypercalls');
  v.skipEmulatedInstruction();
  yield v.step('kvm_emulate_hypercall', `hypercall ${hex(number)} returns ${result}`, cost('kvmHandler'));
  return REENTER;
};

/** Instructions that are no-ops for such a guest: INVD, WBINVD, MONITOR, MWAIT, PAUSE. */
export const handleNop: ExitHandler = function* (v) {
  v.skipEmulatedInstruction();
  yield v.step('kvm_emulate_as_nop', 'the instruction has no effect under KVM', cost('kvmHandler'));
  return REENTER;
};

/**
 * handle_xsetbv, kvm_emulate_xsetbv, __kvm_set_xcr: XCR0 must have the x87 bit and no bit that the guest's CPUID
 * omits. The CPU has checked CPL and CR4.OSXSAVE.
 */
export const handleXsetbv: ExitHandler = function* (v) {
  const value = (BigInt(v.regs.gpr32(RDX)) << 32n) | BigInt(v.regs.gpr32(RAX));
  const refused = xsetbvRefusal(v.regs.gpr32(RCX), value);
  if (!refused) {
    v.regs.saved.set(SLOT.XCR0, value);
    v.skipEmulatedInstruction();
  } else v.injectGp(refused);
  yield v.step(
    'kvm_emulate_xsetbv',
    `XSETBV: XCR0 ${hex(value)}${refused ? ' is refused, #GP(0)' : ''}`,
    cost('kvmHandler'),
  );
  return REENTER;
};

/** RDPMC without a virtual PMU. */
export const handleGp: ExitHandler = function* (v) {
  v.injectGp(because('no-counter', v.regs.gpr32(RCX)));
  yield v.step('kvm_complete_insn_gp', 'the guest has no such feature: #GP(0)', cost('kvmHandler'));
  return REENTER;
};

/** handle_vmx_instruction: VMX is not offered to the guest. */
export const handleVmxInstruction: ExitHandler = function* (v) {
  v.injectUd(because('vmx-not-offered'));
  yield v.step('handle_vmx_instruction', 'VMX is not offered to the guest: #UD', cost('kvmHandler'));
  return REENTER;
};
