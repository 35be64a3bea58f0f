import { gpa } from '../../base/address';
import { bit } from '../../base/bits';
import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import { rightsOfAttrib } from '../../hw/svm/segments';
import { CR0, CR4 } from '../../isa/flags';
import { VINTR, type VmcbFieldName } from '../../isa/vmcb-fields';
import { INTERRUPTIBILITY } from '../../isa/vmcs-controls';
import type { Vcpu } from '../vcpu';
import { GuestRegisters, type SysenterSlot, type TableRegister } from '../x86/registers';
import type { VmcbPort } from './vmcb-port';

const RSP = 4;
const SHADOW = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;
/** MSRs and similar state that VMLOAD and VMSAVE transfer: they are stored in the VMCB. */
const IN_VMCB: ReadonlyMap<number, VmcbFieldName> = new Map<number, VmcbFieldName>([
  [SLOT.STAR, 'STAR'],
  [SLOT.LSTAR, 'LSTAR'],
  [SLOT.CSTAR, 'CSTAR'],
  [SLOT.SFMASK, 'SFMASK'],
  [SLOT.KERNEL_GS_BASE, 'KERNEL_GS_BASE'],
  [SLOT.SYSENTER_CS, 'SYSENTER_CS'],
  [SLOT.SYSENTER_ESP, 'SYSENTER_ESP'],
  [SLOT.SYSENTER_EIP, 'SYSENTER_EIP'],
]);

/**
 * The guest under SVM: what VMRUN, VMLOAD and VMSAVE transfer is in the VMCB. RAX, RSP, RIP, CR2 and DR6, which
 * svm_vcpu_run copies both ways, are in the save area like the other general registers, as are CR0, CR4 and EFER with
 * the guest's values.
 */
export class SvmRegisters extends GuestRegisters {
  constructor(
    readonly vmcb: VmcbPort,
    private readonly v: Vcpu,
  ) {
    super(v.saved);
  }

  get rsp(): bigint {
    return this.saved.get(RSP);
  }
  set rsp(v: bigint) {
    this.saved.set(RSP, BigInt.asUintN(64, v));
  }
  get rip(): bigint {
    return this.saved.rip;
  }
  set rip(v: bigint) {
    this.saved.rip = v;
  }
  get rflags(): bigint {
    return this.vmcb.read('RFLAGS');
  }
  set rflags(v: bigint) {
    this.vmcb.write('RFLAGS', v);
  }
  get cr0(): bigint {
    return this.saved.get(SLOT.CR0);
  }
  get cr4(): bigint {
    return this.saved.get(SLOT.CR4);
  }
  get cr3(): bigint {
    return this.vmcb.read('CR3');
  }
  set cr3(v: bigint) {
    this.vmcb.write('CR3', v);
  }
  get dr7(): bigint {
    return this.vmcb.read('DR7');
  }
  set dr7(v: bigint) {
    this.vmcb.write('DR7', v);
  }
  get pat(): bigint {
    return this.vmcb.read('G_PAT');
  }
  set pat(v: bigint) {
    this.vmcb.write('G_PAT', v);
  }
  /** The interrupt shadow is one bit, whatever caused it; the virtual-NMI mask shows whether NMIs are blocked. */
  get interruptibility(): number {
    const shadow = (this.vmcb.read('INTERRUPT_SHADOW') & 1n) !== 0n ? INTERRUPTIBILITY.STI : 0;
    return shadow | ((this.vmcb.read('VINTR') & VINTR.NMI_MASK) !== 0n ? INTERRUPTIBILITY.NMI : 0);
  }
  set interruptibility(v: number) {
    this.vmcb.write('INTERRUPT_SHADOW', (v & SHADOW) !== 0 ? 1n : 0n);
    const vintr = this.vmcb.read('VINTR');
    this.vmcb.write('VINTR', (v & INTERRUPTIBILITY.NMI) !== 0 ? vintr | VINTR.NMI_MASK : vintr & ~VINTR.NMI_MASK);
  }
  /** SVM has no activity state: a halted VCPU is not entered. */
  get activity(): number {
    return 0;
  }
  get gdtr(): TableRegister {
    return { base: this.vmcb.read('GDTR_BASE'), limit: this.vmcb.read32('GDTR_LIMIT') };
  }
  set gdtr(v: TableRegister) {
    this.vmcb.write('GDTR_BASE', v.base);
    this.vmcb.write('GDTR_LIMIT', BigInt(v.limit));
  }
  get idtr(): TableRegister {
    return { base: this.vmcb.read('IDTR_BASE'), limit: this.vmcb.read32('IDTR_LIMIT') };
  }
  set idtr(v: TableRegister) {
    this.vmcb.write('IDTR_BASE', v.base);
    this.vmcb.write('IDTR_LIMIT', BigInt(v.limit));
  }
  /** svm_cache_reg: under nested paging the processor reads the PDPTEs from memory, so KVM does too. */
  get pdptes(): readonly bigint[] {
    if (!bit(this.cr0, CR0.PG) || !bit(this.cr4, CR4.PAE) || this.longMode) return [0n, 0n, 0n, 0n];
    const bytes = this.v.readGuest(gpa(this.cr3 & 0xffff_ffe0n), 32);
    if (!bytes) return [0n, 0n, 0n, 0n];
    const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
    return [0, 1, 2, 3].map((i) => view.getBigUint64(i * 8, true));
  }
  /** They are stored in memory. */
  set pdptes(_: readonly bigint[]) {
    // nothing to keep
  }
  sysenter(slot: SysenterSlot): bigint {
    return this.keptMsr(slot);
  }
  setSysenter(slot: SysenterSlot, value: bigint): void {
    this.setKeptMsr(slot, value);
  }
  override keptMsr(slot: number): bigint {
    const field = IN_VMCB.get(slot);
    return field === undefined ? super.keptMsr(slot) : this.vmcb.read(field);
  }
  override setKeptMsr(slot: number, value: bigint): void {
    const field = IN_VMCB.get(slot);
    if (field === undefined) super.setKeptMsr(slot, value);
    else this.vmcb.write(field, value);
  }

  /**
   * svm_get_segment: the DPL of SS is ignored, since SYSRET leaves it unchanged. CPL is authoritative, and
   * `setSegment` takes it from there.
   */
  segment(index: number): SegmentCache {
    const s = this.vmcb.segment(index);
    if (index !== SEG.SS) return s;
    return { ...s, rights: (s.rights & ~(3 << RIGHTS.DPL_SHIFT)) | (this.cpl << RIGHTS.DPL_SHIFT) };
  }
  /** svm_set_segment: CPL is a separate field, and follows SS. */
  setSegment(index: number, s: SegmentCache): void {
    this.vmcb.setSegment(index, s);
    if (index === SEG.SS) this.vmcb.write('CPL', BigInt((s.rights >>> RIGHTS.DPL_SHIFT) & 3));
  }
  rights(index: number): number {
    return rightsOfAttrib(this.vmcb.read32(index === SEG.CS ? 'CS_ATTRIB' : 'SS_ATTRIB'));
  }
  /** svm_get_cpl. */
  override get cpl(): number {
    return this.vmcb.read32('CPL');
  }

  override loadInto(state: CpuState): void {
    super.loadInto(state);
    for (const slot of IN_VMCB.keys()) state.set(slot, this.keptMsr(slot));
  }
  override storeFrom(state: CpuState): void {
    super.storeFrom(state);
    this.vmcb.write('CPL', BigInt(state.cpl));
    this.setKeptMsr(SLOT.KERNEL_GS_BASE, state.get(SLOT.KERNEL_GS_BASE));
  }
}
