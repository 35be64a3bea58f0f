import type { Access } from './access';
import type { WalkSink } from './trace';
import type { WalkOut } from './walk-out';

/**
 * What lies behind a CPU's physical addresses, where that is not host memory itself: a machine emulated in software hands its map of guest physical memory in here, and
 * the CPU asks it where hardware with EPT or NPT would walk tables.
 */
export interface PhysicalPort {
  /**
   * Finds the byte at `gpa` for an access of this kind, changing nothing. True: `out` has its host physical address, the host page's size and which accesses the memory
   * allows. False: `out` has the failure, as one of table 'host'; the reason 'no-memory' says that no RAM answers such an
   * access. Entries loaded on the way are counted in `out.loads`, and go to `sink` as second-level steps.
   */
  find(gpa: bigint, op: Access['op'], out: WalkOut, sink?: WalkSink): boolean;
  /** The access that `find` has just found memory for takes place: accessed and dirty flags are set in what it went through. */
  used(write: boolean): void;
}
