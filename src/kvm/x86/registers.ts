import { bit } from '../../base/bits';
import { CR0, EFER, RFLAGS } from '../../isa/flags';
import type { CpuState, SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';

const RSP = 4;

/** GDTR or IDTR. */
export interface TableRegister {
  readonly base: bigint;
  readonly limit: number;
}

/** SYSENTER's three MSRs, by their slots. */
export type SysenterSlot = typeof SLOT.SYSENTER_CS | typeof SLOT.SYSENTER_ESP | typeof SLOT.SYSENTER_EIP;

/**
 * A guest's registers as KVM reaches them between exits (arch/x86/kvm/kvm_cache_regs.h): some in the guest state that
 * hardware saves (VMCS or VMCB), the others in the save area that KVM's entry and exit code fills.
 */
export abstract class GuestRegisters {
  constructor(
    /**
     * KVM's save area: a CpuState in which only what hardware does not save is meaningful. CR0, CR4 and EFER have the
     * guest's values.
     */
    readonly saved: CpuState,
  ) {}

  abstract get rsp(): bigint;
  abstract set rsp(v: bigint);
  abstract get rip(): bigint;
  abstract set rip(v: bigint);
  abstract get rflags(): bigint;
  abstract set rflags(v: bigint);
  /** CR0 and CR4 as the guest reads them. */
  abstract get cr0(): bigint;
  abstract get cr4(): bigint;
  abstract get cr3(): bigint;
  abstract set cr3(v: bigint);
  abstract get dr7(): bigint;
  abstract set dr7(v: bigint);
  abstract get pat(): bigint;
  abstract set pat(v: bigint);
  /** Blocking by STI (bit 0), MOV SS (1) and NMI (3), in the register slot's format. */
  abstract get interruptibility(): number;
  abstract set interruptibility(v: number);
  abstract get activity(): number;
  abstract get gdtr(): TableRegister;
  abstract set gdtr(v: TableRegister);
  abstract get idtr(): TableRegister;
  abstract set idtr(v: TableRegister);
  /** The PDPTEs of PAE paging, used only with PAE paging. */
  abstract get pdptes(): readonly bigint[];
  abstract set pdptes(v: readonly bigint[]);
  abstract sysenter(slot: SysenterSlot): bigint;
  abstract setSysenter(slot: SysenterSlot, value: bigint): void;
  /** `index`: SEG.ES … SEG.TR. */
  abstract segment(index: number): SegmentCache;
  abstract setSegment(index: number, s: SegmentCache): void;
  /** The access rights alone, of CS or SS. */
  abstract rights(index: number): number;

  gpr(index: number): bigint {
    return index === RSP ? this.rsp : this.saved.get(index);
  }
  setGpr(index: number, value: bigint): void {
    if (index === RSP) this.rsp = value;
    else this.saved.set(index, BigInt.asUintN(64, value));
  }
  /** EAX, EDX and so on: writes zero the upper half. */
  gpr32(index: number): number {
    return Number(this.gpr(index) & 0xffff_ffffn);
  }
  setGpr32(index: number, value: number): void {
    this.setGpr(index, BigInt(value >>> 0));
  }

  /** An MSR of USER_RETURN_MSRS, by its slot. */
  keptMsr(slot: number): bigint {
    return this.saved.get(slot);
  }
  setKeptMsr(slot: number, value: bigint): void {
    this.saved.set(slot, value);
  }

  /** WRMSR to EFER exits, and LMA changes by MOV to CR0, which exits: KVM's copy is authoritative. */
  get efer(): bigint {
    return this.saved.get(SLOT.EFER);
  }
  /** kvm_x86_ops.get_cpl: the DPL of SS, 0 in real mode. */
  get cpl(): number {
    if (!bit(this.cr0, CR0.PE)) return 0;
    if (bit(this.rflags, RFLAGS.VM)) return 3;
    return (this.rights(SEG.SS) >>> RIGHTS.DPL_SHIFT) & 3;
  }
  get longMode(): boolean {
    return bit(this.efer, EFER.LMA);
  }
  /** is_64_bit_mode: EFER.LMA and CS.L. */
  get mode64(): boolean {
    return this.longMode && (this.rights(SEG.CS) & RIGHTS.L) !== 0;
  }

  /**
   * Copies everything into a CpuState that instructions can run on: for the emulator, and to show a guest in the
   * middle of an exit.
   */
  loadInto(state: CpuState): void {
    state.copyFrom(this.saved);
    state.set(RSP, this.rsp);
    state.rip = this.rip;
    state.rflags = this.rflags;
    state.set(SLOT.CR0, this.cr0);
    state.set(SLOT.CR3, this.cr3);
    state.set(SLOT.CR4, this.cr4);
    state.set(SLOT.EFER, this.efer);
    state.set(SLOT.DR7, this.dr7);
    for (let i = SEG.ES; i <= SEG.TR; i++) state.setSegment(i, this.segment(i));
    const { gdtr, idtr } = this;
    state.set(SLOT.GDTR_BASE, gdtr.base);
    state.set32(SLOT.GDTR_LIMIT, gdtr.limit);
    state.set(SLOT.IDTR_BASE, idtr.base);
    state.set32(SLOT.IDTR_LIMIT, idtr.limit);
    for (const slot of [SLOT.SYSENTER_CS, SLOT.SYSENTER_ESP, SLOT.SYSENTER_EIP]) state.set(slot, this.sysenter(slot));
    state.set32(SLOT.INTERRUPTIBILITY, this.interruptibility);
    state.set32(SLOT.ACTIVITY, this.activity);
    this.pdptes.forEach((p, i) => state.set(SLOT.PDPTE0 + i, p));
    state.set(SLOT.FETCH_CONTINUES, 0n);
    state.cpl = this.cpl;
  }

  /**
   * Writes back what an emulated instruction, or a user editing registers, may have changed. Control registers go
   * through KVM's own setters.
   */
  storeFrom(state: CpuState): void {
    for (let i = 0; i < 16; i++) this.setGpr(i, state.get(i));
    this.rip = state.rip;
    this.rflags = state.rflags;
    this.saved.set(SLOT.CR2, state.get(SLOT.CR2));
    this.saved.set(SLOT.DR6, state.get(SLOT.DR6));
    this.saved.set(SLOT.LAST_EVENT, state.get(SLOT.LAST_EVENT));
    this.saved.set(SLOT.KERNEL_GS_BASE, state.get(SLOT.KERNEL_GS_BASE));
    this.saved.set(SLOT.DR7, state.get(SLOT.DR7));
    this.dr7 = state.get(SLOT.DR7);
    for (let i = 0; i < 4; i++) this.saved.set(SLOT.DR0 + i, state.get(SLOT.DR0 + i));
    this.saved.fp.set(state.fp);
    for (let i = SEG.ES; i <= SEG.TR; i++) this.setSegment(i, state.segment(i));
    this.gdtr = { base: state.get(SLOT.GDTR_BASE), limit: state.get32(SLOT.GDTR_LIMIT) };
    this.idtr = { base: state.get(SLOT.IDTR_BASE), limit: state.get32(SLOT.IDTR_LIMIT) };
    this.interruptibility = state.get32(SLOT.INTERRUPTIBILITY);
  }
}
