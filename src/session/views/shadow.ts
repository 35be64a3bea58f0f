import { hex } from '../../base/hex';
import { reservedBitsIn } from '../../isa/reserved-bits';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import { DriftView, driftDetail, driftHead } from '../tables/drift';
import { sizeName } from '../translate/entry-names';
import type { GuestView } from '../guest/view';
import { readShadowTable, shadowRoot, type ShadowEntry } from '../tables/shadow-listing';
import type { ViewNode, ViewPage } from '../types';
import { briefly } from './tables';
import { page, row, type ViewRequest } from './view';

/** `shadow`, `shadow/255`, `shadow/255/40`, …: indices from the root table on, each entry with its marks. */
export function shadowTablesView(
  g: GuestView,
  mmu: ShadowMmu,
  { path, start, count }: ViewRequest,
): ViewPage | undefined {
  let table = shadowRoot(mmu);
  if (!table)
    return path.length > 0
      ? undefined
      : {
          nodes: [
            row({ path: 'shadow/off', name: 'Root', value: 'none: the guest has not been entered', kind: 'text' }),
          ],
          total: 1,
        };
  for (const step of path) {
    table = table && readShadowTable(mmu, table).find((e) => String(e.listing.index) === step)?.child;
    if (!table) return undefined;
  }
  const drift = new DriftView(g, mmu);
  const prefix = ['shadow', ...path].join('/');
  return page(readShadowTable(mmu, table, drift), start, count, (e) => shadowRow(mmu, e, prefix));
}

function shadowRow(mmu: ShadowMmu, { listing: e, child }: ShadowEntry, prefix: string): ViewNode {
  const mmio = e.marks.includes('mmio');
  return row({
    path: `${prefix}/${e.index}`,
    name: `[${e.index}] ${e.name}`,
    value: `${driftHead(e.marks)}${hex(e.entry)} ${mmio ? `GPA ${hex(e.target)}` : `${e.flags.join(' ')} → ${hex(e.target)}`}`,
    ...(mmio ? {} : { brief: briefly(e.marks.length > 0 ? [e.marks.join(', ')] : [], e.target, e.flags) }),
    kind: child ? 'table' : mmio ? 'hole' : e.level > 1 ? 'large-page' : 'page',
    address: { space: 'gva', value: e.from },
    raw: e.entry,
    children: child ? readShadowTable(mmu, child).length : 0,
    marks: e.marks,
    ...(mmio ? {} : { memory: { space: 'hpa', value: e.target } as const }),
    detail: [
      `maps GVA ${hex(e.from)}–${hex(e.to)}, ${sizeName(BigInt.asUintN(64, e.to - e.from + 1n))}`,
      `${child ? 'shadows the table at' : 'guest frame at'} GPA ${hex(e.gfn << 12n)}`,
      `entry at HPA ${hex(e.entryAddress)}`,
      `flags: ${e.flags.join(' ') || 'none'}`,
      ...(mmu.entryRules ? reservedBitsIn(mmu.entryRules, e.level, e.entry) : []),
      ...driftDetail(e.marks, e.counterpart, 'the guest’s entry', 'GPA'),
    ],
  });
}
