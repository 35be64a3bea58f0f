import type { Hpa, Hva } from '../base/address';
import { alignDown, hpa, hva } from '../base/address';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { FRAME_MASK, PTE_A, PTE_D, PTE_P, PTE_RW } from '../isa/entries';
import { cost } from '../trace/costs';
import { describeHostFault, HostFaults, type HostFaultError } from './fault';
import type { HostKernel } from './kernel';
import { Mm } from './mm';
import type { MmuNotifier } from './notifier';
import { pageActions, type PageAction } from './page-actions';
import { collapse, discard, merge, migrate, release, splitHuge, swapOut, type Outcome } from './page-events';
import { makeRoom } from './reclaim';
import { levelShift, levelSize, type HostPageTables } from './page-tables';
import { hostStep, type Work } from '../trace/step';
import { swapSlotOf } from './swap';
import { HOST_CONTROLS } from './walk';
import { readTable, type TableEntryView, type TableRef } from './table-view';
import { BACKING_SIZE, READ_WRITE, type Backing, type Protection, type Vma } from './vma';

/** A user page found or faulted in: the result of get_user_pages. */
export interface UserPage {
  /** The 4 KiB frame that holds the HVA. */
  readonly frame: Hpa;
  /** log2 of the host page's size: 12, 21 or 30. */
  readonly pageShift: number;
  readonly writable: boolean;
}

/** Where an HVA leads now, without faulting anything in. */
export interface HostLookup {
  readonly hpa: Hpa;
  readonly pageShift: number;
  readonly writable: boolean;
}

export interface MmapRequest {
  /** MAP_FIXED_NOREPLACE: exactly here. Otherwise the first fit at or above `hint`. */
  readonly at?: Hva;
  readonly hint?: Hva;
  readonly protection?: Protection;
  readonly backing?: Backing;
  readonly name: string;
}

/** A page whose reserved frame has not been mapped yet. */
export interface Unplaced {
  readonly page: Hva;
  readonly frame: Hpa;
  readonly why: string;
  /** Touching the page would not help. */
  readonly never: boolean;
}

/** One process of the host: VMAs, and page tables in host memory that are filled on demand. */
export class AddressSpace {
  private readonly faults: HostFaults;

  private constructor(private readonly mm: Mm) {
    this.faults = new HostFaults(mm);
  }

  /**
   * A new process. `placements` (page HVA → frame HPA) are reserved before anything else takes a frame; each page
   * gets its frame on first touch. Fails if a frame lies outside host memory or is requested twice.
   */
  static create(
    kernel: HostKernel,
    placements: readonly { readonly hva: Hva; readonly hpa: Hpa }[] = [],
  ): Result<AddressSpace, string> {
    const places = new Map<Hva, Hpa>();
    for (const p of placements) {
      const page = alignDown(p.hva, 4096n);
      const frame = alignDown(p.hpa, 4096n);
      if ((p.hva ^ p.hpa) & 0xfffn)
        return err(`place ${hex(p.hva)} ${hex(p.hpa)}: the two addresses differ within a page`);
      if (places.has(page)) return err(`place ${hex(p.hva)} ${hex(p.hpa)}: the page at ${hex(page)} is placed twice`);
      if (!kernel.memory.contains(frame, 4096))
        return err(`place ${hex(p.hva)} ${hex(p.hpa)}: no host memory at ${hex(frame)}`);
      if (!kernel.frames.reserve(frame)) return err(`place ${hex(p.hva)} ${hex(p.hpa)}: the frame is already in use`);
      places.set(page, frame);
    }
    const root = kernel.frames.allocate();
    return root === undefined ? err('host memory is exhausted') : ok(new AddressSpace(new Mm(kernel, root, places)));
  }

  /** Pages whose reserved frame has not been mapped yet, and why not. */
  unplaced(): readonly Unplaced[] {
    const { areas, places } = this.mm;
    return [...places].map(([page, frame]) => {
      const vma = areas.find(page);
      if (!vma) {
        const mapped = areas.all.map((v) => `${hex(v.start)}-${hex(v.end)}`).join(', ');
        const why = `nothing is mapped at HVA ${hex(page)}; the VMM's mappings are ${mapped}`;
        return { page, frame, why, never: false };
      }
      const never = vma.backing === '2m' || vma.backing === '1g';
      const why = never
        ? `HVA ${hex(page)} is backed by ${vma.backing} pages of hugetlbfs, which a 4 KiB frame cannot be part of; use host-pages=4k or thp`
        : `HVA ${hex(page)} was never touched`;
      return { page, frame, why, never };
    });
  }

