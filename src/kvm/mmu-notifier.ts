import type { Hva } from '../base/address';
import { hex } from '../base/hex';
import { cost } from '../trace/costs';
import type { MmuNotifier } from '../host/notifier';
import { kvmStep, type TableAccess, type Work } from '../trace/step';
import type { Memslots } from './memslots';
import type { SecondaryMmu } from './mmu/secondary-mmu';

export interface NotifierOwner {
  readonly memslots: Memslots;
  readonly secondary: SecondaryMmu;
  /** kvm_flush_remote_tlbs. */
  flushRemoteTlbs(): Work<void>;
  /** The same, without reporting a step. */
  flushRemoteTlbsQuietly(): void;
}

/** Limit on the entries that one step lists. */
const MOST_WRITES = 64;

/**
 * KVM's side of the MMU notifiers (virt/kvm/kvm_main.c). Between start and end of an invalidation nothing may be
 * mapped for the range, and a fault that looked a page up before the end must look again: the sequence count shows
 * it.
 */
export class KvmMmuNotifier implements MmuNotifier {
  /** mmu_invalidate_seq, mmu_invalidate_in_progress. */
  private sequence = 0;
  private inProgress = 0;

  constructor(private readonly vm: NotifierOwner) {}

  get count(): number {
    return this.sequence;
  }
  /** mmu_invalidate_retry: a lookup made at count `seen` must not be mapped. */
  retry(seen: number): boolean {
    return this.inProgress > 0 || this.sequence !== seen;
  }

  *invalidateRangeStart(start: Hva, end: Hva): Work<void> {
    this.inProgress++;
    const { memslots, secondary } = this.vm;
    const ranges = memslots.byHva(start, end);
    const writes: TableAccess[] = [];
    let flush = false;
    for (const r of ranges) flush = secondary.zapRange(r.start, r.end, writes) || flush;
    const where = ranges.map((r) => `GPA ${hex(r.start)}-${hex(r.end)} of slot ${r.slot.id}`).join(', ');
    const done =
      writes.length === 0
        ? 'nothing is mapped there'
        : `takes ${writes.length} ${writes.length === 1 ? 'entry' : 'entries'} away`;
    yield kvmStep(
      'kvm_mmu_notifier_invalidate_range_start',
      where === ''
        ? `HVA ${hex(start)}-${hex(end)} is in no memslot`
        : `HVA ${hex(start)}-${hex(end)} is ${where}: ${done}`,
      cost('kvmHandler') + cost('memslotLookup') + cost('eptEntry', writes.length),
      {
        addresses: { hva: start, ...(ranges[0] ? { gpa: ranges[0].start } : {}) },
        writes: writes.slice(0, MOST_WRITES),
      },
    );
    if (flush) yield* this.vm.flushRemoteTlbs();
  }

  *invalidateRangeEnd(start: Hva, end: Hva): Work<void> {
    this.sequence++;
    this.inProgress--;
    yield kvmStep(
      'kvm_mmu_notifier_invalidate_range_end',
      `HVA ${hex(start)}-${hex(end)} may be mapped again; the sequence count is ${this.sequence}`,
      cost('kvmHandler'),
      {
        addresses: { hva: start },
      },
    );
  }

  clearFlushYoung(start: Hva, end: Hva): boolean {
    let young = false;
    for (const r of this.vm.memslots.byHva(start, end)) young = this.vm.secondary.ageRange(r.start, r.end) || young;
    if (young) this.vm.flushRemoteTlbsQuietly();
    return young;
  }

  testYoung(start: Hva, end: Hva): boolean {
    return this.vm.memslots.byHva(start, end).some((r) => this.vm.secondary.testAgeRange(r.start, r.end));
  }

  save(): number {
    return this.sequence;
  }
  restore(sequence: number): void {
    this.sequence = sequence;
    this.inProgress = 0;
  }
}
