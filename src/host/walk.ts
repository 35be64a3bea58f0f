import type { Hpa, Hva } from '../base/address';
import type { HostMemory } from '../hw/memory/host-memory';
import type { Access } from '../hw/paging/access';
import type { PagingControls } from '../hw/paging/controls';
import { DirectPort, OrdinaryWalk, updateAccessedDirty, walkOrdinary } from '../hw/paging/ordinary';
import type { WalkSink } from '../hw/paging/trace';
import type { HostLevels } from './page-tables';
import type { WalkOut } from '../hw/paging/walk-out';

/** The host runs in long mode with NX, WP, SMEP and SMAP, as Linux does. */
const hostControls = (levels: HostLevels): PagingControls => ({
  format: levels === 5 ? '5level' : '4level',
  wp: true,
  nxe: true,
  smep: true,
  smap: true,
  pse: true,
  pge: true,
  pcide: false,
  pke: false,
  pkru: 0,
  physicalBits: 52,
  vendor: 'intel',
  pages1g: true,
});
export const HOST_CONTROLS = { 4: hostControls(4), 5: hostControls(5) } as const;

/** The host's tables, as its MMU walks them for a process in user mode. */
export class HostTables {
  private readonly record: OrdinaryWalk;

  constructor(memory: HostMemory, levels: HostLevels) {
    const port = new DirectPort(memory, 'host');
    this.record = new OrdinaryWalk({ port, root: 0n, controls: HOST_CONTROLS[levels] });
  }
  /** The result of the last walk. */
  get out(): WalkOut {
    return this.record.out;
  }
  /** HVA → HPA through the tables at `cr3`, changing nothing: true with the translation in `out`, or the failure. */
  walk(cr3: Hpa, address: Hva, write: boolean, sink?: WalkSink): boolean {
    this.record.root = cr3;
    this.record.sink = sink;
    return walkOrdinary(this.record, address, write ? WRITE : READ, false);
  }
  /** Performs the access of the last walk: accessed and dirty flags. */
  use(write: boolean): void {
    updateAccessedDirty(this.record, write);
  }
}

const READ: Access = { op: 'read', user: true, implicit: false };
const WRITE: Access = { op: 'write', user: true, implicit: false };
