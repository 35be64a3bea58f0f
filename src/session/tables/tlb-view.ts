/** The TLB and the paging-structure caches, each entry compared with the tables in memory as they are now. */
import { levelShift } from '../../hw/paging/controls';
import type { GuestView } from '../guest/view';
import { TlbComparison } from './tlb-compare';
import type { TlbState } from './tlb-state';

/** @param most entries, and as many of the paging-structure caches' */
export function tlbState(g: GuestView, most = Number.MAX_SAFE_INTEGER): TlbState {
  const { tlb } = g.cpu;
  const all = tlb.entries();
  const compare = new TlbComparison(g);
  const entries = all.map((e) => compare.entry(e));
  const format = compare.format;
  const caches =
    tlb.walkCache && format !== 'none'
      ? tlb.walkCache.entries((level) => levelShift(format, level)).map((e) => compare.cached(e))
      : undefined;
  return {
    sets: tlb.ways === 0 ? 0 : tlb.setMask + 1,
    ways: tlb.ways,
    hits: tlb.hits,
    misses: tlb.misses,
    entries: entries.slice(0, most),
    total: all.length,
    staleCount: entries.filter((e) => e.stale).length,
    ...(caches ? { walkCaches: caches.slice(0, most) } : {}),
  };
}
