/** The way back from a host frame: every GPA that leads to it, and below each what maps that for the guest, and the linear addresses that the guest's own tables give it. */
import { gpa as asGpa, type Gpa } from '../../base/address';
import { hex } from '../../base/hex';
import { linearAddressesOf, reverseHpa } from '../translate/reverse';
import { entryName } from '../translate/entry-names';
import type { GuestView } from '../guest/view';
import { shadowMappings } from '../tables/shadow-rmap';
import type { ViewPage } from '../types';
import { page, row, type RowParts, type ViewRequest } from './view';

/** Rows of the frame at `hpa`; `path` is what stands behind its entry's own. */
export function rmapView(
  g: GuestView,
  hpa: bigint,
  prefix: string,
  path: readonly string[],
  { start, count }: Pick<ViewRequest, 'start' | 'count'>,
): ViewPage | undefined {
  const { gpa } = reverseHpa(g, hpa);
  const [key, ...below] = path;
  if (key === undefined) return page(gpa, start, count, (at) => row(gpaRow(g, at, prefix)));
  const at = gpa.find((a) => keyOf(a) === key);
  return at === undefined || below.length > 0
    ? undefined
    : page(mappingRows(g, at, `${prefix}/${key}`), start, count, row);
}

const keyOf = (gpa: bigint): string => `gpa-${hex(gpa)}`;

function gpaRow(g: GuestView, gpa: bigint, prefix: string): RowParts {
  const path = `${prefix}/${keyOf(gpa)}`;
  const slot = g.physical.slotOf(gpa);
  const rows = mappingRows(g, gpa, path);
  return {
    path,
    name: `GPA ${hex(gpa)}`,
    kind: 'page',
    value: slot
      ? `memslot ${slot.slot}${slot.readOnly ? ', read-only' : ''}, HVA ${hex(slot.hva + (gpa - slot.gpa))}`
      : '',
    address: { space: 'gpa', value: gpa },
    memory: { space: 'gpa', value: gpa },
    children: rows.length,
  };
}

function mappingRows(g: GuestView, gpa: bigint, prefix: string): RowParts[] {
  return [...secondRows(g, asGpa(gpa), prefix), ...guestRows(g, gpa, prefix)];
}

/** The entries by which the CPU reaches it: of EPT or NPT, or every shadow leaf that KVM's reverse map has. */
function secondRows(g: GuestView, gpa: Gpa, prefix: string): RowParts[] {
  const { second } = g.accelerator;
  switch (second.kind) {
    case 'nested': {
      const { size } = second.mmu.mappedSize(gpa);
      const leaf = second.mmu.read(gpa).at(-1);
      if (size === 0 || !leaf) return [];
      return [
        {
          path: `${prefix}/${second.tables.kind}`,
          name: entryName(second.tables.kind, leaf.level),
          kind: 'field',
          value: `${hex(leaf.value)} at HPA ${hex(leaf.address)}`,
          raw: leaf.value,
          memory: { space: 'hpa', value: leaf.address },
        },
      ];
    }
    case 'shadow':
      return shadowMappings(second.shadow, gpa).map((m) => ({
        path: `${prefix}/shadow-${hex(m.entryAddress)}`,
        name: entryName('shadow', m.level),
        kind: 'field',
        value: `${hex(m.entry)} at HPA ${hex(m.entryAddress)}${m.gva.length > 0 ? `, for GVA ${m.gva.map((a) => hex(a)).join(', ')}` : ', under another root'}`,
        raw: m.entry,
        memory: { space: 'hpa', value: m.entryAddress },
      }));
    case 'software':
      return [];
  }
}

const guestRows = (g: GuestView, gpa: bigint, prefix: string): RowParts[] =>
  linearAddressesOf(g, gpa).map((gva) => ({
    path: `${prefix}/gva-${hex(gva)}`,
    name: `GVA ${hex(gva)}`,
    kind: 'page',
    value: "by the guest's tables",
    address: { space: 'gva', value: gva },
  }));
