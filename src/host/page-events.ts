import type { Hpa, Hva } from '../base/address';
import { alignDown, hpa, hva } from '../base/address';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { counted } from '../base/plural';
import { FRAMES_PER_2M } from '../hw/memory/frames';
import { FRAME_MASK, PTE_A, PTE_D, PTE_P, PTE_RW } from '../isa/entries';
import { cost } from '../trace/costs';
import type { Mm } from './mm';
import { levelSize, type Leaf } from './page-tables';
import { hostStep, type Work } from '../trace/step';
import { SWP_TYPE, swapEntry, swapSlotOf } from './swap';
import { pageFlags } from './vma';

/** What happened, in one sentence; or why it is not possible. */
export type Outcome = Work<Result<string, string>>;

const PAGE = 4096n;
const HUGE = levelSize(2);
const frameOf = (leaf: Leaf): Hpa => hpa(leaf.entry & FRAME_MASK & ~(levelSize(leaf.level) - 1n));
const present = (leaf: Leaf): boolean => (leaf.entry & PTE_P) !== 0n;

/**
 * The present 4 KiB leaf for `address`; a transparent huge page is split first, as the kernel does to reach part of
 * it.
 */
function* smallPage(mm: Mm, address: Hva): Work<Result<Leaf, string>> {
  const { leaf } = mm.tables.descend(address);
  if (!leaf) {
    const pte = mm.tables.pte(address);
    return err(
      pte && swapSlotOf(pte.entry) !== undefined
        ? `the page at HVA ${hex(address)} is in swap`
        : `no page is mapped at HVA ${hex(address)} yet`,
    );
  }
  if (leaf.level === 1) return ok(leaf);
  const split = yield* splitHuge(mm, address);
  if (!split.ok) return split;
  const pte = mm.tables.pte(address);
  return pte ? ok(pte) : err(`no page is mapped at HVA ${hex(address)}`);
}

/** shrink_folio_list for one page (mm/vmscan.c): unmapped everywhere, written to swap, and its frame freed. */
export function* swapOut(mm: Mm, address: Hva): Outcome {
  const { kernel, tables } = mm;
  const found = yield* smallPage(mm, address);
  if (!found.ok) return found;
  const leaf = found.value;
  const page = alignDown(address, PAGE);
  const frame = frameOf(leaf);
  if (kernel.mergedCount(frame) > 0)
    return err(
      `the page at HVA ${hex(page)} is merged with others (KSM); a write gives it a copy of its own, which can be swapped`,
    );
  if (kernel.swap.used >= kernel.swap.capacity) return err('the swap area is full');
  const slot = yield* mm.invalidate(page, hva(page + PAGE), function* () {
    // the page is read after every secondary entry is gone, when nobody can write to it
    const slot = kernel.swap.write(kernel.memory.read(frame, 4096)) ?? 0;
    const change = tables.update(page, leaf, swapEntry(SWP_TYPE.SWAP, BigInt(slot)));
    yield hostStep(
      'try_to_unmap_one',
      `takes the page at HVA ${hex(page)} out of the host page tables: the entry now names swap slot ${slot}`,
      cost('pageReclaim') + cost('eptEntry'),
      {
        addresses: { hva: page, hpa: frame },
        writes: [change],
      },
    );
    return slot;
  });
  kernel.putFrames(frame);
  kernel.vmstat.pswpout++;
  yield hostStep(
    'swap_writepage',
    `writes HPA ${hex(frame)} to swap slot ${slot} and frees the frame`,
    cost('swapOut'),
    { addresses: { hva: page, hpa: frame } },
  );
  return ok(`HVA ${hex(page)} is in swap slot ${slot}; HPA ${hex(frame)} is free`);
}

