import type { Hpa, Hva } from '../base/address';
import { hva } from '../base/address';
import type { HostKernel } from './kernel';
import type { MmuNotifier } from './notifier';
import { HostPageTables } from './page-tables';
import type { Work } from '../trace/step';
import { VmaSet } from './vma';

/**
 * What the parts of mm/ share of one process (struct mm_struct): its VMAs, its page tables, and the notifiers of
 * their changes.
 */
export class Mm {
  readonly areas = new VmaSet();
  readonly tables: HostPageTables;
  /** Counts the table changes reported to notifiers. */
  changes = 0;
  /** The position of reclaim's clock hand. */
  hand: Hva = hva(0n);
  private readonly notifiers: MmuNotifier[] = [];

  /**
   * @param places reserved frames, by the page that gets each on its first touch
   * @param places reserved frames by the page that gets each on its first touch
   */
  constructor(
    readonly kernel: HostKernel,
    root: Hpa,
    readonly places: Map<Hva, Hpa>,
  ) {
    this.tables = new HostPageTables(kernel.memory, kernel.frames, root, kernel.levels);
  }

  register(notifier: MmuNotifier): void {
    this.notifiers.push(notifier);
  }

  /** Changes page tables between mmu_notifier_invalidate_range_start and _end. */
  *invalidate<T>(start: Hva, end: Hva, edit: () => Work<T>): Work<T> {
    for (const n of this.notifiers) yield* n.invalidateRangeStart(start, end);
    const result = yield* edit();
    this.changes++;
    for (const n of this.notifiers) yield* n.invalidateRangeEnd(start, end);
    return result;
  }

  /** mmu_notifier_clear_flush_young: every notifier is asked. */
  clearFlushYoung(start: Hva, end: Hva): boolean {
    let young = false;
    for (const n of this.notifiers) young = n.clearFlushYoung(start, end) || young;
    return young;
  }
  /** mmu_notifier_test_young. */
  testYoung(start: Hva, end: Hva): boolean {
    return this.notifiers.some((n) => n.testYoung(start, end));
  }
}