  get tables(): HostPageTables {
    return this.mm.tables;
  }
  /** The value of CR3 while this process runs. */
  get cr3(): Hpa {
    return this.tables.root;
  }
  /** KVM's mmu_invalidate_seq: counts the table changes reported to notifiers. */
  get changeCount(): number {
    return this.mm.changes;
  }
  /** The actions possible for the page at `address` in its current state. */
  pageActions(address: Hva): readonly PageAction[] {
    return pageActions(this.mm, address);
  }
  vmas(): readonly Vma[] {
    return this.mm.areas.all;
  }
  rootTable(): TableRef {
    const { levels, root } = this.tables;
    return { format: { kind: 'host', rules: HOST_CONTROLS[levels] }, level: levels, table: root, start: 0n };
  }
  readTable(ref: TableRef): readonly TableEntryView[] {
    return readTable(this.mm.kernel.memory, ref);
  }
  register(notifier: MmuNotifier): void {
    this.mm.register(notifier);
  }

  /** Reserves address space; no frame is used until a fault. `length` in bytes. */
  mmap(length: bigint, request: MmapRequest): Result<Vma, string> {
    const backing = request.backing ?? '4k';
    const size = BACKING_SIZE[backing];
    if (length <= 0n || length % size !== 0n)
      return err(`${request.name}: ${hex(length)} bytes is not a whole number of ${backing} pages`);
    const start =
      request.at ?? this.mm.areas.gap(request.hint ?? hva(0x1_0000n), length, size > 0x20_0000n ? size : 0x20_0000n);
    const end = hva(start + length);
    if (start % size !== 0n) return err(`${request.name}: ${hex(start)} is not aligned to ${backing} pages`);
    if (end <= start || end > USER_END)
      return err(
        `${request.name}: ${hex(start)} and ${hex(length)} bytes extend beyond user space, which ends at ${hex(USER_END)}`,
      );
    const clash = this.mm.areas.overlapping(start, end)[0];
    if (clash)
      return err(
        `${request.name}: ${hex(start)}-${hex(end)} overlaps ${clash.name} at ${hex(clash.start)}-${hex(clash.end)}`,
      );
    const vma: Vma = { start, end, protection: request.protection ?? READ_WRITE, backing, name: request.name };
    this.mm.areas.insert(vma);
    return ok(vma);
  }

  /**
   * Unmaps the range: notifiers drop what they derived, frames return to the kernel. Fails if a bound would cut a
   * huge page.
   */
  munmap(start: Hva, end: Hva): Work<Result<void, string>> {
    const { mm } = this;
    return this.change(start, end, 'unmap_region', `unmaps HVA ${hex(start)}-${hex(end)}`, () => {
      mm.tables.each(start, end, (at, leaf) => {
        mm.tables.update(at, leaf, 0n);
        release(mm, leaf);
      });
      for (const [page, frame] of mm.places) {
        if (page < start || page >= end) continue;
        mm.places.delete(page);
        mm.kernel.frames.free(frame);
      }
      mm.areas.replace(start, end, () => undefined);
    });
  }

  /**
   * Changes the protection; a removed right is removed from the page tables too, an added one is left to the next
   * fault.
   */
  mprotect(start: Hva, end: Hva, protection: Protection): Work<Result<void, string>> {
    const { tables, areas } = this.mm;
    return this.change(
      start,
      end,
      'change_protection',
      `HVA ${hex(start)}-${hex(end)} becomes ${protection.write ? 'writable' : 'read-only'}`,
      () => {
        areas.replace(start, end, (piece) => ({ ...piece, protection }));
        tables.each(start, end, (at, leaf) => {
          if (!protection.write && (leaf.entry & PTE_P) !== 0n) tables.update(at, leaf, leaf.entry & ~PTE_RW);
        });
      },
    );
  }

  /** mprotect of a page to PROT_NONE and back: its entry is unchanged, and whatever others derived from it is gone. */
  flushPage(page: Hva): Work<Result<void, string>> {
    const end = hva(page + 4096n);
    const what = `HVA ${hex(page)} becomes inaccessible and then accessible again`;
    return this.change(page, end, 'change_protection', what, () => undefined);
  }

  // ---- page events of a running host (page-events.ts). Each goes through the notifiers.

