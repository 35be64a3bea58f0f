import type { AddressSpace } from '../../host/address-space';
import type { Cpu } from '../../hw/cpu/cpu';
import { Mmu } from '../../hw/cpu/mmu';
import { codeMode } from '../../hw/cpu/system/modes';
import { FORMATS, levelShift, type PagingControls, type PagingFormat } from '../../hw/paging/controls';
import type { SecondLevelTables } from '../../hw/paging/second-level';
import type { CpuState } from '../../hw/state/cpu-state';
import { SEG, SLOT } from '../../hw/state/layout';
import { Tlb, type TlbEntryView } from '../../hw/tlb/tlb';
import { RFLAGS } from '../../isa/flags';
import { VMCB_FIELDS } from '../../isa/vmcb-fields';
import { vmcsFieldByName } from '../../isa/vmcs-fields';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { Accelerator } from '../../vmm/accelerator';
import type { GuestPhysical } from '../translate/guest-physical';
import type { Translator } from '../translate/translator';

/** The TLB area of a CPU that no machine has: a probing MMU wants a TLB, and this one holds nothing. */
const SCRATCH_TLB = 8;

/**
 * The guest's registers and address translation, wherever they are at this moment: in the CPU while it is in VMX non-root operation, else in the
 * VMCS and in KVM's register area. Looking changes nothing.
 */
export class GuestView implements Translator {
  private current: CpuState;
  private readonly scratchMmu: Mmu;

  constructor(
    readonly accelerator: Accelerator,
    readonly physical: GuestPhysical,
    readonly host: AddressSpace,
  ) {
    const { cpu, copy } = accelerator;
    this.current = accelerator.registers();
    this.scratchMmu = new Mmu(copy, cpu.memory, new Tlb(cpu.memory, SCRATCH_TLB, 0, 0), cpu.model);
    this.refresh();
  }

  /** Takes the guest's state from where it lies now; to be called after everything that may have changed it. */
  refresh(): void {
    this.current = this.accelerator.registers();
    if (!this.inGuest || this.shadow) this.scratchMmu.setSecondLevel(this.nested, 0);
  }
  /** Puts an edited state back to where it lies. */
  commit(): void {
    this.accelerator.commitRegisters();
    this.refresh();
  }

  get cpu(): Cpu {
    return this.accelerator.cpu;
  }
  /** The registers are the CPU's own: the guest stands between two instructions. */
  get inGuest(): boolean {
    return this.accelerator.running;
  }
  get state(): CpuState {
    return this.current;
  }
  /** CR0 and CR4 as the guest reads them: bits that the hypervisor owns come from the read shadows (SDM vol. 3, 24.6.6). */
  control(cr: 0 | 4): bigint {
    if (this.inGuest && this.cpu.intercepts)
      return this.cpu.intercepts.readControl({ state: this.state, insn: { length: 0 } }, cr);
    return this.state.get(cr === 0 ? SLOT.CR0 : SLOT.CR4);
  }
  get mmu(): Mmu {
    // what hardware walks under shadow paging are not the guest's tables
    return this.inGuest && !this.shadow ? this.cpu.mmu : this.scratchMmu;
  }
  get controls(): PagingControls {
    return this.mmu.controls;
  }
  get cr3(): bigint {
    return this.state.get(SLOT.CR3);
  }
  get cpl(): number {
    return this.state.cpl;
  }
  get physicalBits(): number {
    return this.cpu.model.physicalBits;
  }
  get shadow(): ShadowMmu | undefined {
    const { second } = this.accelerator;
    return second.kind === 'shadow' ? second.shadow : undefined;
  }
  get emulated(): boolean {
    return this.accelerator.second.kind === 'software';
  }
  get flushDue(): Accelerator['flushDue'] {
    return this.accelerator.flushDue;
  }
  get ac(): boolean {
    return this.state.systemFlag(RFLAGS.AC) && this.cpl < 3;
  }
  get nested(): SecondLevelTables | undefined {
    const { second } = this.accelerator;
    return second.kind === 'nested' ? second.tables : undefined;
  }
  get vpid(): number {
    return this.accelerator.vpid;
  }
  get pdptes(): readonly bigint[] | undefined {
    // nested paging has them in memory
    if (this.nested?.kind === 'npt') return undefined;
    return [0, 1, 2, 3].map((i) => this.state.get(SLOT.PDPTE0 + i));
  }
  /** Default operand size of the code at RIP. */
  get bits(): 16 | 32 | 64 {
    return codeMode(this.state).bits;
  }
  /** Instructions that completed: retired by hardware, or done by KVM in its place. */
  get retired(): number {
    return Number(this.accelerator.instructions);
  }

  /** A field of the current VMCS or VMCB, by its name. */
  fieldOf(name: string): bigint | undefined {
    const { vmcb } = this.cpu.svm;
    if (vmcb) {
      const field = VMCB_FIELDS.find((f) => f.name === name);
      return field && vmcb.read(field.name);
    }
    const field = vmcsFieldByName(name);
    return field && this.cpu.vmx.current?.read(field.encoding);
  }

  /** The linear address of an offset in a segment: in 64-bit mode only FS and GS have bases, and addresses are not cut to 32 bits. */
  linear(segment: number, offset: bigint): bigint {
    if (this.bits === 64)
      return BigInt.asUintN(
        64,
        segment === SEG.FS || segment === SEG.GS ? offset + this.state.segmentBase(segment) : offset,
      );
    return BigInt.asUintN(32, offset + this.state.segmentBase(segment));
  }
  get linearRip(): bigint {
    return this.linear(SEG.CS, this.state.rip);
  }

  tlbEntry(linear: bigint): TlbEntryView | undefined {
    if (this.inGuest) return this.cpu.tlb.peek(linear);
    const pcid = this.controls.pcide ? Number(this.cr3 & 0xfffn) : 0;
    const eptp = this.nested?.root ?? 0n;
    const page = linear & ~0xfffn;
    return this.cpu.tlb
      .entries()
      .find((e) => e.linear === page && e.vpid === this.vpid && e.eptp === eptp && (e.global || e.pcid === pcid));
  }

  get hasInvpcid(): boolean {
    return this.accelerator.guestModel.has('INVPCID');
  }
  walkStart(linear: bigint, format: PagingFormat): ReturnType<Translator['walkStart']> {
    const { walkCache } = this.cpu.tlb;
    const { pcide } = this.controls;
    if (!walkCache || format === 'none') return undefined;
    const context = this.inGuest
      ? this.cpu.tlb.context
      : { vpid: this.vpid, pcid: pcide ? Number(this.cr3 & 0xfffn) : 0, eptp: this.nested?.root ?? 0n };
    const start = walkCache.peek(linear, context, FORMATS[format].levels, (level) => levelShift(format, level));
    return start && { start, context };
  }
}
