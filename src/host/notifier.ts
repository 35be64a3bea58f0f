import type { Hva } from '../base/address';
import type { Work } from '../trace/step';

/**
 * What a secondary MMU's owner registers with a process's address space (include/linux/mmu_notifier.h): it is told before host page tables change for a range
 * and again afterwards, and drops what it derived from them. Notifiers only ever invalidate; new mappings are made by the next fault.
 */
export interface MmuNotifier {
  invalidateRangeStart(start: Hva, end: Hva): Work<void>;
  invalidateRangeEnd(start: Hva, end: Hva): Work<void>;
  /** clear_flush_young: whether the secondary MMU has used the range since this was last asked. The next use is seen: cached translations go. */
  clearFlushYoung(start: Hva, end: Hva): boolean;
  /** test_young: only asks. */
  testYoung(start: Hva, end: Hva): boolean;
}
