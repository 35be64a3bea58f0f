import type { Hpa, Hva } from '../base/address';
import { alignDown, hpa, hva } from '../base/address';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { FRAMES_PER_1G, FRAMES_PER_2M } from '../hw/memory/frames';
import { FRAME_MASK, PTE_A, PTE_D, PTE_RW } from '../isa/entries';
import { cost, type CostName } from '../trace/costs';
import type { Mm } from './mm';
import { levelSize, type Leaf } from './page-tables';
import { makeRoom } from './reclaim';
import { hostStep, type Work } from '../trace/step';
import { swapSlotOf } from './swap';
import { pageFlags, type Vma } from './vma';

/**
 * Why the host kernel could not provide a page. The first two are SIGSEGV to the process, the last SIGBUS or the OOM
 * killer.
 */
export interface HostFaultError {
  readonly kind: 'no-vma' | 'no-access' | 'no-memory';
  readonly address: Hva;
  /** Why no frame could be freed. */
  readonly why?: string;
}

/** One sentence for the user. */
export function describeHostFault(e: HostFaultError): string {
  switch (e.kind) {
    case 'no-vma':
      return `no mapping of the VMM holds HVA ${hex(e.address)}`;
    case 'no-access':
      return `the VMM's mapping of HVA ${hex(e.address)} does not allow the access`;
    case 'no-memory':
      return `host memory is exhausted: no frame for HVA ${hex(e.address)}${e.why === undefined ? '' : ` (${e.why})`}`;
  }
}

/** Upper bound for one fault: the page, and tables of three levels. */
const FAULT_FRAMES = 4;

const FN: Readonly<Record<number, string>> = {
  1: 'do_anonymous_page',
  2: 'do_huge_pmd_anonymous_page',
  3: 'hugetlb_no_page',
};
const ZERO_COST: Readonly<Record<number, CostName>> = { 1: 'zeroPage4k', 2: 'zeroPage2m', 3: 'zeroPage1g' };
const NAME: Readonly<Record<number, string>> = { 1: '4 KiB', 2: '2 MiB', 3: '1 GiB' };

/**
 * The host's page-fault handler for anonymous memory (mm/memory.c, mm/huge_memory.c, mm/hugetlb.c). Pages are zeroed
 * on first touch. A read fault gets its own writable page as a write fault does: the shared zero page is left out, as
 * mm_forbids_zeropage() does for some processes.
 */
export class HostFaults {
  constructor(private readonly mm: Mm) {}

  /** handle_mm_fault and, if it finds no memory, the end of the process (mm/oom_kill.c). */
  *handle(address: Hva, write: boolean): Work<Result<void, HostFaultError>> {
    const done = yield* this.fault(address, write);
    if (done.ok || done.error.kind !== 'no-memory') return done;
    const { frames, swap, vmstat } = this.mm.kernel;
    const why = `${frames.framesFree} frames are free, ${swap.used} of ${swap.capacity} pages of swap in use, and reclaim finds nothing to take`;
    vmstat.oom_kill++;
    yield hostStep('out_of_memory', `${why}: the VMM is killed`, cost('hostFault'), { addresses: { hva: address } });
    return err({ ...done.error, why });
  }

  private *fault(address: Hva, write: boolean): Work<Result<void, HostFaultError>> {
    const { areas, tables, kernel } = this.mm;
    const vma = areas.find(address);
    yield hostStep(
      'handle_mm_fault',
      vma
        ? `finds the VMA ${vma.name} (${hex(vma.start)}-${hex(vma.end)}) for HVA ${hex(address)}`
        : `finds no VMA for HVA ${hex(address)}`,
      cost('hostFault'),
      { addresses: { hva: address } },
    );
    if (!vma) return err({ kind: 'no-vma', address });
    if (!vma.protection.read || (write && !vma.protection.write)) return err({ kind: 'no-access', address });

    kernel.vmstat.pgfault++;
    // before anything is looked up, so reclaim cannot take what this fault has found
    yield* makeRoom(this.mm, FAULT_FRAMES);
    const { leaf } = tables.descend(address);
    if (leaf) return write && (leaf.entry & PTE_RW) === 0n ? yield* this.makeWritable(address, leaf) : ok(undefined);
    const pte = tables.pte(address);
    const slot = pte && swapSlotOf(pte.entry);
    if (slot !== undefined) return yield* this.swapIn(vma, address, slot);
    const level = this.chooseLevel(vma, address);
    const frame = this.allocate(alignDown(address, levelSize(level)), level);
    if (frame === undefined) {
      // khugepaged's fallback; hugetlb has none
      if (vma.backing === 'thp' && level === 2)
        return yield* this.install(vma, address, 1, this.allocate(alignDown(address, 4096n), 1));
      return err({ kind: 'no-memory', address });
    }
    return yield* this.install(vma, address, level, frame);
  }