/** migrate_pages for one page (mm/migrate.c), into `to` or any free frame: 4 KiB, or the whole of a huge page. */
export function* migrate(mm: Mm, address: Hva, to?: Hpa): Outcome {
  const { kernel, tables } = mm;
  const { leaf } = tables.descend(address);
  if (!leaf) return err(`no page is mapped at HVA ${hex(address)} to be migrated`);
  const size = levelSize(leaf.level);
  const frames = Number(size / PAGE);
  const page = alignDown(address, size);
  const old = frameOf(leaf);
  if (kernel.mergedCount(old) > 0)
    return err(
      `the page at HVA ${hex(page)} is merged with others (KSM); a write gives it a copy of its own, which can be migrated`,
    );
  if (leaf.level === 3) return err(`the page at HVA ${hex(page)} is a 1 GiB page, which the host does not migrate`);
  const target = newFrame(mm, frames, to);
  if (!target.ok) return target;
  const fresh = target.value;
  const writable = (leaf.entry & PTE_RW) !== 0n;
  yield* mm.invalidate(page, hva(page + size), function* () {
    const marker = swapEntry(writable ? SWP_TYPE.MIGRATION_WRITE : SWP_TYPE.MIGRATION_READ, old >> 12n);
    const unmapped = tables.update(page, leaf, marker);
    yield hostStep(
      'try_to_migrate_one',
      `puts a migration entry where HVA ${hex(page)} was mapped to HPA ${hex(old)}: a fault on it now waits`,
      cost('pageReclaim') + cost('eptEntry'),
      {
        addresses: { hva: page, hpa: old },
        writes: [unmapped],
      },
    );
  });
  kernel.memory.write(fresh, kernel.memory.read(old, frames * 4096));
  const mapped = tables.update(
    page,
    { ...leaf, entry: 0n },
    (leaf.entry & ~(FRAME_MASK & ~(size - 1n) & ~(PAGE - 1n))) | fresh,
  );
  kernel.putFrames(old, frames);
  kernel.vmstat.pgmigrate_success++;
  yield hostStep(
    'remove_migration_pte',
    `the page is copied; HVA ${hex(page)} is mapped to HPA ${hex(fresh)}, and HPA ${hex(old)} is free`,
    cost('copyPage', frames) + cost('eptEntry'),
    {
      addresses: { hva: page, hpa: fresh },
      writes: [mapped],
    },
  );
  return ok(`HVA ${hex(page)} moved from HPA ${hex(old)} to HPA ${hex(fresh)}`);
}

function newFrame({ kernel }: Mm, frames: number, to: Hpa | undefined): Result<Hpa, string> {
  if (to === undefined) {
    const fresh = frames === 1 ? kernel.frames.allocate() : kernel.frames.allocateAligned(frames);
    return fresh === undefined ? err('host memory is exhausted: there is no frame to migrate to') : ok(fresh);
  }
  const frame = alignDown(to, PAGE);
  if (frames !== 1) return err(`the page is a huge one: a single frame at HPA ${hex(frame)} does not hold it`);
  if (!kernel.memory.contains(frame, 4096)) return err(`there is no host memory at HPA ${hex(frame)}`);
  return kernel.frames.reserve(frame) ? ok(frame) : err(`the frame at HPA ${hex(frame)} is in use`);
}

