import type { AddressSpace } from '../host/address-space';
import type { Cpu } from '../hw/cpu/cpu';
import { Mmu } from '../hw/cpu/mmu';
import { codeMode } from '../hw/cpu/system/modes';
import type { PagingControls } from '../hw/paging/controls';
import { decodeEptp, type Eptp } from '../hw/paging/ept';
import { CpuState } from '../hw/state/cpu-state';
import { SEG, SLOT } from '../hw/state/layout';
import { Tlb, type TlbEntryView } from '../hw/tlb/tlb';
import { VmxControls } from '../hw/vmx/controls';
import { loadGuestState } from '../hw/vmx/transfer';
import { SECONDARY } from '../isa/vmcs-controls';
import type { GuestPhysical } from './guest-physical';
import type { Translator } from './translate';

/** A register area of the machine's memory that no CPU and no part of KVM uses: the session's copy of a guest that is not running. */
const SCRATCH_STATE = 31;
/** The TLB area of a CPU that no machine has: a probing MMU wants a TLB, and this one holds nothing. */
const SCRATCH_TLB = 7;

/**
 * The guest's registers and address translation, wherever they are at this moment: in the CPU while it is in VMX non-root operation, else in the
 * VMCS and in KVM's register area. Looking changes nothing.
 */
export class GuestView implements Translator {
  private readonly scratch: CpuState;
  private readonly scratchMmu: Mmu;
  private readonly vmxControls = new VmxControls();

  /** @param saved KVM's register save area of this VCPU: the general registers and CR2 between exit and entry */
  constructor(
    readonly cpu: Cpu,
    readonly saved: CpuState,
    readonly physical: GuestPhysical,
    readonly host: AddressSpace,
  ) {
    this.scratch = new CpuState(cpu.memory, SCRATCH_STATE);
    this.scratchMmu = new Mmu(this.scratch, cpu.memory, new Tlb(cpu.memory, SCRATCH_TLB, 0, 0), cpu.model.physicalBits);
  }

  /** Takes the guest's state from where it lies now; to be called after everything that may have changed it. */
  refresh(): void {
    const vmcs = this.cpu.vmx.current;
    if (vmcs === undefined) return;
    this.vmxControls.decode(vmcs);
    if (this.cpu.nonRoot) return;
    this.scratch.copyFrom(this.saved);
    loadGuestState(this.scratch, vmcs, this.vmxControls, undefined);
    this.scratch.set(SLOT.RETIRED, this.cpu.retired);
    this.scratchMmu.setSecondLevel(this.eptp, 0);
    this.scratchMmu.controlsChanged();
  }

  /** The registers are the CPU's own: the guest stands between two instructions. */
  get inGuest(): boolean {
    return this.cpu.nonRoot;
  }
  get state(): CpuState {
    return this.inGuest ? this.cpu.state : this.scratch;
  }
  get mmu(): Mmu {
    return this.inGuest ? this.cpu.mmu : this.scratchMmu;
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
  get eptp(): Eptp | undefined {
    const on = (this.vmxControls.secondary & SECONDARY.ENABLE_EPT) !== 0;
    return on ? decodeEptp(this.vmxControls.eptPointer) : undefined;
  }
  get vpid(): number {
    return (this.vmxControls.secondary & SECONDARY.ENABLE_VPID) !== 0 ? this.vmxControls.vpid : 0;
  }
  get pdptes(): readonly bigint[] {
    return [0, 1, 2, 3].map((i) => this.state.get(SLOT.PDPTE0 + i));
  }
  /** Default operand size of the code at RIP. */
  get bits(): 16 | 32 | 64 {
    return codeMode(this.state).bits;
  }
  get retired(): number {
    return Number(this.cpu.retired);
  }

  /** The linear address of an offset in a segment: in 64-bit mode only FS and GS have bases, and addresses are not cut to 32 bits. */
  linear(segment: number, offset: bigint): bigint {
    if (this.bits === 64) return BigInt.asUintN(64, segment === SEG.FS || segment === SEG.GS ? offset + this.state.segmentBase(segment) : offset);
    return BigInt.asUintN(32, offset + this.state.segmentBase(segment));
  }
  get linearRip(): bigint {
    return this.linear(SEG.CS, this.state.rip);
  }

  tlbEntry(linear: bigint): TlbEntryView | undefined {
    if (this.inGuest) return this.cpu.tlb.peek(linear);
    const pcid = this.controls.pcide ? Number(this.cr3 & 0xfffn) : 0;
    const eptp = this.eptp?.root ?? 0n;
    const page = linear & ~0xfffn;
    return this.cpu.tlb.entries().find((e) => e.linear === page && e.vpid === this.vpid && e.eptp === eptp && (e.global || e.pcid === pcid));
  }
}
