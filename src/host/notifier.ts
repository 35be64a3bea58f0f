import type { Hva } from '../base/address';

/**
 * What a secondary MMU's owner registers with a process's address space (include/linux/mmu_notifier.h): it is told before host page tables change for a range
 * and again afterwards, and drops what it derived from them. Notifiers only ever invalidate; new mappings are made by the next fault.
 */
export interface MmuNotifier {
  invalidateRangeStart(start: Hva, end: Hva): void;
  invalidateRangeEnd(start: Hva, end: Hva): void;
}