/** try_to_merge_with_ksm_page (mm/ksm.c): two pages with the same content become one that both map read-only. */
export function* merge(mm: Mm, one: Hva, other: Hva): Outcome {
  const { kernel } = mm;
  const [a, b] = [alignDown(one, PAGE), alignDown(other, PAGE)];
  if (a === b) return err(`HVA ${hex(a)} is one page: merging takes two`);
  // both first: splitting one may move the other's entry
  for (const at of [a, b]) {
    const split = yield* smallPage(mm, at);
    if (!split.ok) return split;
  }
  const kept = yield* smallPage(mm, a);
  const given = yield* smallPage(mm, b);
  if (!kept.ok) return kept;
  if (!given.ok) return given;
  const frame = frameOf(kept.value);
  const spare = frameOf(given.value);
  if (frame === spare) return err(`HVA ${hex(a)} and HVA ${hex(b)} share HPA ${hex(frame)} already`);
  if (!same(kernel.memory.read(frame, 4096), kernel.memory.read(spare, 4096)))
    return err(`the pages at HVA ${hex(a)} and HVA ${hex(b)} differ; only pages of the same content are merged`);
  // a merged page is read-only: KSM write-protects, compares once more, and only then points both entries to one
  // frame
  if (kernel.mergedCount(frame) === 0) {
    yield* setEntry(
      mm,
      a,
      kept.value,
      kept.value.entry & ~(PTE_RW | PTE_D),
      'write_protect_page',
      `makes the page at HVA ${hex(a)} read-only, so that the first write copies it`,
    );
    kernel.shareFrame(frame);
  }
  const entry = (given.value.entry & ~(FRAME_MASK | PTE_RW | PTE_D)) | frame;
  yield* setEntry(
    mm,
    b,
    given.value,
    entry,
    'replace_page',
    `HVA ${hex(b)} has the same content: maps it to HPA ${hex(frame)} too, read-only`,
  );
  kernel.shareFrame(frame);
  kernel.putFrames(spare);
  return ok(
    `HVA ${hex(a)} and HVA ${hex(b)} share HPA ${hex(frame)} read-only; HPA ${hex(spare)} is ${kernel.frames.isUsed(spare) ? 'still shared by others' : 'free'}`,
  );
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);

function* setEntry(mm: Mm, page: Hva, leaf: Leaf, entry: bigint, fn: string, what: string): Work<void> {
  yield* mm.invalidate(page, hva(page + PAGE), function* () {
    const change = mm.tables.update(page, leaf, entry);
    yield hostStep(fn, what, cost('pageReclaim') + cost('eptEntry'), { addresses: { hva: page }, writes: [change] });
  });
}

/** __split_huge_pmd (mm/huge_memory.c): the same frames, mapped by 512 entries. */
export function* splitHuge(mm: Mm, address: Hva): Outcome {
  const page = alignDown(address, HUGE);
  const vma = mm.areas.find(address);
  const { leaf } = mm.tables.descend(address);
  if (!leaf || leaf.level === 1) return err(`HVA ${hex(address)} is mapped by no huge page`);
  if (leaf.level !== 2 || vma?.backing !== 'thp')
    return err(`the page at HVA ${hex(page)} is hugetlbfs's: it is never split, swapped or merged in parts`);
  if (mm.kernel.frames.framesFree === 0) return err('host memory is exhausted: there is no frame for a page table');
  mm.kernel.vmstat.thp_split_pmd++;
  yield* mm.invalidate(page, hva(page + HUGE), function* () {
    const change = mm.tables.split(page, leaf);
    if (change.ok)
      yield hostStep(
        '__split_huge_pmd',
        `maps the 2 MiB at HVA ${hex(page)} by 512 entries of 4 KiB instead of one`,
        cost('eptTable') + cost('eptEntry', 512),
        {
          addresses: { hva: page },
          writes: [change.value],
        },
      );
  });
  return ok(`the 2 MiB at HVA ${hex(page)} are 512 pages now`);
}

