import type { Hpa, Hva } from '../base/address';
import type { HostMemory } from '../hw/memory/host-memory';
import type { PagingControls } from '../hw/paging/controls';
import { DirectPort, updateAccessedDirty, walkOrdinary } from '../hw/paging/ordinary';
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
export class HostTables extends DirectPort {
  /** Told of each entry loaded. */
  count: (() => void) | undefined;
  constructor(
    memory: HostMemory,
    private readonly levels: HostLevels,
  ) {
    super(memory, 'host');
  }
  loaded(): void {
    this.count?.();
  }
  /** HVA → HPA under the tables at `cr3`, changing nothing: true with the translation in `out`, or false with the failure. */
  walk(cr3: Hpa, address: Hva, write: boolean, out: WalkOut, sink?: WalkSink): boolean {
    const access = { op: write ? 'write' : 'read', user: true, implicit: false } as const;
    return walkOrdinary(this, cr3, HOST_CONTROLS[this.levels], address, access, false, out, sink);
  }
  /** The access that `out` was walked for takes place: accessed and dirty flags. */
  use(write: boolean, out: WalkOut): void {
    updateAccessedDirty(this, HOST_CONTROLS[this.levels], write, out, () => undefined);
  }
}
