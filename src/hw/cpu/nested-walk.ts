import { FRAME_MASK, PTE_RW, PTE_US, PTE_XD } from '../../isa/entries';
import type { HostMemory } from '../memory/host-memory';
import { type Access } from '../paging/access';
import { FORMATS, levelShift, type PagingControls } from '../paging/controls';
import { eptFlagsMissing } from '../paging/ept';
import { updateNestedFlags, walkNested, type NestedTables } from '../paging/nested';
import type { PhysicalPort } from '../paging/physical';
import { WRITE_LOST, updateAccessedDirty, walkOrdinary, type EntryPort } from '../paging/ordinary';
import type { WalkSink } from '../paging/trace';
import { WalkOut, type WalkStart } from '../paging/walk-out';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import type { Tlb } from '../tlb/tlb';
import type { PmlLog } from '../vmx/pml';
import { newCounters, type CpuCounters } from './counters';

/** Bit 6 of EPTP, which makes accesses to guest paging structures writes. */
const EPT_FLAGS = 'EPTP bit 6 = 1';

/**
 * A CPU's walk of a linear address in both dimensions: the guest's tables, and under EPT or nested paging a second-level walk for each entry's own address and for the final one. Sets
 * accessed and dirty flags, keeps the paging-structure caches and the page-modification log, counts references. Knows no TLB entry and raises nothing: a walk that
 * fails says why in `out`.
 */
export class NestedWalk implements EntryPort {
  readonly table = 'guest' as const;
  /** The guest walk, and the last second-level walk. */
  readonly out = new WalkOut();
  readonly second = new WalkOut();
  tables: NestedTables | undefined;
  pml: PmlLog | undefined;
  /** The walk ended because the page-modification log has no room for what it must set. */
  pmlFull = false;
  /** The guest-table entry whose second-level walk failed was accessed as a write. */
  tableWrite = false;
  /** What is behind physical addresses, where that is not host memory itself; asked where no EPT is in use. */
  physical: PhysicalPort | undefined;
  /** The walk of both dimensions came to where no RAM answers: `out` has the address. */
  device = false;
  counters: CpuCounters = newCounters();
  /** While set, walks change and count nothing. */
  probing = false;
  private guestLoads = 0;
  private nestedLoads = 0;

  constructor(
    private readonly state: CpuState,
    readonly memory: HostMemory,
    private readonly tlb: Tlb,
    readonly physicalBits: number,
  ) {}

  get space(): 'gpa' | 'hpa' {
    return (this.tables ?? this.physical) ? 'gpa' : 'hpa';
  }
  readonly loaded = (): void => {
    if (!this.probing) this.guestLoads++;
  };
  private readonly countNested = (): void => void this.nestedLoads++;
  private readonly noteAccessedDirty = (): void => void this.counters.accessedDirtyWrites++;

  /**
   * Walks for an access: `out` then has the guest's translation and, under EPT, `second` that of the final address. False: the failure is in `out` (or `pmlFull` is set) and
   * has been counted.
   */
  walk(c: PagingControls, linear: bigint, access: Access, ac: boolean): boolean {
    this.guestLoads = 0;
    this.nestedLoads = 0;
    this.device = false;
    const good = this.both(c, linear, access, ac);
    const n = this.counters;
    if (good) {
      n.walks++;
      n.guestReferences += this.guestLoads;
      n.nestedReferences += this.nestedLoads;
    } else {
      n.failedWalks++;
      n.failedGuestReferences += this.guestLoads;
      n.failedNestedReferences += this.nestedLoads;
    }
    return good;
  }
  private both(c: PagingControls, linear: bigint, access: Access, ac: boolean): boolean {
    const out = this.out;
    const write = access.op === 'write';
    const paged = c.format !== 'none';
    const start = paged ? this.cachedStart(c, linear) : undefined;
    const pdptes = this.pdptes(c);
    const root = this.state.get(SLOT.CR3);
    let began = start;
    let good = walkOrdinary(this, root, c, linear, access, ac, out, undefined, pdptes, start);
    if (!good && start && out.failedTable === 'guest') {
      // a page fault invalidates what led to it (SDM vol. 3, 4.10.4.1): as with the TLB, the tables decide
      const now = this.tlb.context;
      this.tlb.walkCache?.drop((x) => x.vpid === now.vpid && x.pcid === now.pcid && x.eptp === now.eptp);
      began = undefined;
      good = walkOrdinary(this, root, c, linear, access, ac, out, undefined, pdptes);
    }
    if (!good || (paged && !updateAccessedDirty(this, c, write, out, this.noteAccessedDirty))) return false;
    if (paged && this.tlb.walkCache) this.fillCaches(c, linear, began);
    if (!this.tables) return this.physical === undefined || this.findFinal(this.physical, access.op);
    const { tables, second, countNested } = this;
    if (!walkNested(this.memory, tables, out.address, access.op, this.physicalBits, second, undefined, countNested))
      return out.failAs(second, false);
    return this.setFlags(out.address, write);
  }

