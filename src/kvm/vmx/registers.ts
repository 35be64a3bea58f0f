import { FIELD } from '../../isa/vmcs-fields';
import { ENTRY_CTL } from '../../isa/vmcs-controls';
import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { SLOT } from '../../hw/state/layout';
import { GuestRegisters, type SysenterSlot, type TableRegister } from '../x86/registers';
import type { VmcsPort } from './vmcs-port';

const SYSENTER = {
  [SLOT.SYSENTER_CS]: 'GUEST_SYSENTER_CS',
  [SLOT.SYSENTER_ESP]: 'GUEST_SYSENTER_ESP',
  [SLOT.SYSENTER_EIP]: 'GUEST_SYSENTER_EIP',
} as const;

/**
 * The guest under VMX: RIP, RSP, RFLAGS, segments and control registers through VMREAD and VMWRITE; the other general
 * registers, CR2, debug registers and user-return MSRs in the save area.
 */
export class VmxRegisters extends GuestRegisters {
  constructor(
    readonly vmcs: VmcsPort,
    saved: CpuState,
    /** Under shadow paging GUEST_CR3 is the shadow root; KVM keeps the guest's own CR3 in a variable. */
    private readonly shadowed = false,
  ) {
    super(saved);
  }

  get rsp(): bigint {
    return this.vmcs.read('GUEST_RSP');
  }
  set rsp(v: bigint) {
    this.vmcs.write('GUEST_RSP', v);
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

  /** Guest-owned bits from the hardware value, the others from the read shadow (kvm_read_cr0). */
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
  get dr7(): bigint {
    return this.vmcs.read('GUEST_DR7');
  }
  set dr7(v: bigint) {
    this.vmcs.write('GUEST_DR7', v);
  }
  get pat(): bigint {
    return this.vmcs.read('GUEST_IA32_PAT');
  }
  set pat(v: bigint) {
    this.vmcs.write('GUEST_IA32_PAT', v);
  }
  get interruptibility(): number {
    return Number(this.vmcs.read('GUEST_INTERRUPTIBILITY_INFO'));
  }
  set interruptibility(v: number) {
    this.vmcs.write('GUEST_INTERRUPTIBILITY_INFO', BigInt(v));
  }
  get activity(): number {
    return Number(this.vmcs.read('GUEST_ACTIVITY_STATE'));
  }
  get gdtr(): TableRegister {
    return { base: this.vmcs.read('GUEST_GDTR_BASE'), limit: Number(this.vmcs.read('GUEST_GDTR_LIMIT')) };
  }
  set gdtr(v: TableRegister) {
    this.vmcs.write('GUEST_GDTR_BASE', v.base);
    this.vmcs.write('GUEST_GDTR_LIMIT', BigInt(v.limit));
  }
  get idtr(): TableRegister {
    return { base: this.vmcs.read('GUEST_IDTR_BASE'), limit: Number(this.vmcs.read('GUEST_IDTR_LIMIT')) };
  }
  set idtr(v: TableRegister) {
    this.vmcs.write('GUEST_IDTR_BASE', v.base);
    this.vmcs.write('GUEST_IDTR_LIMIT', BigInt(v.limit));
  }
  get pdptes(): readonly bigint[] {
    return [0, 1, 2, 3].map((i) => this.vmcs.readEncoding(FIELD.GUEST_PDPTR0 + 2 * i));
  }
  set pdptes(v: readonly bigint[]) {
    v.forEach((p, i) => this.vmcs.writeEncoding(FIELD.GUEST_PDPTR0 + 2 * i, p));
  }
  sysenter(slot: SysenterSlot): bigint {
    return this.vmcs.read(SYSENTER[slot]);
  }
  setSysenter(slot: SysenterSlot, value: bigint): void {
    this.vmcs.write(SYSENTER[slot], value);
  }

  /** The fields are in the order of SEG. */
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
  rights(index: number): number {
    return Number(this.vmcs.readEncoding(FIELD.GUEST_ES_AR_BYTES + 2 * index));
  }

  /** The VM-entry control "IA-32e mode guest" follows EFER.LMA. */
  setLongModeControl(on: boolean): void {
    const controls = this.vmcs.read('VM_ENTRY_CONTROLS');
    const flag = BigInt(ENTRY_CTL.IA32E_MODE);
    this.vmcs.write('VM_ENTRY_CONTROLS', on ? controls | flag : controls & ~flag);
  }
}
