import { FIELD } from '../../isa/vmcs-fields';
import { ENTRY_CTL } from '../../isa/vmcs-controls';
import { bit } from '../../base/bits';
import { CR0, EFER, RFLAGS } from '../../isa/flags';
import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import type { VmcsPort } from './vmcs-port';

const RSP = 4;

/**
 * A guest's registers as KVM reaches them between exits (arch/x86/kvm/kvm_cache_regs.h): RIP, RSP, RFLAGS, segments and control registers by VMREAD and
 * VMWRITE; the other general registers, CR2, debug registers and user-return MSRs in the save area that KVM's entry and exit code fills.
 */
export class GuestRegisters {
  constructor(
    readonly vmcs: VmcsPort,
    /** KVM's save area: a CpuState whose RIP, RSP, segments and flags mean nothing. CR0, CR4 and EFER there are as the guest believes them. */
    readonly saved: CpuState,
    /** Under shadow paging GUEST_CR3 is the shadow root, and the guest's own CR3 a variable of KVM's. */
    private readonly shadowed = false,
  ) {}

  gpr(index: number): bigint {
    return index === RSP ? this.vmcs.read('GUEST_RSP') : this.saved.get(index);
  }
  setGpr(index: number, value: bigint): void {
    if (index === RSP) this.vmcs.write('GUEST_RSP', value);
    else this.saved.set(index, BigInt.asUintN(64, value));
  }
  /** EAX EDX and the like: writes zero the upper half. */
  gpr32(index: number): number {
    return Number(this.gpr(index) & 0xffff_ffffn);
  }
  setGpr32(index: number, value: number): void {
    this.setGpr(index, BigInt(value >>> 0));
  }

  get rip(): bigint {
    return this.vmcs.read('GUEST_RIP');
  }
  set rip(v: bigint) {
    this.vmcs.write('GUEST_RIP', v);
  }
  get rflags(): bigint {
    return this.vmcs.read('GUEST_RFLAGS');
  }
  set rflags(v: bigint) {
    this.vmcs.write('GUEST_RFLAGS', v);
  }

  /** CR0 as the guest reads it: owned bits from the hardware value, the others from the shadow (kvm_read_cr0). */
  get cr0(): bigint {
    const mask = this.vmcs.read('CR0_GUEST_HOST_MASK');
    return (this.vmcs.read('GUEST_CR0') & ~mask) | (this.vmcs.read('CR0_READ_SHADOW') & mask);
  }
  get cr4(): bigint {
    const mask = this.vmcs.read('CR4_GUEST_HOST_MASK');
    return (this.vmcs.read('GUEST_CR4') & ~mask) | (this.vmcs.read('CR4_READ_SHADOW') & mask);
  }
  get cr3(): bigint {
    return this.shadowed ? this.saved.get(SLOT.CR3) : this.vmcs.read('GUEST_CR3');
  }
  set cr3(v: bigint) {
    if (this.shadowed) this.saved.set(SLOT.CR3, v);
    else this.vmcs.write('GUEST_CR3', v);
  }
  /** WRMSR to EFER exits, and LMA changes by MOV to CR0, which exits: KVM's copy is the truth. */
  get efer(): bigint {
    return this.saved.get(SLOT.EFER);
  }

  /** `index`: SEG.ES … SEG.TR; the fields lie in that order. */
  segment(index: number): SegmentCache {
    return {
      selector: Number(this.vmcs.readEncoding(FIELD.GUEST_ES_SELECTOR + 2 * index)),
      base: this.vmcs.readEncoding(FIELD.GUEST_ES_BASE + 2 * index),
      limit: Number(this.vmcs.readEncoding(FIELD.GUEST_ES_LIMIT + 2 * index)),
      rights: Number(this.vmcs.readEncoding(FIELD.GUEST_ES_AR_BYTES + 2 * index)),
    };
  }
  setSegment(index: number, s: SegmentCache): void {
    this.vmcs.writeEncoding(FIELD.GUEST_ES_SELECTOR + 2 * index, BigInt(s.selector));
    this.vmcs.writeEncoding(FIELD.GUEST_ES_BASE + 2 * index, s.base);
    this.vmcs.writeEncoding(FIELD.GUEST_ES_LIMIT + 2 * index, BigInt(s.limit >>> 0));
    this.vmcs.writeEncoding(FIELD.GUEST_ES_AR_BYTES + 2 * index, BigInt(s.rights >>> 0));
  }

