import type { Gpa } from '../base/address';
import { gpa } from '../base/address';
import type { Memslot } from './memslots';

/**
 * The dirty bitmaps of logged slots, kept as sets of page numbers since slots may be far larger than what is touched.
 */
export class DirtyLog {
  private readonly pages = new Map<number, Set<bigint>>();

  /** Whether any slot is logged (nr_memslots_dirty_logging). */
  get active(): boolean {
    return this.pages.size > 0;
  }
  start(slot: Memslot): void {
    this.pages.set(slot.id, new Set());
  }
  stop(slot: Memslot): void {
    this.pages.delete(slot.id);
  }
  /** mark_page_dirty_in_slot. */
  mark(slot: Memslot, address: Gpa): void {
    this.pages.get(slot.id)?.add((address - slot.start) >> 12n);
  }
  isDirty(slot: Memslot, address: Gpa): boolean {
    return this.pages.get(slot.id)?.has((address - slot.start) >> 12n) === true;
  }
  /** The dirty pages, in order; they stay dirty. */
  look(slot: Memslot): readonly Gpa[] {
    const pages = [...(this.pages.get(slot.id) ?? [])].sort((a, b) => (a < b ? -1 : 1));
    return pages.map((p) => gpa(slot.start + (p << 12n)));
  }
  /** Returns the dirty pages and marks them clean. */
  take(slot: Memslot): readonly Gpa[] {
    const taken = this.look(slot);
    this.pages.get(slot.id)?.clear();
    return taken;
  }

  save(): DirtyLogState {
    return [...this.pages].map(([slot, pages]) => [slot, [...pages]]);
  }
  restore(s: DirtyLogState): void {
    this.pages.clear();
    for (const [slot, pages] of s) this.pages.set(slot, new Set(pages));
  }
}

export type DirtyLogState = readonly (readonly [slot: number, pages: readonly bigint[]])[];
