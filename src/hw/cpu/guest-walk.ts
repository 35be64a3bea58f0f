import { FRAME_MASK, PTE_RW, PTE_US, PTE_XD } from '../../isa/entries';
import type { HostMemory } from '../memory/host-memory';
import { type Access } from '../paging/access';
import { FORMATS, levelShift, type PagingControls } from '../paging/controls';
import { eptFlagsMissing } from '../paging/ept';
import { updateSecondLevelFlags, walkSecondLevel, type SecondLevelTables } from '../paging/second-level';
import { SecondLevelWalk } from '../paging/second-level-walk';
import type { PhysicalPort } from '../paging/physical';
import { OrdinaryWalk, WRITE_LOST, updateAccessedDirty, walkOrdinary, type EntryPort } from '../paging/ordinary';
import type { WalkSink } from '../paging/trace';
import type { WalkOut, WalkStart } from '../paging/walk-out';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import type { Tlb } from '../tlb/tlb';
import type { PmlLog } from '../vmx/pml';
import { newCounters, type CpuCounters } from './counters';

/** Bit 6 of EPTP, which makes accesses to guest paging structures writes. */
const EPT_FLAGS = 'EPTP bit 6 = 1';

/**
 * A CPU's walk of a linear address in both dimensions: the guest's tables, and under EPT or nested paging a second-level
 * walk for each entry's own address and for the final one. Sets accessed and dirty flags, keeps the paging-structure
 * caches and the page-modification log, counts references. Knows no TLB entry and raises nothing: a walk that fails says
 * why in `out`.
 */
export class GuestWalk implements EntryPort {
  readonly table = 'guest' as const;
  /** The walk of the guest's tables, and what it came to. */
  readonly first: OrdinaryWalk;
  readonly out: WalkOut;
  /** The second-level walks on its way, and what the last one came to. */
  readonly second: SecondLevelWalk;
  readonly secondOut: WalkOut;
  secondLevel: SecondLevelTables | undefined;
  pml: PmlLog | undefined;
  /** The walk ended because the page-modification log has no room for what it must set. */
  pmlFull = false;
  /** The guest-table entry whose second-level walk failed was accessed as a write. */
  tableWrite = false;
  /** What lies at physical addresses, where that is not host memory itself; asked where no second level is in use. */
  physical: PhysicalPort | undefined;
  /** The walk of both dimensions came to where no RAM answers: `out` has the address. */
  device = false;
  counters: CpuCounters = newCounters();
  /** While set, walks change and count nothing. */
  probing = false;
  /** The PDPTE registers. */
  private readonly pdptes: BigUint64Array;

  constructor(
    private readonly state: CpuState,
    readonly memory: HostMemory,
    private readonly tlb: Tlb,
    controls: PagingControls,
  ) {
    this.first = new OrdinaryWalk({ port: this, root: 0n, controls });
    this.out = this.first.out;
    this.second = new SecondLevelWalk(memory, controls.physicalBits);
    this.secondOut = this.second.out;
    this.pdptes = state.r.subarray(SLOT.PDPTE0, SLOT.PDPTE0 + 4);
  }

  get space(): 'gpa' | 'hpa' {
    return (this.secondLevel ?? this.physical) ? 'gpa' : 'hpa';
  }

  /** Makes CR3, `c` and the PDPTE registers those of the next walk; nested paging has the PDPTEs in memory. */
  prepare(c: PagingControls, start: WalkStart | undefined, sink: WalkSink | undefined): OrdinaryWalk {
    const { first } = this;
    first.root = this.state.get(SLOT.CR3);
    first.controls = c;
    first.pdptes = c.format === 'pae' && this.secondLevel?.kind !== 'npt' ? this.pdptes : undefined;
    first.start = start;
    first.sink = sink;
    return first;
  }

