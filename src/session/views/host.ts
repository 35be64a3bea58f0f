import { hpa } from '../../base/address';
import { FRAME_MASK } from '../../isa/entries';
import { swapSlotOf } from '../../host/swap';
import type { TableEntryView } from '../../host/table-view';
import type { Machine } from '../../vmm/machine';
import { sizeName } from '../entry-names';
import { vmaInfo, type VmaInfo } from '../memory-map';
import type { ViewPage } from '../types';
import { hostTablesView, rangeOf } from './tables';
import { page, row, type RowParts, type ViewRequest } from './view';

/** The VMM's VMAs with what their pages have come to, and below them its page tables, in which merged pages and pages in swap say so. */
export function hostView(machine: Machine, request: ViewRequest): ViewPage | undefined {
  const { host } = machine;
  const [first, ...below] = request.path;
  const vmas = host.vmas();
  const named = /^vma(\d+)$/.exec(first ?? '');
  if (named) {
    const vma = vmas[Number(named[1])];
    return vma && below.length === 0
      ? page(vmaFields(`host/${first}`, vmaInfo(machine, vma)), request.start, request.count, row)
      : undefined;
  }
  const above = request.path.length === 0 ? vmas : [];
  const tables = hostTablesView(
    'host',
    host.rootTable(),
    (t) => host.readTable(t),
    { ...request, start: Math.max(0, request.start - above.length) },
    (e) => noteOf(machine, e),
  );
  if (!tables || above.length === 0) return tables;
  const rows = above
    .slice(request.start, request.start + request.count)
    .map((v, i) => row(vmaRow(`host/vma${request.start + i}`, vmaInfo(machine, v))));
  return { nodes: [...rows, ...tables.nodes].slice(0, request.count), total: above.length + tables.total };
}

const vmaRow = (path: string, v: VmaInfo): RowParts => ({
  path,
  name: v.name,
  kind: 'range',
  address: { space: 'hva', value: v.start },
  memory: { space: 'hva', value: v.start },
  children: vmaFields(path, v).length,
  value: `${rangeOf(v.start, v.end - v.start)} ${v.protection} ${v.backing}, ${[
    `${sizeName(v.resident)} resident`,
    v.huge > 0n ? `${sizeName(v.huge)} in huge pages` : '',
    v.merged > 0n ? `${sizeName(v.merged)} merged` : '',
    v.swapped > 0n ? `${sizeName(v.swapped)} in swap` : '',
  ]
    .filter((t) => t !== '')
    .join(', ')}`,
});

function vmaFields(prefix: string, v: VmaInfo): RowParts[] {
  const field = (name: string, value: string): RowParts => ({ path: `${prefix}/${name}`, name, value, kind: 'field' });
  return [
    field('protection', v.protection),
    field('backing', v.backing),
    field('Rss', sizeName(v.resident)),
    field('AnonHugePages', sizeName(v.huge)),
    field('KSM', sizeName(v.merged)),
    field('Swap', sizeName(v.swapped)),
    field('memslots', v.slots.join(', ') || 'none'),
  ];
}

function noteOf({ kernel }: Machine, e: TableEntryView): string | undefined {
  const slot = e.present ? undefined : swapSlotOf(e.entry);
  if (slot !== undefined) return `in swap slot ${slot}`;
  const shared = e.present && e.level === 1 ? kernel.mergedCount(hpa(e.entry & FRAME_MASK)) : 0;
  return shared > 0 ? `merged: ${shared} pages share the frame (KSM)` : undefined;
}
