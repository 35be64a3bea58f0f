/** GPA → HVA → HPA of every page of guest RAM that there is: what /proc/PID/pagemap would be, had the kernel one for guests. */
import { hpa as asHpa, hva as asHva } from '../../base/address';
import { FRAME_MASK, PTE_P, PTE_RW } from '../../isa/entries';
import { levelSize } from '../../host/page-tables';
import { swapSlotOf } from '../../host/swap';
import type { Machine } from '../../vmm/machine';

/** A page of the host's that a slot maps, or a part of it; pages that nobody has touched have none. */
export interface PagemapRow {
  readonly slot: number;
  readonly gpa: bigint;
  readonly hva: bigint;
  /** Bytes: the host's page size, cut to the slot. */
  readonly size: bigint;
  /** Where it is: a frame, or a slot of the swap area. */
  readonly at: { readonly kind: 'frame'; readonly hpa: bigint } | { readonly kind: 'swap'; readonly slot: number };
  readonly writable: boolean;
  /** Pages that share the frame by same-page merging; 0: it is this page's alone. */
  readonly shared: number;
}

/** In the order of GPAs. Reads tables and changes nothing. */
export function pagemap({ kernel, host, ram }: Machine): readonly PagemapRow[] {
  const out: PagemapRow[] = [];
  for (const s of ram.memslots.all) {
    const end = s.hva + (s.end - s.start);
    host.tables.each(s.hva, asHva(end), (first, leaf) => {
      const size = levelSize(leaf.level);
      const from = first > s.hva ? first : s.hva;
      const to = first + size < end ? first + size : end;
      const common = { slot: s.id, gpa: s.start + (from - s.hva), hva: from, size: to - from };
      const swap = swapSlotOf(leaf.entry);
      if (swap !== undefined) out.push({ ...common, at: { kind: 'swap', slot: swap }, writable: false, shared: 0 });
      if ((leaf.entry & PTE_P) === 0n) return;
      const frame = leaf.entry & FRAME_MASK & ~(size - 1n);
      out.push({
        ...common,
        at: { kind: 'frame', hpa: frame + (from - first) },
        writable: (leaf.entry & PTE_RW) !== 0n && !s.readonly,
        shared: kernel.mergedCount(asHpa(frame)),
      });
    });
  }
  return out;
}