  /**
   * Walks for an access: `out` then has the guest's translation and, with a second level, `secondOut` that of the final
   * address. False: the failure is in `out` (or `pmlFull` is set) and has been counted.
   */
  walk(c: PagingControls, linear: bigint, access: Access, ac: boolean): boolean {
    this.second.loads = 0;
    this.device = false;
    const start = c.format === 'none' ? undefined : this.cachedStart(c, linear);
    const first = this.prepare(c, start, undefined);
    let found = walkOrdinary(first, linear, access, ac);
    let loads = this.out.loads;
    if (!found && start && this.out.failedTable === 'guest') {
      // a page fault invalidates what led to it (SDM vol. 3, 4.10.4.1): as with the TLB, the tables decide
      const now = this.tlb.context;
      this.tlb.walkCache?.drop((x) => x.vpid === now.vpid && x.pcid === now.pcid && x.eptp === now.eptp);
      first.start = undefined;
      found = walkOrdinary(first, linear, access, ac);
      loads += this.out.loads;
    }
    const good = found && this.complete(c, linear, access.op);
    const n = this.counters;
    if (good) {
      n.walks++;
      n.guestReferences += loads;
      n.nestedReferences += this.second.loads;
    } else {
      n.failedWalks++;
      n.failedGuestReferences += loads;
      n.failedNestedReferences += this.second.loads;
    }
    return good;
  }
  /** After the guest's tables gave a translation: their flags, the caches, and the final address. */
  private complete(c: PagingControls, linear: bigint, op: Access['op']): boolean {
    const { out, first, secondLevel } = this;
    const write = op === 'write';
    if (c.format !== 'none') {
      const set = updateAccessedDirty(first, write);
      this.counters.accessedDirtyWrites += out.written;
      if (!set) return false;
      if (this.tlb.walkCache) this.fillCaches(c, linear, first.start);
    }
    if (!secondLevel) return this.physical === undefined || this.findFinal(this.physical, op);
    const found = walkSecondLevel(this.second, secondLevel, out.address, op);
    this.second.loads += this.secondOut.loads;
    return found ? this.setFlags(out.address, write) : out.failAs(this.secondOut, false);
  }

  private findFinal(physical: PhysicalPort, op: Access['op']): boolean {
    const { out, secondOut } = this;
    const found = physical.find(out.address, op, secondOut);
    this.second.loads += secondOut.loads;
    if (found) {
      physical.used(op === 'write');
      return true;
    }
    this.device = secondOut.reason === 'no-memory';
    if (!this.device) out.failAs(secondOut, false);
    return this.device;
  }
  /** Finds the memory of a translation that the TLB still has. False: the failure is in `secondOut`. */
  findAgain(physical: PhysicalPort, gpa: bigint, op: Access['op']): boolean {
    const found = physical.find(gpa, op, this.secondOut);
    if (found) {
      physical.used(op === 'write');
      this.counters.nestedReferences += this.secondOut.loads;
    } else this.counters.failedNestedReferences += this.secondOut.loads;
    return found;
  }

  // ---- EntryPort: guest table entries

  locate(address: bigint, write: boolean, out: WalkOut, sink: WalkSink | undefined): number {
    const { secondLevel, second, secondOut } = this;
    if (!secondLevel) {
      if (this.physical !== undefined) return this.findEntry(this.physical, address, write, sink);
      const at = this.memory.offsetOf(address);
      if (at < 0) out.fail('guest', 'no-memory', 0, 0n, address);
      return at;
    }
    // with accessed and dirty flags enabled, accesses to guest paging structures are treated as writes
    // (SDM vol. 3, 28.3.3.2), under nested paging always (APM vol. 2, 15.25.5)
    const asWrite = write || secondLevel.accessedDirty;
    second.sink = sink;
    const found = walkSecondLevel(second, secondLevel, address, asWrite ? 'write' : 'read');
    second.sink = undefined;
    if (!write) this.second.loads += secondOut.loads;
    if (!found) {
      this.tableWrite = asWrite;
      out.failAs(secondOut, true, asWrite && !write && secondLevel.kind === 'ept' ? EPT_FLAGS : undefined);
      return -1;
    }
    if (!this.probing && !this.setFlags(address, asWrite)) return -1;
    return this.memory.offsetOf(secondOut.address);
  }
  private findEntry(physical: PhysicalPort, gpa: bigint, write: boolean, sink: WalkSink | undefined): number {
    const { out, secondOut } = this;
    const found = physical.find(gpa, write ? 'write' : 'read', secondOut, sink);
    if (!write) this.second.loads += secondOut.loads;
    if (found) {
      if (!this.probing) physical.used(write);
      return this.memory.offsetOf(secondOut.address);
    }
    // where no RAM is, the VMM's memory reads as zero, an entry that is not present; what cannot be written drops writes
    // (unassigned_mem_read, and ROM, in QEMU's memory.c)
    if (secondOut.reason === 'no-memory') {
      if (write) return WRITE_LOST;
      out.fail('guest', 'no-memory', 0, 0n, gpa);
      return -1;
    }
    this.tableWrite = write;
    out.failAs(secondOut, true);
    return -1;
  }
  /**
   * The second level's accessed and dirty flags for the walk in `secondOut`, and the page-modification log. False: the
   * log is full, and nothing was changed.
   */
  private setFlags(gpa: bigint, write: boolean): boolean {
    if (this.secondLevel?.accessedDirty !== true) return true;
    const { pml, second } = this;
    const missing = pml ? eptFlagsMissing(write, second.out) : 'none';
    if (missing !== 'none' && pml?.full === true) {
      this.pmlFull = true;
      return false;
    }
    this.counters.accessedDirtyWrites += updateSecondLevelFlags(second, this.secondLevel, write);
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
