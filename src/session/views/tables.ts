import { hex } from '../../base/hex';
import { FORMATS, levelShift } from '../../hw/paging/controls';
import { wrongIn, type TableEntryView, type TableRef } from '../../host/table-view';
import { FRAME_MASK, PTE_P, PTE_PS, pteFlags } from '../../isa/entries';
import { reservedBitsIn, reservedSet } from '../../isa/reserved-bits';
import type { GuestPhysical } from '../translate/guest-physical';
import type { GuestView } from '../guest/view';
import { driftDetail, driftHead, driftOf, type Drift } from '../tables/drift';
import { entryName, sizeName } from '../translate/entry-names';
import type { ViewNode, ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

/** One entry of a guest's paging structure that is not zero. */
export interface GuestEntry {
  readonly level: number;
  readonly index: number;
  /** Where the entry lies. */
  readonly entryAddress: bigint;
  readonly entry: bigint;
  readonly flags: readonly string[];
  readonly present: boolean;
  readonly leaf: boolean;
  /** First linear address that it maps, in canonical form, and how many bytes. */
  readonly start: bigint;
  readonly size: bigint;
  /** GPA of the page or of the next table. */
  readonly target: bigint;
}

/** A guest table that can be opened: its GPA, its level, and the first linear address below it. */
export interface GuestTable {
  readonly level: number;
  readonly table: bigint;
  readonly start: bigint;
}

export function guestRoot(g: GuestView): GuestTable | undefined {
  const { format } = g.controls;
  if (format === 'none') return undefined;
  return {
    level: FORMATS[format].levels,
    table: format === '32bit' ? g.cr3 & 0xffff_f000n : g.cr3 & FRAME_MASK,
    start: 0n,
  };
}

/** What an entry of the guest's that is not zero says, in the guest's present paging mode. */
export function decodeGuestEntry(
  g: GuestView,
  level: number,
  entry: bigint,
): Pick<GuestEntry, 'flags' | 'present' | 'leaf' | 'target'> {
  const { format, pse } = g.controls;
  const canBeLarge = level > 1 && level <= 3 && !(format === 'pae' && level === 3) && (format !== '32bit' || pse);
  const large = canBeLarge && (entry & PTE_PS) !== 0n;
  const leaf = level === 1 || large;
  const size = format === 'none' ? 1n : 1n << BigInt(levelShift(format, level));
  const frame =
    format !== '32bit'
      ? entry & FRAME_MASK
      : large
        ? (entry & 0xffc0_0000n) | (((entry >> 13n) & 0xffn) << 32n)
        : entry & 0xffff_f000n;
  return {
    flags: pteFlags(entry, leaf, level, reservedSet(g.controls, level, entry)),
    present: (entry & PTE_P) !== 0n,
    leaf,
    target: leaf && format !== '32bit' ? frame & ~(size - 1n) : frame,
  };
}

/** The non-zero entries of one guest table, read through the memslots. */
export function readGuestTable(g: GuestView, physical: GuestPhysical, ref: GuestTable): GuestEntry[] {
  const { format } = g.controls;
  if (format === 'none') return [];
  const { entryBytes, indexBits, linearBits } = FORMATS[format];
  const inRegisters = format === 'pae' && ref.level === 3 && g.pdptes !== undefined;
  const base = inRegisters ? 0 : physical.offsetOf(ref.table);
  if (base < 0) return [];
  const view = physical.memory.view;
  const shift = BigInt(levelShift(format, ref.level));
  const size = 1n << shift;
  const out: GuestEntry[] = [];
  const count = format === 'pae' && ref.level === 3 ? 4 : 1 << indexBits;
  for (let index = 0; index < count; index++) {
    const entry = inRegisters
      ? (g.pdptes?.[index] ?? 0n)
      : entryBytes === 8
        ? view.getBigUint64(base + index * 8, true)
        : BigInt(view.getUint32(base + index * 4, true));
    if (entry === 0n) continue;
    const decoded = decodeGuestEntry(g, ref.level, entry);
    const start = ref.start + (BigInt(index) << shift);
    out.push({
      level: ref.level,
      index,
      entry,
      size,
      entryAddress: inRegisters ? BigInt(index) : ref.table + BigInt(index * entryBytes),
      start: linearBits === 32 ? start : BigInt.asUintN(64, BigInt.asIntN(linearBits, start)),
      ...decoded,
    });
  }
  return out;
}

/** In a narrow place: notes and marks, its flags but P, which a row that leads somewhere has, and where it leads; the entry itself is in the row's details. */
export const briefly = (notes: readonly string[], target: bigint | undefined, flags: readonly string[]): string => {
  if (target === undefined) return [...notes, 'not present'].join(' · ');
  const shown = flags.filter((flag) => flag !== 'P').join(' ');
  // letters stand together: `RWX`
  const leads = [...(shown === '' ? [] : [shown.replace(/\b([RWX]) (?=[RWX]\b)/g, '$1')]), '→', hex(target)].join(' ');
  return [...notes, leads].join(' · ');
};

const shown = (entry: bigint, flags: readonly string[], present: boolean, target: bigint): string =>
  `${hex(entry)} ${present ? `${flags.join(' ')} → ${hex(target)}` : 'not present'}`;

export const rangeOf = (start: bigint, size: bigint): string =>
  `${hex(start)}–${hex(BigInt.asUintN(64, start + size - 1n))}, ${sizeName(size)}`;

/** `guest`, `guest/255`, `guest/255/40`, …: indices from the root table on. */
export function guestTablesView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  let ref = guestRoot(g);
  if (!ref)
    return path.length > 0
      ? undefined
      : {
          nodes: [
            row({ path: 'guest/off', name: 'Paging', value: 'off: linear addresses are physical', kind: 'text' }),
          ],
          total: 1,
        };
  for (const step of path) {
    const entry: GuestEntry | undefined =
      ref && readGuestTable(g, g.physical, ref).find((e) => String(e.index) === step);
    if (!entry || !entry.present || entry.leaf) return undefined;
    ref = { level: entry.level - 1, table: entry.target, start: entry.start };
  }
  const entries = readGuestTable(g, g.physical, ref);
  const prefix = ['guest', ...path].join('/');
  const drift = driftOf(g);
  return page(entries, start, count, (e) =>
    guestRow(g, e, `${prefix}/${e.index}`, drift?.ofGuest(e.level, e.present, e.start)),
  );
}