  /** do_wp_page: a page that only this mapping uses becomes writable; a merged one is copied first (wp_page_copy). */
  private *makeWritable(address: Hva, leaf: Leaf): Work<Result<void, HostFaultError>> {
    const { kernel, tables } = this.mm;
    const page = alignDown(address, levelSize(leaf.level));
    const frame = hpa(leaf.entry & FRAME_MASK);
    if (kernel.mergedCount(frame) === 0) {
      const change = tables.update(address, leaf, leaf.entry | PTE_RW | PTE_D);
      yield hostStep('do_wp_page', `makes the entry for HVA ${hex(address)} writable`, cost('eptEntry'), {
        addresses: { hva: address },
        writes: [change],
      });
      return ok(undefined);
    }
    const copy = kernel.frames.allocate();
    if (copy === undefined) return err({ kind: 'no-memory', address });
    kernel.memory.write(copy, kernel.memory.read(frame, 4096));
    yield hostStep(
      'wp_page_copy',
      `the page at HVA ${hex(page)} is shared by same-page merging: copies HPA ${hex(frame)} to HPA ${hex(copy)}`,
      cost('copyPage'),
      {
        addresses: { hva: page, hpa: copy },
      },
    );
    yield* this.mm.invalidate(page, hva(page + 4096n), function* () {
      const change = tables.update(address, leaf, (leaf.entry & ~FRAME_MASK) | copy | PTE_RW | PTE_D | PTE_A);
      kernel.putFrames(frame);
      yield hostStep(
        'set_pte_at_notify',
        `maps HVA ${hex(page)} to its own copy at HPA ${hex(copy)}, writable`,
        cost('eptEntry'),
        {
          addresses: { hva: page, hpa: copy },
          writes: [change],
        },
      );
    });
    return ok(undefined);
  }

  /**
   * do_swap_page: the page returns from swap into any free frame. Nothing was derived from an entry that was not
   * present.
   */
  private *swapIn(vma: Vma, address: Hva, slot: number): Work<Result<void, HostFaultError>> {
    const { kernel, tables } = this.mm;
    const page = alignDown(address, 4096n);
    const frame = kernel.frames.allocate();
    if (frame === undefined) return err({ kind: 'no-memory', address });
    kernel.memory.write(frame, kernel.swap.read(slot));
    kernel.swap.free(slot);
    kernel.vmstat.pgmajfault++;
    kernel.vmstat.pswpin++;
    const mapped = tables.map(page, 1, frame | pageFlags(vma, 1));
    // the table that held the swap entry exists
    if (!mapped.ok) return err({ kind: 'no-memory', address });
    yield hostStep(
      'do_swap_page',
      `reads HVA ${hex(page)} from swap slot ${slot} into HPA ${hex(frame)}`,
      cost('swapIn') + cost('eptEntry'),
      {
        addresses: { hva: page, hpa: frame },
        writes: mapped.value,
      },
    );
    return ok(undefined);
  }

  private *install(vma: Vma, address: Hva, level: number, frame: Hpa | undefined): Work<Result<void, HostFaultError>> {
    if (frame === undefined) return err({ kind: 'no-memory', address });
    const page = alignDown(address, levelSize(level));
    const mapped = this.mm.tables.map(page, level, frame | pageFlags(vma, level));
    if (!mapped.ok) {
      this.mm.kernel.frames.free(frame, Number(levelSize(level) >> 12n));
      return err({ kind: 'no-memory', address });
    }
    const tables = mapped.value.length - 1;
    if (level === 2 && vma.backing === 'thp') this.mm.kernel.vmstat.thp_fault_alloc++;
    yield hostStep(
      FN[level] ?? 'do_anonymous_page',
      `gives HVA ${hex(page)} a zeroed ${NAME[level]} page at HPA ${hex(frame)}` +
        (tables > 0 ? `, with ${tables} new page table${tables > 1 ? 's' : ''}` : ''),
      cost(ZERO_COST[level] ?? 'zeroPage4k') + cost('zeroPage4k', tables) + cost('eptEntry', tables + 1),
      { addresses: { hva: page, hpa: frame }, writes: mapped.value },
    );
    return ok(undefined);
  }

  /**
   * Level of the page to map: hugetlb's own size; a transparent huge page if the aligned 2 MiB lie inside the VMA and
   * nothing smaller is mapped there.
   */
  private chooseLevel(vma: Vma, address: Hva): number {
    switch (vma.backing) {
      case '4k':
        return 1;
      case '2m':
        return 2;
      case '1g':
        return 3;
      case 'thp': {
        const size = levelSize(2);
        const start = alignDown(address, size);
        const fits = start >= vma.start && start + size <= vma.end;
        return fits && !this.mm.tables.hasTable(address, 2) && !this.placedIn(start, start + size) ? 2 : 1;
      }
    }
  }

  private allocate(page: Hva, level: number): Hpa | undefined {
    const { kernel, places } = this.mm;
    switch (level) {
      case 1: {
        const place = places.get(page);
        places.delete(page);
        return place ?? kernel.frames.allocate();
      }
      case 2:
        return kernel.frames.allocateAligned(FRAMES_PER_2M);
      default:
        return kernel.frames.allocateAligned(FRAMES_PER_1G);
    }
  }

  private placedIn(start: bigint, end: bigint): boolean {
    for (const page of this.mm.places.keys()) if (page >= start && page < end) return true;
    return false;
  }
}
