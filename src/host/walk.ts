import type { Hpa, Hva } from '../base/address';
import type { HostMemory } from '../hw/memory/host-memory';
import type { PagingControls } from '../hw/paging/controls';
import { DirectPort, updateAccessedDirty, walkOrdinary } from '../hw/paging/ordinary';
import type { WalkSink } from '../hw/paging/trace';
import type { WalkOut } from '../hw/paging/walk-out';

/** The host runs in long mode with 4-level paging, NX, WP, SMEP and SMAP, as Linux does. */
const HOST_CONTROLS: PagingControls = {
  format: '4level',
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
};

/** The host's tables, as its MMU walks them for a process in user mode. */
export class HostTables extends DirectPort {
  /** Told of each entry loaded. */
  count: (() => void) | undefined;
  constructor(memory: HostMemory) {
    super(memory, 'host');
  }
  loaded(): void {
    this.count?.();
  }
  /** HVA → HPA under the tables at `cr3`, changing nothing: true with the translation in `out`, or false with the failure. */
  walk(cr3: Hpa, address: Hva, write: boolean, out: WalkOut, sink?: WalkSink): boolean {
    const access = { op: write ? 'write' : 'read', user: true, implicit: false } as const;
    return walkOrdinary(this, cr3, HOST_CONTROLS, address, access, false, out, sink);
  }
  /** The access that `out` was walked for takes place: accessed and dirty flags. */
  use(write: boolean, out: WalkOut): void {
    updateAccessedDirty(this, HOST_CONTROLS, write, out, () => undefined);
  }
}