  /** vmx_get_cpl: the DPL of SS, 0 in real mode. */
  get cpl(): number {
    if (!bit(this.cr0, CR0.PE)) return 0;
    if (bit(this.rflags, RFLAGS.VM)) return 3;
    return (Number(this.vmcs.read('GUEST_SS_AR_BYTES')) >>> RIGHTS.DPL_SHIFT) & 3;
  }
  get longMode(): boolean {
    return bit(this.efer, EFER.LMA);
  }
  /** is_64_bit_mode: EFER.LMA and CS.L. */
  get mode64(): boolean {
    return this.longMode && (Number(this.vmcs.read('GUEST_CS_AR_BYTES')) & RIGHTS.L) !== 0;
  }

  /** Everything into a CpuState that instructions could run on: for the emulator, and for showing a guest that is in the middle of an exit. */
  loadInto(state: CpuState): void {
    state.copyFrom(this.saved);
    state.set(RSP, this.vmcs.read('GUEST_RSP'));
    state.rip = this.rip;
    state.rflags = this.rflags;
    state.set(SLOT.CR0, this.cr0);
    state.set(SLOT.CR3, this.cr3);
    state.set(SLOT.CR4, this.cr4);
    state.set(SLOT.EFER, this.efer);
    state.set(SLOT.DR7, this.vmcs.read('GUEST_DR7'));
    for (let i = SEG.ES; i <= SEG.TR; i++) state.setSegment(i, this.segment(i));
    state.set(SLOT.GDTR_BASE, this.vmcs.read('GUEST_GDTR_BASE'));
    state.set(SLOT.GDTR_LIMIT, this.vmcs.read('GUEST_GDTR_LIMIT'));
    state.set(SLOT.IDTR_BASE, this.vmcs.read('GUEST_IDTR_BASE'));
    state.set(SLOT.IDTR_LIMIT, this.vmcs.read('GUEST_IDTR_LIMIT'));
    state.set(SLOT.SYSENTER_CS, this.vmcs.read('GUEST_SYSENTER_CS'));
    state.set(SLOT.SYSENTER_ESP, this.vmcs.read('GUEST_SYSENTER_ESP'));
    state.set(SLOT.SYSENTER_EIP, this.vmcs.read('GUEST_SYSENTER_EIP'));
    state.set(SLOT.INTERRUPTIBILITY, this.vmcs.read('GUEST_INTERRUPTIBILITY_INFO'));
    state.set(SLOT.ACTIVITY, this.vmcs.read('GUEST_ACTIVITY_STATE'));
    for (let i = 0; i < 4; i++) state.set(SLOT.PDPTE0 + i, this.vmcs.readEncoding(FIELD.GUEST_PDPTR0 + 2 * i));
    state.set(SLOT.FETCH_CONTINUES, 0n);
    state.cpl = this.cpl;
  }

  /** What an emulated instruction, or a person editing registers, may have changed. Control registers go through KVM's own setters. */
  storeFrom(state: CpuState): void {
    for (let i = 0; i < 16; i++) this.setGpr(i, state.get(i));
    this.rip = state.rip;
    this.rflags = state.rflags;
    this.saved.set(SLOT.CR2, state.get(SLOT.CR2));
    this.saved.set(SLOT.DR6, state.get(SLOT.DR6));
    this.saved.set(SLOT.KERNEL_GS_BASE, state.get(SLOT.KERNEL_GS_BASE));
    this.saved.set(SLOT.DR7, state.get(SLOT.DR7));
    this.vmcs.write('GUEST_DR7', state.get(SLOT.DR7));
    for (let i = 0; i < 4; i++) this.saved.set(SLOT.DR0 + i, state.get(SLOT.DR0 + i));
    this.saved.fp.set(state.fp);
    for (let i = SEG.ES; i <= SEG.TR; i++) this.setSegment(i, state.segment(i));
    this.vmcs.write('GUEST_GDTR_BASE', state.get(SLOT.GDTR_BASE));
    this.vmcs.write('GUEST_GDTR_LIMIT', state.get(SLOT.GDTR_LIMIT));
    this.vmcs.write('GUEST_IDTR_BASE', state.get(SLOT.IDTR_BASE));
    this.vmcs.write('GUEST_IDTR_LIMIT', state.get(SLOT.IDTR_LIMIT));
    this.vmcs.write('GUEST_INTERRUPTIBILITY_INFO', state.get(SLOT.INTERRUPTIBILITY));
  }

  /** The VM-entry control "IA-32e mode guest" follows EFER.LMA. */
  setLongModeControl(on: boolean): void {
    const controls = this.vmcs.read('VM_ENTRY_CONTROLS');
    const flag = BigInt(ENTRY_CTL.IA32E_MODE);
    this.vmcs.write('VM_ENTRY_CONTROLS', on ? controls | flag : controls & ~flag);
  }
}
