/**
 * Reclaim of memory under pressure (mm/vmscan.c), for the pages of one process. Before a fault looks anything up,
 * frames must be free down to a watermark. If they are not, a clock hand scans the process's pages: one used since
 * the last pass (its accessed flag in the host's table, or the secondary MMU's, queried through the notifiers) gets a
 * second chance, any other is swapped out. Since frames are freed before the lookup, reclaim never takes a page that
 * the current fault has found; a caller that holds a page across another fault checks the notifiers' sequence count.
 */
import type { Hva } from '../base/address';
import { alignDown, hpa, hva } from '../base/address';
import { FRAME_MASK, PTE_P } from '../isa/entries';
import { cost } from '../trace/costs';
import type { Mm } from './mm';
import { splitHuge, swapOut, testAndClearYoung } from './page-events';
import { levelSize, type Leaf } from './page-tables';
import { hostStep, type Work } from '../trace/step';

/** SWAP_CLUSTER_MAX: pages that one pass frees beyond the request. */
const CLUSTER = 32;

/**
 * Frames below which reclaim begins (the zone's low watermark): what one fault needs including its tables, more on
 * larger hosts.
 */
const watermark = (frames: number): number => Math.min(256, Math.max(16, frames >> 7));

/** try_to_free_pages, if fewer than `frames` frames would be left above the watermark. */
export function* makeRoom(mm: Mm, frames: number): Work<void> {
  const { kernel } = mm;
  const low = watermark(kernel.memory.frames) + frames;
  if (kernel.frames.framesFree >= low || kernel.swap.used >= kernel.swap.capacity) return;
  const goal = low + Math.min(CLUSTER, kernel.memory.frames >> 5);
  yield hostStep(
    'try_to_free_pages',
    `${kernel.frames.framesFree} frames are free, fewer than the watermark of ${low}: reclaims until ${goal} are`,
    cost('hostFault'),
  );
  kernel.vmstat.allocstall++;
  const { scanned, young, taken } = yield* shrink(mm, goal);
  yield hostStep(
    'shrink_lruvec',
    `${scanned} pages were looked at: ${young} had been used since the last look and stay, ${taken} are in swap; ${kernel.frames.framesFree} frames are free`,
    cost('pageReclaim', scanned),
  );
}

interface Shrunk {
  scanned: number;
  young: number;
  taken: number;
}

/** The hand makes at most two rounds: one to clear accessed flags, one to find them clear. */
function* shrink(mm: Mm, goal: number): Work<Shrunk> {
  const { kernel } = mm;
  const done: Shrunk = { scanned: 0, young: 0, taken: 0 };
  const began = mm.hand;
  for (let round = 0; round <= 2; round++) {
    // the last round ends where the first began
    const end = round === 2 ? began : undefined;
    for (;;) {
      if (kernel.frames.framesFree >= goal || kernel.swap.used >= kernel.swap.capacity) return done;
      const next = nextPage(mm, mm.hand, end);
      if (!next) break;
      mm.hand = hva(next.at + levelSize(next.leaf.level));
      done.scanned++;
      kernel.vmstat.pgscan++;
      if (referenced(mm, next.at, next.leaf)) done.young++;
      else if (yield* take(mm, next.at, next.leaf)) done.taken++;
    }
    mm.hand = end ?? hva(0n);
  }
  return done;
}

/** The first reclaimable page at or after `from`: in memory, used by this process alone, and not hugetlbfs's. */
function nextPage(mm: Mm, from: Hva, end: Hva | undefined): { readonly at: Hva; readonly leaf: Leaf } | undefined {
  for (const vma of mm.areas.all) {
    if (vma.end <= from || vma.backing === '2m' || vma.backing === '1g') continue;
    if (end !== undefined && vma.start >= end) return undefined;
    const last = end !== undefined && end < vma.end ? end : vma.end;
    for (const found of mm.tables.leaves(from > vma.start ? from : vma.start, last)) {
      const { entry, level } = found.leaf;
      if ((entry & PTE_P) === 0n) continue;
      if (level === 1 && mm.kernel.mergedCount(hpa(entry & FRAME_MASK)) > 0) continue;
      return found;
    }
  }
  return undefined;
}

/** folio_referenced: tests and clears the accessed flags of all users of the page. */
function referenced(mm: Mm, at: Hva, leaf: Leaf): boolean {
  const host = testAndClearYoung(mm, at, leaf);
  const start = alignDown(at, levelSize(leaf.level));
  return mm.clearFlushYoung(start, hva(start + levelSize(leaf.level))) || host;
}

/** shrink_folio_list for one page. A huge one is split first; its parts are taken when the hand reaches them next. */
function* take(mm: Mm, at: Hva, leaf: Leaf): Work<boolean> {
  if (leaf.level > 1) {
    const split = yield* splitHuge(mm, at);
    if (split.ok) mm.hand = alignDown(at, levelSize(leaf.level));
    return false;
  }
  const out = yield* swapOut(mm, at);
  if (out.ok) mm.kernel.vmstat.pgsteal++;
  return out.ok;
}
