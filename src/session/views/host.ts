import { hpa } from '../../base/address';
import { FRAME_MASK } from '../../isa/entries';
import { swapSlotOf } from '../../host/swap';
import type { TableEntryView, TableRef } from '../../host/table-view';
import type { Machine } from '../../vmm/machine';
import { sizeName } from '../translate/entry-names';
import { vmaInfo, type VmaInfo } from '../tables/memory-map';
import type { GuestView } from '../guest/view';
import type { ViewPage } from '../types';
import { rmapView } from './rmap';
import { hostTablesView, rangeOf } from './tables';
import { page, row, type RowParts, type ViewRequest } from './view';

/**
 * The VMM's VMAs with what their pages have come to, and below them its page tables, in which merged pages and pages in swap say so. Below a leaf: the guest addresses that
 * lead to its frame.
 */
export function hostView(machine: Machine, g: GuestView, request: ViewRequest): ViewPage | undefined {
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
  const leaf = leafAt(machine, request.path);
  if (leaf) return rmapView(g, leaf.frame, leaf.path, leaf.below, request);
  const above = request.path.length === 0 ? vmas : [];
  const tables = hostTablesView(
    'host',
    host.rootTable(),
    (t) => host.readTable(t),
    { ...request, start: Math.max(0, request.start - above.length) },
    { note: (e) => noteOf(machine, e), rows: (e) => (e.present && e.leaf ? g.physical.gpasOf(e.start).length : 0) },
  );
  if (!tables || above.length === 0) return tables;
  const rows = above
    .slice(request.start, request.start + request.count)
    .map((v, i) => row(vmaRow(`host/vma${request.start + i}`, vmaInfo(machine, v))));
  return { nodes: [...rows, ...tables.nodes].slice(0, request.count), total: above.length + tables.total };
}

/** Where a path leads past a leaf: its frame, its own path, and what stands behind that. */
function leafAt(
  { host }: Machine,
  path: readonly string[],
): { readonly frame: bigint; readonly path: string; readonly below: readonly string[] } | undefined {
  let table: TableRef = host.rootTable();
  for (const [depth, index] of path.entries()) {
    const e = host.readTable(table).find((x) => String(x.index) === index);
    if (!e?.present || e.target === undefined) return undefined;
    if (e.leaf)
      return {
        frame: e.target,
        path: ['host', ...path.slice(0, depth + 1)].join('/'),
        below: path.slice(depth + 1),
      };
    if (!e.child) return undefined;
    table = e.child;
  }
  return undefined;
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
    field(v.regions ? 'memory regions' : 'memslots', v.slots.join(', ') || 'none'),
  ];
}

function noteOf({ kernel }: Machine, e: TableEntryView): string | undefined {
  const slot = e.present ? undefined : swapSlotOf(e.entry);
  if (slot !== undefined) return `in swap slot ${slot}`;
  const shared = e.present && e.level === 1 ? kernel.mergedCount(hpa(e.entry & FRAME_MASK)) : 0;
  return shared > 0 ? `merged: ${shared} pages share the frame (KSM)` : undefined;
}