  swapOut(address: Hva): Outcome {
    return swapOut(this.mm, address);
  }
  /** Into `to`, or into any free frame. */
  migrate(address: Hva, to?: Hpa): Outcome {
    return migrate(this.mm, address, to);
  }
  /** Same-page merging of two pages with the same content. */
  merge(one: Hva, other: Hva): Outcome {
    return merge(this.mm, one, other);
  }
  collapse(address: Hva): Outcome {
    return collapse(this.mm, address);
  }
  splitHuge(address: Hva): Outcome {
    return splitHuge(this.mm, address);
  }
  discard(start: Hva, end: Hva): Outcome {
    return discard(this.mm, start, end);
  }

  /**
   * madvise(MADV_WILLNEED), as a VMM applies it to pages that the guest takes back from its balloon: swapped pages
   * are read in, absent ones stay absent until touched. Linux reads into the swap cache; we have none, so the pages
   * are mapped.
   */
  *willNeed(start: Hva, end: Hva): Outcome {
    const swapped: Hva[] = [];
    this.tables.each(start, end, (at, leaf) => {
      if (swapSlotOf(leaf.entry) !== undefined) swapped.push(at);
    });
    yield hostStep(
      'madvise_willneed',
      `MADV_WILLNEED of HVA ${hex(start)}-${hex(end)}: ${swapped.length} pages are in swap and are read; others come with the next touch`,
      cost('syscall'),
      { addresses: { hva: start } },
    );
    for (const at of swapped) {
      const read = yield* this.handleFault(at, false);
      if (!read.ok) return err(describeHostFault(read.error));
    }
    return ok(
      `${swapped.length} pages of HVA ${hex(start)}-${hex(end)} were read from swap; the guest may use the range again`,
    );
  }

  /** The swap slot that holds the page of `address`; undefined: not swapped out. */
  swapSlot(address: Hva): number | undefined {
    const pte = this.tables.pte(address);
    return pte && swapSlotOf(pte.entry);
  }
  /**
   * The content of the page of `address`, wherever it is: 4 KiB. An untouched page is zeros; undefined: no VMA.
   * Changes nothing.
   */
  peekPage(address: Hva): Uint8Array | undefined {
    const { kernel, areas } = this.mm;
    const found = this.lookup(address);
    if (found) return kernel.memory.read(alignDown(found.hpa, 4096n), 4096);
    const slot = this.swapSlot(address);
    if (slot !== undefined) return kernel.swap.read(slot);
    return areas.find(address) ? new Uint8Array(4096) : undefined;
  }

  /** Where `address` leads now. Reads tables, changes nothing. */
  lookup(address: Hva): HostLookup | undefined {
    const { leaf } = this.tables.descend(address);
    if (!leaf) return undefined;
    const size = levelSize(leaf.level);
    return {
      hpa: hpa((leaf.entry & FRAME_MASK & ~(size - 1n)) | (address & (size - 1n))),
      pageShift: levelShift(leaf.level),
      writable: (leaf.entry & PTE_RW) !== 0n,
    };
  }

  /** Frames for kernel memory: reclaims if fewer than `frames` are free above the watermark. */
  makeRoom(frames: number): Work<void> {
    return makeRoom(this.mm, frames);
  }

  /**
   * Whether the page of `address` was used since reclaim last checked, by the process or through a secondary MMU.
   * Changes nothing.
   */
  young(address: Hva): boolean {
    const { leaf } = this.tables.descend(address);
    if (!leaf) return false;
    const start = alignDown(address, levelSize(leaf.level));
    return (leaf.entry & PTE_A) !== 0n || this.mm.testYoung(start, hva(start + levelSize(leaf.level)));
  }

  /** handle_mm_fault: how the host kernel handles a fault of this process. */
  handleFault(address: Hva, write: boolean): Work<Result<void, HostFaultError>> {
    return this.faults.handle(address, write);
  }