/** collapse_huge_page (mm/khugepaged.c): 512 pages, missing ones zeroed, are copied into one 2 MiB run. */
export function* collapse(mm: Mm, address: Hva): Outcome {
  const { kernel, tables, areas } = mm;
  const start = alignDown(address, HUGE);
  const end = hva(start + HUGE);
  const vma = areas.find(address);
  if (vma?.backing !== 'thp')
    return err(`HVA ${hex(address)} is in no mapping with transparent huge pages; give the guest host-pages=thp`);
  if (start < vma.start || end > vma.end) return err(`the 2 MiB around HVA ${hex(address)} do not lie in one mapping`);
  const { leaf: now } = tables.descend(start);
  if (now && now.level > 1) return err(`HVA ${hex(start)} is mapped by a huge page already`);
  const leaves: { readonly at: Hva; readonly leaf: Leaf }[] = [];
  tables.each(start, end, (at, leaf) => leaves.push({ at, leaf }));
  const blocked = leaves.find(({ leaf }) => present(leaf) && kernel.mergedCount(frameOf(leaf)) > 0);
  if (leaves.length === 0) return err(`no page of the 2 MiB at HVA ${hex(start)} is there yet`);
  if (blocked)
    return err(`the page at HVA ${hex(blocked.at)} is merged with others (KSM), which khugepaged leaves alone`);
  const run = kernel.frames.allocateAligned(FRAMES_PER_2M);
  if (run === undefined) return err('host memory has no free, aligned 2 MiB');
  kernel.vmstat.thp_collapse_alloc++;
  yield* mm.invalidate(start, end, function* () {
    for (const { at, leaf } of leaves) {
      const slot = swapSlotOf(leaf.entry);
      const bytes = slot === undefined ? kernel.memory.read(frameOf(leaf), 4096) : kernel.swap.read(slot);
      kernel.memory.write(hpa(run + (at - start)), bytes);
      if (slot === undefined) kernel.putFrames(frameOf(leaf));
      else kernel.swap.free(slot);
    }
    const change = tables.collapse(start, run | pageFlags(vma, 2));
    yield hostStep(
      'collapse_huge_page',
      `copies ${leaves.length} pages into the 2 MiB at HPA ${hex(run)} and maps HVA ${hex(start)} to them by one entry`,
      cost('copyPage', leaves.length) + cost('zeroPage4k', 512 - leaves.length),
      {
        addresses: { hva: start, hpa: run },
        writes: [change],
      },
    );
  });
  return ok(`HVA ${hex(start)} is one 2 MiB page at HPA ${hex(run)}`);
}

/**
 * madvise(MADV_DONTNEED), as a VMM applies it to pages that the guest's balloon gave back: the pages and their
 * content are dropped, and the next touch finds zeros.
 */
export function* discard(mm: Mm, start: Hva, end: Hva): Outcome {
  const { tables } = mm;
  const hugetlb = mm.areas.overlapping(start, end).find((v) => v.backing === '2m' || v.backing === '1g');
  if (hugetlb)
    return err(
      `${hugetlb.name} at HVA ${hex(hugetlb.start)} is hugetlbfs's, of which only whole huge pages can be given back`,
    );
  for (const edge of [start, hva(end - 1n)]) {
    const { leaf } = tables.descend(edge);
    const whole = leaf && alignDown(edge, HUGE) >= start && alignDown(edge, HUGE) + HUGE <= end;
    if (leaf?.level === 2 && whole !== true) {
      const split = yield* splitHuge(mm, edge);
      if (!split.ok) return split;
    }
  }
  let gone = 0;
  yield* mm.invalidate(start, end, function* () {
    const writes: ReturnType<typeof tables.update>[] = [];
    tables.each(start, end, (at, leaf) => {
      writes.push(tables.update(at, leaf, 0n));
      gone += release(mm, leaf);
    });
    yield hostStep(
      'zap_page_range_single',
      `MADV_DONTNEED of HVA ${hex(start)}-${hex(end)}: ${counted(gone, 'page')} ${gone === 1 ? 'goes' : 'go'} back to the host`,
      cost('pageReclaim', writes.length),
      {
        addresses: { hva: start },
        writes: writes.slice(0, MOST_WRITES),
      },
    );
  });
  return ok(
    `${counted(gone, 'page')} of HVA ${hex(start)}-${hex(end)} went back to the host; a later touch finds zeros`,
  );
}
/** Limit on the entries that one step lists. */
const MOST_WRITES = 64;

/** Releases what an entry held: frames or a swap slot. Returns the number of pages. */
export function release({ kernel }: Mm, leaf: Leaf): number {
  const slot = swapSlotOf(leaf.entry);
  const frames = Number(levelSize(leaf.level) >> 12n);
  if (slot !== undefined) kernel.swap.free(slot);
  else if (present(leaf)) kernel.putFrames(frameOf(leaf), frames);
  return frames;
}

/** Whether host software has used the page since the last call (folio_referenced_one): its A bit, which is cleared. */
export function testAndClearYoung(mm: Mm, page: Hva, leaf: Leaf): boolean {
  if ((leaf.entry & PTE_A) === 0n) return false;
  mm.tables.update(page, leaf, leaf.entry & ~PTE_A);
  return true;
}
