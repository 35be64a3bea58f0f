/** The sets of page tables that a moment has, each in the same words: where its tables lie, and what an entry says. */
import type { TableSet } from '../../../model/tables';
import type { Space } from '../../../base/address';
import type { AddressSpace } from '../../../host/address-space';
import { decodeEntry, type TableRef } from '../../../host/table-view';
import { FORMATS, levelShift } from '../../../hw/paging/controls';
import type { ShadowMmu } from '../../../kvm/mmu/shadow/mmu';
import { rootLevel } from '../../../kvm/mmu/shadow/role';
import type { Machine } from '../../../vmm/machine';
import type { GuestView } from '../../guest/view';
import { driftOf, type DriftMark } from '../drift';
import { decodeShadowEntry } from '../shadow-entry';
import { decodeGuestEntry, guestRoot } from '../../views/tables';

export type { TableSet } from '../../../model/tables';

/** What an entry that is not zero says. */
export interface Decoded {
  readonly present: boolean;
  readonly leaf: boolean;
  /** A mark for MMIO that no hardware accepts. */
  readonly mmio: boolean;
  readonly flags: readonly string[];
  readonly target: bigint;
}

export interface TableSource {
  readonly set: TableSet;
  /** The register or field that holds the root, as the architecture names it. */
  readonly root: { readonly name: string; readonly value: bigint };
  readonly from: Space;
  /** What leaves lead to, and where the tables themselves lie. */
  readonly to: Space;
  readonly tables: Space;
  readonly top: { readonly level: number; readonly table: bigint };
  /** Bits of the addresses that are translated; those of the upper half are sign-extended above 32. */
  readonly linearBits: number;
  readonly entryBytes: 4 | 8;
  entries(level: number): number;
  /** log2 of what an entry spans. */
  shift(level: number): number;
  /** Offset of a table in the machine's memory; −1: there is no memory, or nobody has touched it. */
  locate(table: bigint): number;
  /** Entries of the top table where registers hold them (PAE). */
  readonly registers?: readonly bigint[];
  decode(level: number, entry: bigint): Decoded;
  /** Under shadow paging: how an entry that is not zero stands to the one in the other tables for the same address. */
  drift?(at: EntryAt): readonly DriftMark[];
}

/** One entry: its table, its place there, and the first address that it translates. */
export interface EntryAt {
  readonly level: number;
  readonly table: bigint;
  readonly index: number;
  readonly present: boolean;
  readonly linear: bigint;
}

function guestSource(g: GuestView): TableSource | undefined {
  const { format } = g.controls;
  const top = guestRoot(g);
  if (format === 'none' || !top) return undefined;
  const { entryBytes, indexBits, linearBits } = FORMATS[format];
  const drift = driftOf(g);
  return {
    set: 'guest',
    root: { name: 'CR3', value: g.cr3 },
    from: 'gva',
    to: 'gpa',
    tables: 'gpa',
    top,
    linearBits,
    entryBytes,
    entries: (level) => (format === 'pae' && level === 3 ? 4 : 1 << indexBits),
    shift: (level) => levelShift(format, level),
    locate: (table) => g.physical.offsetOf(table),
    ...(format === 'pae' && g.pdptes ? { registers: g.pdptes } : {}),
    decode: (level, entry) => ({ ...decodeGuestEntry(g, level, entry), mmio: false }),
    ...(drift ? { drift: ({ level, present, linear }) => drift.ofGuest(level, present, linear).marks } : {}),
  };
}

/** EPT, NPT and host tables: 512 entries of 8 bytes a table, four or five levels. */
function hostSource(
  set: 'ept' | 'npt' | 'host',
  root: TableSource['root'],
  top: TableRef,
  memory: Machine['memory'],
): TableSource {
  return {
    set,
    root,
    from: set === 'host' ? 'hva' : 'gpa',
    to: 'hpa',
    tables: 'hpa',
    top,
    linearBits: 12 + 9 * top.level,
    entryBytes: 8,
    entries: () => 512,
    shift: (level) => 12 + 9 * (level - 1),
    locate: (table) => memory.offsetOf(table),
    decode: (level, entry) => {
      const decoded = decodeEntry(top.format, level, entry);
      return { ...decoded, target: decoded.target ?? 0n };
    },
  };
}

function shadowSource(g: GuestView, mmu: ShadowMmu, memory: Machine['memory']): TableSource | undefined {
  const root = mmu.loaded;
  if (!root) return undefined;
  // Guests of the 32-bit formats run on PAE tables, whose four PDPTEs KVM keeps in memory.
  const level = rootLevel(root.paging.controls.format);
  const isPae = level === 2;
  const drift = driftOf(g);
  return {
    set: 'shadow',
    root: { name: 'hardware CR3', value: root.hpa },
    from: 'gva',
    to: 'hpa',
    tables: 'hpa',
    top: { level: isPae ? 3 : level, table: root.hpa },
    linearBits: isPae ? 32 : 12 + 9 * level,
    entryBytes: 8,
    entries: (at) => (isPae && at === 3 ? 4 : 512),
    shift: (at) => 12 + 9 * (at - 1),
    locate: (table) => memory.offsetOf(table),
    decode: (at, entry) => decodeShadowEntry(mmu, at, entry),
    drift: ({ table, index, linear }) => {
      const page = mmu.pages.ofTable(table);
      return page && drift ? drift.ofShadow(page, index, linear).marks : [];
    },
  };
}

/** The sets that there are now, in the order in which an address goes through them. */
export function tableSources(g: GuestView, machine: Machine, host: AddressSpace): readonly TableSource[] {
  const { second } = machine.accelerator;
  const { memory } = machine;
  const hostTop = host.rootTable();
  const all = [
    guestSource(g),
    second.kind === 'shadow' ? shadowSource(g, second.shadow, memory) : undefined,
    second.kind === 'nested'
      ? hostSource(
          second.tables.kind,
          { name: second.tables.kind === 'ept' ? 'EPTP' : 'nCR3', value: second.mmu.rootTable().table },
          second.mmu.rootTable(),
          memory,
        )
      : undefined,
    hostSource('host', { name: 'host CR3', value: hostTop.table }, hostTop, memory),
  ];
  return all.filter((each) => each !== undefined);
}
