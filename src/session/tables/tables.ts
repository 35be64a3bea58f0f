/** What lies in tables and caches, as a whole. */
import type { MmuKind } from '../../vmm/options';
import type { Machine } from '../../vmm/machine';
import type { SymbolTable } from '../guest/symbols';
import type { GuestView } from '../guest/view';
import { driftOf } from './drift';
import { listGuestTables, listHostTables, type TableListing } from './listing';
import { TableMaps } from './map/index';
import { memoryMap, type MemoryMap, type MemoryMapQuery } from './memory-map';
import { pagemap, type PagemapRow } from './pagemap';
import { listShadowTables } from './shadow-listing';
import type { TlbState } from './tlb-state';
import { tlbState } from './tlb-view';

export type ListedTables = 'guest' | 'shadow' | 'ept' | 'npt' | 'host';

export class Tables {
  /** For the Page Tables panel. */
  readonly maps: TableMaps;

  /** `stops`: how often the target has stopped; what was read at one stop holds until the next. */
  constructor(
    private readonly machine: Machine,
    private readonly guest: GuestView,
    symbols: SymbolTable,
    private readonly mmu: MmuKind,
    stops: () => number,
  ) {
    this.maps = new TableMaps(guest, machine, symbols, stops);
  }

  /** TLB and paging-structure caches, compared with the tables; at most `most` entries of each. */
  tlb(most?: number): TlbState {
    return tlbState(this.guest, most);
  }
  /** GPA, HVA and frame or swap slot of each page of guest RAM that there is. */
  pagemap(): readonly PagemapRow[] {
    return pagemap(this.machine);
  }
  /** Slots, holes, VMAs, and guest memory as runs. */
  memoryMap(query?: MemoryMapQuery): MemoryMap {
    return memoryMap(this.machine, this.guest.physicalBits, query);
  }

  /** Whether a set of tables exists in this run at this moment; one that does may be empty still. Otherwise why it does not. */
  absent(of: ListedTables): string | undefined {
    const { second } = this.machine.accelerator;
    switch (of) {
      case 'guest':
        return this.guest.controls.format === 'none' ? 'the guest has paging off' : undefined;
      case 'shadow':
        return second.kind === 'shadow' ? undefined : `mmu=${this.mmu} has no shadow tables`;
      case 'ept':
      case 'npt':
        return second.kind === 'nested' && second.tables.kind === of
          ? undefined
          : `mmu=${this.mmu} has no ${of.toUpperCase()}`;
      case 'host':
        return undefined;
    }
  }
  /** The present entries of a set of tables and those that mark MMIO, in the order of the addresses that they map. */
  list(of: ListedTables): readonly TableListing[] {
    const { accelerator, host } = this.machine;
    const { second } = accelerator;
    switch (of) {
      case 'guest':
        return listGuestTables(this.guest, driftOf(this.guest));
      case 'shadow':
        return second.kind === 'shadow' ? listShadowTables(second.shadow, driftOf(this.guest)) : [];
      case 'ept':
      case 'npt':
        return second.kind === 'nested' && second.tables.kind === of
          ? listHostTables(of, second.mmu.rootTable(), (t) => second.mmu.readTable(t))
          : [];
      case 'host':
        return listHostTables('host', host.rootTable(), (t) => host.readTable(t));
    }
  }
}
