import type { TableEntryView, TableRef } from '../../host/table-view';
import type { DriftMark, DriftView, EntryPlace } from './drift';
import { entryName } from '../translate/entry-names';
import type { GuestView } from '../guest/view';
import { guestRoot, readGuestTable, type GuestTable } from '../views/tables';

/** A present entry: its level, the range it maps, and what it points to. */
export interface TableListing {
  readonly level: number;
  readonly name: string;
  readonly index: number;
  /** First and last address that it maps. */
  readonly from: bigint;
  readonly to: bigint;
  readonly entryAddress: bigint;
  readonly entry: bigint;
  readonly flags: readonly string[];
  readonly target: bigint;
  /** Maps a page rather than pointing to a table. */
  readonly leaf: boolean;
  /** `mmio`: no mapping but KVM's mark of a hole. Under shadow paging, for guest and shadow tables: how the entry stands to the other tables' entry for the same address, and that entry. */
  readonly marks?: readonly DriftMark[];
  readonly counterpart?: EntryPlace;
}

/** Guest tables may point at themselves: a listing ends here. */
const MAX_ENTRIES = 1 << 21;

export function listGuestTables(g: GuestView, drift?: DriftView): readonly TableListing[] {
  const out: TableListing[] = [];
  const visit = (table: GuestTable): void => {
    for (const e of readGuestTable(g, g.physical, table)) {
      if (!e.present || out.length >= MAX_ENTRIES) continue;
      const d = drift?.ofGuest(e.level, true, e.start);
      out.push({
        level: e.level,
        name: entryName('guest', e.level),
        index: e.index,
        from: e.start,
        to: BigInt.asUintN(64, e.start + e.size - 1n),
        entryAddress: e.entryAddress,
        entry: e.entry,
        flags: e.flags,
        target: e.target,
        leaf: e.leaf,
        ...(d ? { marks: d.marks, ...(d.other ? { counterpart: d.other } : {}) } : {}),
      });
      if (!e.leaf) visit({ level: e.level - 1, table: e.target, start: e.start });
    }
  };
  const root = guestRoot(g);
  if (root) visit(root);
  return out;
}

export function listHostTables(
  kind: 'ept' | 'npt' | 'host',
  root: TableRef,
  reader: (ref: TableRef) => readonly TableEntryView[],
): readonly TableListing[] {
  const out: TableListing[] = [];
  const visit = (table: TableRef): void => {
    for (const e of reader(table)) {
      if (!e.mmio && (!e.present || e.target === undefined)) continue;
      out.push({
        level: e.level,
        name: entryName(kind, e.level),
        index: e.index,
        from: e.start,
        to: e.start + e.size - 1n,
        entryAddress: e.entryAddress,
        entry: e.entry,
        flags: e.flags,
        // a mark for MMIO stands for the GPA that it is found at
        target: e.target ?? e.start,
        leaf: e.leaf,
        ...(e.mmio ? { marks: ['mmio'] as const } : {}),
      });
      if (e.child) visit(e.child);
    }
  };
  visit(root);
  return out;
}