  /**
   * get_user_page_fast_only: the descent alone. Present and, for a write, writable; otherwise undefined, and the
   * caller takes the slow path.
   */
  *getUserPageFast(address: Hva, write: boolean): Work<UserPage | undefined> {
    const { reads, leaf } = this.tables.descend(address);
    const writable = leaf !== undefined && (leaf.entry & PTE_RW) !== 0n;
    const usable = leaf !== undefined && (!write || writable);
    yield hostStep(
      'gup_fast',
      leaf === undefined
        ? `walks the host page tables: no entry for HVA ${hex(address)} at level ${this.tables.levels + 1 - Math.max(1, reads.length)}`
        : usable
          ? `walks the host page tables: HVA ${hex(address)} is in a ${PAGE_NAME[leaf.level]} host page`
          : `walks the host page tables: the entry for HVA ${hex(address)} is read-only`,
      cost('gup') + cost('tableReference', reads.length),
      { addresses: { hva: address }, reads },
    );
    if (leaf === undefined || !usable) return undefined;
    const found = this.lookup(address);
    return found && { frame: alignDown(found.hpa, 4096n), pageShift: found.pageShift, writable };
  }

  /** get_user_pages_unlocked: faults the page in if needed. */
  *getUserPage(address: Hva, write: boolean): Work<Result<UserPage, HostFaultError>> {
    for (;;) {
      const fault = yield* this.handleFault(address, write);
      if (!fault.ok) return fault;
      const page = yield* this.getUserPageFast(address, write);
      // a page that a host event removed between two steps is faulted in again
      if (page) return ok(page);
    }
  }

  /** The process stores bytes, faulting pages in as a store would. */
  *write(address: Hva, bytes: Uint8Array): Work<Result<void, HostFaultError>> {
    for (let done = 0; done < bytes.length;) {
      const at = hva(address + BigInt(done));
      const found = yield* this.resolve(at, true);
      if (!found.ok) return found;
      const n = Math.min(bytes.length - done, 4096 - Number(at & 0xfffn));
      this.mm.kernel.memory.write(found.value, bytes.subarray(done, done + n));
      done += n;
    }
    return ok(undefined);
  }

  /** The process loads bytes, faulting pages in as a load would. */
  *read(address: Hva, length: number): Work<Result<Uint8Array, HostFaultError>> {
    const out = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const at = hva(address + BigInt(done));
      const found = yield* this.resolve(at, false);
      if (!found.ok) return found;
      const n = Math.min(length - done, 4096 - Number(at & 0xfffn));
      out.set(this.mm.kernel.memory.read(found.value, n), done);
      done += n;
    }
    return ok(out);
  }

  /** The HPA that holds `address`, faulted in if needed. */
  *resolve(address: Hva, write: boolean): Work<Result<Hpa, HostFaultError>> {
    for (;;) {
      const { leaf } = this.tables.descend(address);
      const found = leaf && this.lookup(address);
      if (found && (found.writable || !write)) {
        // what the CPU does while it runs the process
        const flags = PTE_A | (write ? PTE_D : 0n);
        if ((leaf.entry & flags) !== flags) this.tables.update(address, leaf, leaf.entry | flags);
        return ok(found.hpa);
      }
      const fault = yield* this.handleFault(address, write);
      if (!fault.ok) return fault;
    }
  }

  save(): AddressSpaceState {
    const { areas, places, changes, hand } = this.mm;
    return { areas: areas.save(), places: [...places], changes, hand };
  }
  restore(s: AddressSpaceState): void {
    const { mm } = this;
    mm.areas.restore(s.areas);
    mm.places.clear();
    for (const [page, frame] of s.places) mm.places.set(page, frame);
    mm.changes = s.changes;
    mm.hand = s.hand;
  }

  private *change(start: Hva, end: Hva, fn: string, what: string, edit: () => void): Work<Result<void, string>> {
    if ((start | end) & 0xfffn) return err(`${hex(start)}-${hex(end)}: bounds are whole pages`);
    let cut: Hva | undefined;
    this.tables.each(start, end, (at, leaf) => {
      if (at < start || at + levelSize(leaf.level) > end) cut = at;
    });
    if (cut !== undefined) return err(`${hex(start)}-${hex(end)} cuts the huge page at ${hex(cut)}`);
    yield* this.mm.invalidate(start, end, function* () {
      edit();
      yield hostStep(fn, what, cost('hostFault'), { addresses: { hva: start } });
    });
    return ok(undefined);
  }
}

export interface AddressSpaceState {
  readonly areas: readonly Vma[];
  readonly places: readonly (readonly [Hva, Hpa])[];
  readonly changes: number;
  readonly hand: Hva;
}

/** TASK_SIZE with 4-level tables. */
const USER_END = 0x7fff_ffff_f000n;
const PAGE_NAME: Readonly<Record<number, string>> = { 1: '4 KiB', 2: '2 MiB', 3: '1 GiB' };
