import type { SegmentCache } from '../../hw/state/cpu-state';
import { resetMachineCheck } from '../../hw/cpu/system/machine-check';
import { SEG, SLOT } from '../../hw/state/layout';
import type { Vcpu } from '../vcpu';
import { loadPdptrs } from './control-registers';
import { bit } from '../../base/bits';
import { CR0, CR4, EFER } from '../../isa/flags';

/** struct kvm_regs and struct kvm_sregs in one: everything a VMM sets before the first KVM_RUN. */
export interface Sregs {
  /** By encoding; absent ones are zero. */
  readonly gprs: Readonly<Record<number, bigint>>;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly cs: SegmentCache;
  readonly ss: SegmentCache;
  /** DS, ES, FS and GS. */
  readonly data: SegmentCache;
  readonly ldtr: SegmentCache;
  readonly tr: SegmentCache;
  readonly gdtr: { readonly base: bigint; readonly limit: number };
  readonly idtr: { readonly base: bigint; readonly limit: number };
}

/** PAT and DR6, DR7 after reset (SDM vol. 3, 9.1.1 and 11.12.4). */
const RESET_PAT = 0x0007_0406_0007_0406n;
const RESET_DR6 = 0xffff_0ff0n;
const RESET_DR7 = 0x400n;

/** kvm_arch_vcpu_ioctl_set_regs and set_sregs. EFER before CR0, so its LMA has the VMM's value. */
function loadSregs(v: Vcpu, s: Sregs): void {
  const { regs, ops } = v;
  regs.saved.r.fill(0n);
  for (const [index, value] of Object.entries(s.gprs)) regs.setGpr(Number(index), value);
  if (s.gprs[4] === undefined) regs.setGpr(4, 0n);
  regs.rip = s.rip;
  regs.rflags = s.rflags | 2n;
  regs.cr3 = s.cr3;
  ops.setEfer(s.efer);
  ops.setCr0(s.cr0);
  ops.setCr4(s.cr4);
  regs.setSegment(SEG.CS, s.cs);
  regs.setSegment(SEG.SS, s.ss);
  for (const i of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) regs.setSegment(i, s.data);
  regs.setSegment(SEG.LDTR, s.ldtr);
  regs.setSegment(SEG.TR, s.tr);
  regs.gdtr = s.gdtr;
  regs.idtr = s.idtr;
  for (const slot of [SLOT.SYSENTER_CS, SLOT.SYSENTER_ESP, SLOT.SYSENTER_EIP]) regs.setSysenter(slot, 0n);
  regs.dr7 = RESET_DR7;
  regs.pat = RESET_PAT;
  regs.saved.set(SLOT.DR6, RESET_DR6);
  regs.saved.set(SLOT.PAT, RESET_PAT);
  regs.saved.set(SLOT.XCR0, 1n);
  // fpu_init_fpstate_user: x87 as after FNINIT, SSE exceptions masked
  regs.saved.set(SLOT.FCW, 0x37fn);
  regs.saved.set(SLOT.MXCSR, 0x1f80n);
  regs.saved.set(SLOT.MISC_ENABLE, 1n);
  // KVM_X86_SETUP_MCE
  resetMachineCheck(regs.saved);
  regs.saved.set(SLOT.APIC_BASE, v.lapic.apicBase);
  if (bit(s.cr0, CR0.PG) && bit(s.cr4, CR4.PAE) && !bit(s.efer, EFER.LMA)) loadPdptrs(v, s.cr3);
}

/** KVM_SET_REGS and KVM_SET_SREGS before the first entry. */
export function setRegisters(v: Vcpu, sregs: Sregs): void {
  loadSregs(v, sregs);
  v.ops.takeAccesses();
}

/**
 * Writes edited registers back: general ones, RIP, RFLAGS, CR2, CR3 with the PDPTEs it points to (KVM_SET_SREGS loads
 * them), CR8. CR0, CR4 and EFER are unchanged. Editing drops no translation and changes no table.
 */
export function commitRegisters(v: Vcpu): void {
  const { regs, view, ops } = v;
  if (v.inGuest && !v.vm.shadow) {
    v.cpu.mmu.controlsChanged();
    return;
  }
  if (v.inGuest) putBelieved(v);
  else regs.storeFrom(view);
  const cr3 = view.get(SLOT.CR3);
  if (cr3 !== regs.cr3) {
    regs.cr3 = cr3;
    if (bit(regs.cr0, CR0.PG) && bit(regs.cr4, CR4.PAE) && !regs.longMode) loadPdptrs(v, cr3);
  }
  v.saved.set(SLOT.CR8, view.get(SLOT.CR8));
  ops.takeAccesses();
}

/** Registers whose hardware values differ from the guest's under shadow paging. */
const HARDWARE_SLOTS: readonly number[] = [
  SLOT.CR0,
  SLOT.CR3,
  SLOT.CR4,
  SLOT.EFER,
  SLOT.PDPTE0,
  SLOT.PDPTE0 + 1,
  SLOT.PDPTE0 + 2,
  SLOT.PDPTE0 + 3,
];

/**
 * Writes an edited view back into the running CPU. The hardware's control registers stay; a kick makes KVM load the
 * guest's new values.
 */
function putBelieved(v: Vcpu): void {
  const { view, cpu } = v;
  const s = cpu.state;
  const kept = HARDWARE_SLOTS.map((slot) => s.get(slot));
  s.copyFrom(view);
  HARDWARE_SLOTS.forEach((slot, i) => s.set(slot, kept[i] as bigint));
  cpu.mmu.controlsChanged();
  v.kick();
}
