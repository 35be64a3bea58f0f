import { gpa as asGpa, type Gpa, type Hva } from '../../base/address';
import { hex } from '../../base/hex';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { HostMemory } from '../../hw/memory/host-memory';
import type { Access } from '../../hw/paging/access';
import type { PhysicalPort } from '../../hw/paging/physical';
import { WalkSink } from '../../hw/paging/trace';
import type { WalkOut } from '../../hw/paging/walk-out';
import type { AddressSpace } from '../../host/address-space';
import { cost } from '../../trace/costs';
import type { MmuNotifier } from '../../host/notifier';
import { hostStep, vmmStep, type Work } from '../../trace/step';
import { HostTables } from '../../host/walk';
import { DirtyLog, type DirtyLogState } from '../../kvm/dirty-log';
import { Memslots, slotHva, type SlotChange, type UserMemoryRegion } from '../../kvm/memslots';
import type { GuestRam } from '../accelerator';

/** The software TLB's interface for changes of host mappings. */
export interface SoftTlbs {
  /** tlb_flush: every translation of every CPU. */
  flushAll(): void;
  /** Drops what was cached of the host pages of these guest pages. Returns the number of entries. */
  withdrawHost(which: (gpa: bigint) => boolean): number;
}

/**
 * Guest physical memory of a machine emulated in software: QEMU's flat view of memory regions, each with the VMM's
 * own mapping of it. A GPA is resolved as by a load of the VMM: region, HVA, then the host's page tables, walked by
 * the host's MMU. A page that the host takes back is also dropped from the software TLB: QEMU keeps only the HVA
 * there, and the frame is known to the host's own TLB, which the host flushes.
 */
export class GuestMap implements GuestRam, PhysicalPort, MmuNotifier {
  readonly memslots = new Memslots();
  readonly dirtyLog = new DirtyLog();
  private readonly tables: HostTables;

  constructor(
    memory: HostMemory,
    private readonly space: AddressSpace,
    private readonly tlbs: SoftTlbs,
  ) {
    this.tables = new HostTables(memory, space.tables.levels);
    space.register(this);
  }

  // ---- PhysicalPort

  find(gpa: bigint, op: Access['op'], out: WalkOut, sink?: WalkSink): boolean {
    const address = asGpa(gpa);
    const write = op === 'write';
    const slot = this.memslots.find(address);
    out.loads = 0;
    if (!slot || (write && slot.readonly)) return out.fail('host', 'no-memory', 0, 0n, gpa);
    const { tables } = this;
    const host = tables.out;
    const steps = sink && new WalkSink();
    const found = tables.walk(this.space.cr3, slotHva(slot, address), write, steps);
    out.loads = host.loads;
    for (const step of steps?.steps ?? []) sink?.secondLevel(step);
    if (!found) {
      out.failAs(host, false);
      out.failedAddress = gpa;
      return false;
    }
    const clean = slot.logDirty && !this.dirtyLog.isDirty(slot, address);
    // the first write to a page of a logged region takes the slow path, which records it
    if (write && clean) return out.fail('host', 'write-protected', 0, 0n, gpa);
    out.address = host.address;
    out.pageShift = host.pageShift;
    out.readable = out.executable = true;
    out.dirty = host.dirty || write;
    out.writable = host.writable && !slot.readonly && !clean;
    return true;
  }

  used(write: boolean): void {
    this.tables.use(write);
  }

  // ---- GuestRam

  /** Functions of QEMU's memory API (system/memory.c): KVM is not called. */
  readonly calls: GuestRam['calls'] = {
    set: (region, before) => {
      if (region.memorySize === 0n) return 'memory_region_del_subregion';
      if (!before) return 'memory_region_add_subregion';
      if ((region.logDirty === true) !== before.logDirty) return 'memory_region_set_log';
      return 'memory_region_set_address';
    },
    dirtyLog: 'memory_region_snapshot_and_clear_dirty',
    range: 'region',
    cycles: cost('deviceModel'),
  };

  /** memory_region_transaction_commit, and its listener tcg_commit. */
  *setUserMemoryRegion(region: UserMemoryRegion): Work<Result<SlotChange, string>> {
    const changed = this.memslots.set(region);
    if (!changed.ok) return changed;
    const change = changed.value;
    if (change.kind === 'none') return changed;
    if (change.kind !== 'create' && change.old.logDirty) this.dirtyLog.stop(change.old);
    if (change.kind !== 'delete' && change.slot.logDirty) this.dirtyLog.start(change.slot);
    this.tlbs.flushAll();
    yield vmmStep('tcg_commit', 'the map of guest memory changed: the software TLB is flushed', cost('softTlbFlush'));
    return changed;
  }

  /** The dirty bitmap of a region; its pages are tracked again (tlb_reset_dirty). */
  *getDirtyLog(id: number): Work<Result<readonly Gpa[], string>> {
    const slot = this.memslots.byId(id);
    if (!slot) return err(`there is no memory region ${id}`);
    if (!slot.logDirty) return err(`region ${id}: dirty pages are not logged; switch logging on first`);
    const pages = this.dirtyLog.take(slot);
    const watched = new Set<bigint>(pages);
    const n = this.tlbs.withdrawHost((gpa) => watched.has(gpa));
    yield vmmStep(
      'tlb_reset_dirty',
      `${pages.length} pages of region ${id} were written; they are watched again (${n} TLB entries)`,
      cost('softTlbFlush'),
    );
    return ok(pages);
  }

  // ---- MmuNotifier: the host changes its tables

  *invalidateRangeStart(start: Hva, end: Hva): Work<void> {
    const n = this.withdraw(start, end);
    yield hostStep(
      'flush_tlb_mm_range',
      n === 0
        ? `HVA ${hex(start)}-${hex(end)}: the VMM's accesses have nothing cached for it`
        : `HVA ${hex(start)}-${hex(end)} leaves the host's TLB: ${n} ${n === 1 ? 'entry' : 'entries'} of the software TLB go through the host's tables again`,
      cost('hostTlbFlush'),
      { addresses: { hva: start } },
    );
  }
  // eslint-disable-next-line require-yield -- nothing waits for the end of an invalidation
  *invalidateRangeEnd(): Work<void> {
    return undefined;
  }
  /**
   * The next access looks cached entries up again, which sets the accessed flag of the host's entry. That flag is the
   * only one.
   */
  clearFlushYoung(start: Hva, end: Hva): boolean {
    this.withdraw(start, end);
    return false;
  }
  testYoung(): boolean {
    return false;
  }
  private withdraw(start: Hva, end: Hva): number {
    const within = this.within(start, end);
    return within ? this.tlbs.withdrawHost(within) : 0;
  }
  /** Whether a GPA leads into the range; undefined: none does. */
  private within(start: Hva, end: Hva): ((gpa: bigint) => boolean) | undefined {
    const ranges = this.memslots.byHva(start, end);
    return ranges.length === 0 ? undefined : (gpa) => ranges.some((r) => gpa >= r.start && gpa < r.end);
  }

  save(): GuestMapState {
    return { memslots: this.memslots.save(), dirtyLog: this.dirtyLog.save() };
  }
  restore(s: GuestMapState): void {
    this.memslots.restore(s.memslots);
    this.dirtyLog.restore(s.dirtyLog);
  }
}

export interface GuestMapState {
  readonly memslots: ReturnType<Memslots['save']>;
  readonly dirtyLog: DirtyLogState;
}
