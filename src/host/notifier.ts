import type { Hva } from '../base/address';
import type { Work } from '../trace/step';

/**
 * What the owner of a secondary MMU registers with a process's address space (include/linux/mmu_notifier.h): it is
 * called before and after host page tables change for a range, and drops what it derived from them. Notifiers only
 * ever invalidate; new mappings are made by the next fault.
 */
export interface MmuNotifier {
  invalidateRangeStart(start: Hva, end: Hva): Work<void>;
  invalidateRangeEnd(start: Hva, end: Hva): Work<void>;
  /**
   * clear_flush_young: whether the secondary MMU has used the range since the last call. Flushes cached translations,
   * so the next use is seen.
   */
  clearFlushYoung(start: Hva, end: Hva): boolean;
  /** test_young: the same question without side effects. */
  testYoung(start: Hva, end: Hva): boolean;
}