const wordsOf = (drift: Drift | undefined): readonly string[] =>
  drift && drift.marks.length > 0 ? [drift.marks.join(', ')] : [];

function guestRow(g: GuestView, e: GuestEntry, path: string, drift: Drift | undefined): ViewNode {
  const below =
    e.present && !e.leaf
      ? readGuestTable(g, g.physical, { level: e.level - 1, table: e.target, start: e.start }).length
      : 0;
  return row({
    path,
    name: `[${e.index}] ${entryName('guest', e.level)}`,
    value: driftHead(drift?.marks ?? []) + shown(e.entry, e.flags, e.present, e.target),
    brief: briefly(wordsOf(drift), e.present ? e.target : undefined, e.flags),
    kind: !e.leaf ? 'table' : e.level > 1 ? 'large-page' : 'page',
    address: { space: 'gva', value: e.start },
    raw: e.entry,
    children: below,
    editable: e.level < 4 || g.controls.format !== 'pae',
    ...(e.present ? { memory: { space: 'gpa', value: e.target } as const } : {}),
    ...(drift ? { marks: drift.marks } : {}),
    detail: [
      `maps GVA ${rangeOf(e.start, e.size)}`,
      `entry at GPA ${hex(e.entryAddress)}`,
      `flags: ${e.flags.join(' ') || 'none'}`,
      ...reservedBitsIn(g.controls, e.level, e.entry),
      ...driftDetail(drift?.marks ?? [], drift?.other, 'the shadow entry', 'HPA'),
    ],
  });
}

/** What else is to be said of an entry, and how many rows stand below a leaf. */
interface MoreOfEntry {
  readonly note?: (e: TableEntryView) => string | undefined;
  readonly rows?: (e: TableEntryView) => number;
}

/** EPT, NPT and host tables, whose entries host memory holds. `reader` opens a table. */
export function hostTablesView(
  root: 'ept' | 'npt' | 'host',
  rootTable: TableRef,
  reader: (ref: TableRef) => readonly TableEntryView[],
  { path, start, count }: ViewRequest,
  more: MoreOfEntry = {},
): ViewPage | undefined {
  let ref: TableRef | undefined = rootTable;
  for (const step of path) {
    ref = ref && reader(ref).find((e) => String(e.index) === step)?.child;
    if (!ref) return undefined;
  }
  const prefix = [root, ...path].join('/');
  return page(reader(ref), start, count, (e) => {
    const below = e.child ? reader(e.child).length : (more.rows?.(e) ?? 0);
    const value = e.mmio
      ? `${hex(e.entry)} MMIO: ${root === 'ept' ? 'misconfigures on purpose (W X without R)' : 'faults on purpose (reserved bit 51)'}`
      : shown(e.entry, e.flags, e.present, e.target ?? 0n);
    const note = more.note?.(e);
    return row({
      path: `${prefix}/${e.index}`,
      name: `[${e.index}] ${entryName(root, e.level)}`,
      value: note === undefined ? value : `${value}  ${note}`,
      ...(e.mmio ? {} : { brief: briefly(note === undefined ? [] : [note], e.target, e.flags) }),
      kind: e.present && !e.leaf ? 'table' : e.mmio ? 'hole' : e.level > 1 ? 'large-page' : 'page',
      address: { space: root === 'host' ? 'hva' : 'gpa', value: e.start },
      raw: e.entry,
      children: below,
      ...(e.target === undefined ? {} : { memory: { space: 'hpa', value: e.target } as const }),
      detail: [
        `maps ${root === 'host' ? 'HVA' : 'GPA'} ${rangeOf(e.start, e.size)}`,
        `entry at HPA ${hex(e.entryAddress)}`,
        `flags: ${e.flags.join(' ') || 'none'}`,
        ...wrongIn(rootTable.format, e.level, e.entry),
      ],
    });
  });
}