  private findFinal(physical: PhysicalPort, op: Access['op']): boolean {
    if (physical.find(this.out.address, op, this.second, undefined, this.countNested)) {
      physical.used(op === 'write');
      return true;
    }
    this.device = this.second.reason === 'no-memory';
    if (!this.device) this.out.failAs(this.second, false);
    return this.device;
  }
  /** Finds the memory behind a translation that the TLB still has. False: the failure is in `second`. */
  findAgain(physical: PhysicalPort, gpa: bigint, op: Access['op']): boolean {
    this.nestedLoads = 0;
    const found = physical.find(gpa, op, this.second, undefined, this.countNested);
    if (found) {
      physical.used(op === 'write');
      this.counters.nestedReferences += this.nestedLoads;
    } else this.counters.failedNestedReferences += this.nestedLoads;
    return found;
  }

  /** The PDPTE registers, for PAE paging; undefined where nested paging has them in memory. */
  pdptes(c: PagingControls): readonly bigint[] | undefined {
    return c.format === 'pae' && this.tables?.kind !== 'npt'
      ? [0, 1, 2, 3].map((i) => this.state.get(SLOT.PDPTE0 + i))
      : undefined;
  }

  // ---- EntryPort: guest table entries

  locate(address: bigint, write: boolean, out: WalkOut, sink: WalkSink | undefined): number {
    if (this.tables === undefined && this.physical !== undefined)
      return this.findEntry(this.physical, address, write, sink);
    if (!this.tables) {
      const at = this.memory.offsetOf(address);
      if (at < 0) out.fail('guest', 'no-memory', 0, 0n, address);
      return at;
    }
    // with accessed and dirty flags enabled, accesses to guest paging structures are treated as writes (SDM vol. 3, 28.3.3.2), under nested paging always (APM vol. 2, 15.25.5)
    const asWrite = write || this.tables.accessedDirty;
    const nested = sink ? sink.nested.bind(sink) : undefined;
    const count = this.probing || write ? undefined : this.countNested;
    const op = asWrite ? 'write' : 'read';
    if (!walkNested(this.memory, this.tables, address, op, this.physicalBits, this.second, nested, count)) {
      this.tableWrite = asWrite;
      this.out.failAs(this.second, true, asWrite && !write && this.tables.kind === 'ept' ? EPT_FLAGS : undefined);
      return -1;
    }
    if (!this.probing && !this.setFlags(address, asWrite)) return -1;
    return this.memory.offsetOf(this.second.address);
  }
  private findEntry(physical: PhysicalPort, gpa: bigint, write: boolean, sink: WalkSink | undefined): number {
    const step = sink ? sink.nested.bind(sink) : undefined;
    const count = this.probing || write ? undefined : this.countNested;
    if (physical.find(gpa, write ? 'write' : 'read', this.second, step, count)) {
      if (!this.probing) physical.used(write);
      return this.memory.offsetOf(this.second.address);
    }
    // where no RAM is the VMM's memory reads as zero, an entry that is not present; what cannot be written drops writes (unassigned_mem_read, and ROM, in QEMU's memory.c)
    if (this.second.reason === 'no-memory') {
      if (write) return WRITE_LOST;
      this.out.fail('guest', 'no-memory', 0, 0n, gpa);
      return -1;
    }
    this.tableWrite = write;
    this.out.failAs(this.second, true);
    return -1;
  }
  /** The second level's accessed and dirty flags for the walk in `second`, and the page-modification log. False: the log is full, and nothing was changed. */
  private setFlags(gpa: bigint, write: boolean): boolean {
    if (this.tables?.accessedDirty !== true) return true;
    const { pml, second } = this;
    const missing = pml ? eptFlagsMissing(write, second) : 'none';
    if (missing !== 'none' && pml?.full === true) {
      this.pmlFull = true;
      return false;
    }
    this.counters.accessedDirtyWrites += updateNestedFlags(this.memory, this.tables, write, second);
    if (missing === 'dirty') pml?.add(gpa);
    return true;
  }

  // ---- paging-structure caches

  private cachedStart(c: PagingControls, linear: bigint): WalkStart | undefined {
    const { walkCache, context } = this.tlb;
    const { format } = c;
    if (!walkCache || format === 'none') return undefined;
    return walkCache.find(linear, context, FORMATS[format].levels, (level) => levelShift(format, level));
  }
  /** Keeps the entries above the leaf of the walk in `out`, which completed with its accessed flags set. `start`: where it began, if not at the root. */
  private fillCaches(c: PagingControls, linear: bigint, start: WalkStart | undefined): void {
    const { walkCache, context } = this.tlb;
    const { format } = c;
    const { out } = this;
    if (!walkCache || format === 'none') return;
    // PAE's third level is in registers and not among the entries
    let level = start?.level ?? (format === 'pae' ? 2 : FORMATS[format].levels);
    let [writable, user, executeDisable] = [
      start?.writable ?? true,
      start?.user ?? true,
      start?.executeDisable ?? false,
    ];
    for (let i = 0; i < out.depth - 1; i++, level--) {
      const entry = out.entries[i] as bigint;
      writable &&= (entry & PTE_RW) !== 0n;
      user &&= (entry & PTE_US) !== 0n;
      executeDisable ||= format !== '32bit' && (entry & PTE_XD) !== 0n;
      const table = format === '32bit' ? entry & 0xffff_f000n : entry & FRAME_MASK;
      const next = out.offsets[i + 1] as number;
      const offset = next - (next % 4096);
      walkCache.fill(level, levelShift(format, level), linear, context, {
        table,
        offset,
        writable,
        user,
        executeDisable,
      });
    }
  }
}
