import type { Gpa, Hpa, Hva } from '../base/address';
import { hpa } from '../base/address';
import type { Result } from '../base/result';
import type { AddressSpace } from '../host/address-space';
import type { HostKernel } from '../host/kernel';
import type { Lapic } from './lapic';
import { Memslots, slotHva, type SlotChange, type UserMemoryRegion } from './memslots';
import { TdpMmu } from './mmu/tdp-mmu';
import { Stats, VM_STATS, type StatValues, type VmStat } from './stats';

export interface VmOptions {
  /** EPT accessed and dirty flags (module parameter eptad). */
  readonly eptAd: boolean;
}

/** Where a GPA leads by software's knowledge alone: memslot, then the host's tables. Nothing is faulted in. */
export interface GpaLookup {
  readonly slot: number;
  readonly readonly: boolean;
  readonly hva: Hva;
  readonly hpa: Hpa | undefined;
}

/** One virtual machine (struct kvm): memslots, the EPT that all VCPUs share, and the process it belongs to. */
export class Vm {
  readonly memslots = new Memslots();
  readonly stats = new Stats<VmStat>(VM_STATS);
  readonly mmu: TdpMmu;
  /** The local APICs of its VCPUs, by ID. */
  readonly lapics: Lapic[] = [];
  /** Counts requests to flush; a VCPU that has seen fewer flushes before it enters (KVM_REQ_TLB_FLUSH). */
  private flushes = 0;

  constructor(
    readonly kernel: HostKernel,
    readonly space: AddressSpace,
    options: VmOptions,
  ) {
    this.mmu = new TdpMmu(kernel, this.stats, options.eptAd, () => this.flushRemoteTlbs());
    space.register({
      invalidateRangeStart: (start, end) => this.unmapHva(start, end),
      invalidateRangeEnd: () => undefined,
    });
  }

  get flushCount(): number {
    return this.flushes;
  }
  /** kvm_flush_remote_tlbs: every VCPU executes INVEPT before it enters the guest again. */
  flushRemoteTlbs(): void {
    this.flushes++;
    this.stats.add('remote_tlb_flush');
  }

  /** KVM_SET_USER_MEMORY_REGION. */
  setUserMemoryRegion(region: UserMemoryRegion): Result<SlotChange, string> {
    const change = this.memslots.set(region);
    if (!change.ok) return change;
    switch (change.value.kind) {
      case 'delete':
      case 'move':
        // kvm_arch_flush_shadow_memslot
        if (this.mmu.zapRange(change.value.old.start, change.value.old.end)) this.flushRemoteTlbs();
        break;
      case 'create':
      case 'none':
        // MMIO entries below a new slot are stale by their generation
        break;
    }
    return change;
  }

  /** Where `address` leads, as far as it is known without a fault. */
  lookup(address: Gpa): GpaLookup | undefined {
    const slot = this.memslots.find(address);
    if (!slot) return undefined;
    const at = slotHva(slot, address);
    const found = this.space.lookup(at);
    return { slot: slot.id, readonly: slot.readonly, hva: at, hpa: found && hpa(found.hpa) };
  }

  save(): VmState {
    return { memslots: this.memslots.save(), stats: this.stats.save(), flushes: this.flushes };
  }
  /** Host memory, which holds the EPT, is restored by its owner. */
  restore(s: VmState): void {
    this.memslots.restore(s.memslots);
    this.stats.restore(s.stats);
    this.flushes = s.flushes;
  }

  /** kvm_unmap_gfn_range, for each slot that maps a part of the range. */
  private unmapHva(start: Hva, end: Hva): void {
    let zapped = false;
    for (const range of this.memslots.byHva(start, end)) zapped = this.mmu.zapRange(range.start, range.end) || zapped;
    if (zapped) this.flushRemoteTlbs();
  }
}

export interface VmState {
  readonly memslots: ReturnType<Memslots['save']>;
  readonly stats: StatValues<VmStat>;
  readonly flushes: number;
}
