import { hex } from '../../base/hex';
import { counted } from '../../base/plural';
import { entryName, sizeName } from '../translate/entry-names';
import type { GuestView } from '../guest/view';
import {
  staleText,
  staleWords,
  tlbRights,
  type TlbEntryState,
  type TlbTags,
  type WalkCacheState,
} from '../tables/tlb-state';
import { tlbState } from '../tables/tlb-view';
import type { ViewPage } from '../types';
import { page, row, type RowParts, type ViewRequest } from './view';

/** `tlb`: valid entries by set and way, each compared with what a walk would give now; `tlb/caches`: the paging-structure caches. */
export function tlbView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  const state = tlbState(g);
  const names = tagNames(g);
  const [key] = path;
  if (key === undefined) {
    const { walkCaches } = state;
    const rows = [...state.entries.map((e) => entryRow(e, names)), ...(walkCaches ? [cachesRow(walkCaches)] : [])];
    return page(rows, start, count, row);
  }
  if (key === 'caches') return cachesView(state.walkCaches, names, { path: path.slice(1), start, count });
  const e = path.length === 1 ? state.entries.find((x) => keyOf(x) === key) : undefined;
  return e && page(fieldsOf(e, names), start, count, row);
}

/** What the extension or emulator calls the tags of an entry, and the second level; absent: there is no such thing. */
interface TagNames {
  /** Entries lead to the HPA at once, and hold no GPA. */
  readonly direct?: true;
  readonly second?: string;
  readonly vpid?: string;
  readonly eptp?: string;
}
function tagNames(g: GuestView): TagNames {
  switch (g.nested?.kind) {
    case 'ept':
      return { second: 'EPT', vpid: 'VPID', eptp: 'EPTP' };
    case 'npt':
      return { second: 'NPT', vpid: 'ASID', eptp: 'nCR3' };
    case undefined:
      return g.emulated ? {} : { direct: true, vpid: 'VPID' };
  }
}

/** An emulated TLB keeps what the guest's tables said where the host has taken the page back. */
const withdrawn = (e: TlbEntryState, { vpid }: TagNames): boolean => vpid === undefined && !e.secondRights.r;
const TAKEN_BACK = 'taken back by the host: found anew at the next access';

const keyOf = (e: TlbEntryState): string => `${e.set}.${e.way}`;

const entryRow = (e: TlbEntryState, names: TagNames): RowParts => ({
  path: `tlb/${keyOf(e)}`,
  name: hex(e.linear),
  kind: 'tlb',
  children: fieldsOf(e, names).length,
  value: `→ ${names.direct ? '' : `GPA ${hex(e.gpa)} → `}${withdrawn(e, names) ? TAKEN_BACK : `HPA ${hex(e.hpa)}`} ${tlbRights(e)}${e.stale ? `  ${staleText(e.stale)}` : ''}`,
  address: { space: 'gva', value: e.linear },
  ...(withdrawn(e, names) ? {} : { memory: { space: 'hpa', value: e.hpa } as const }),
  raw: e.linear,
});

function fieldsOf(e: TlbEntryState, names: TagNames): RowParts[] {
  const field = fieldOf(`tlb/${keyOf(e)}`);
  return [
    field('linear', hex(e.linear), { address: { space: 'gva', value: e.linear } }),
    ...(names.direct ? [] : [field('gpa', hex(e.gpa), { address: { space: 'gpa', value: e.gpa } })]),
    withdrawn(e, names)
      ? field('hpa', TAKEN_BACK)
      : field('hpa', hex(e.hpa), { address: { space: 'hpa', value: e.hpa } }),
    field('rights', tlbRights(e)),
    field(
      'page sizes',
      `guest ${sizeName(BigInt(e.guestPageSize))}${names.second === undefined ? '' : `, ${names.second} ${sizeName(BigInt(e.secondPageSize))}`}`,
    ),
    ...tagRows(field, e.tags, names),
    field('age', `${counted(e.age, 'fill')} ago, set ${e.set}, way ${e.way}`),
    field('dropped by', e.drops),
    ...(e.stale ? [field('stale', staleWords(e.stale))] : []),
  ];
}

type Field = (name: string, value: string, more?: Partial<RowParts>) => RowParts;
const fieldOf =
  (prefix: string): Field =>
  (name, value, more = {}) => ({ path: `${prefix}/${name}`, name, value, kind: 'field', ...more });

const tagRows = (field: Field, { vpid, pcid, eptp = 0n }: TlbTags, names: TagNames): RowParts[] => [
  ...(names.vpid === undefined ? [] : [field(names.vpid, String(vpid))]),
  field('PCID', pcid === null ? 'global' : String(pcid)),
  ...(names.eptp === undefined ? [] : [field(names.eptp, hex(eptp), { address: { space: 'hpa', value: eptp } })]),
];

const cachesRow = (all: readonly WalkCacheState[]): RowParts => ({
  path: 'tlb/caches',
  name: 'Paging-structure caches',
  kind: 'group',
  value: counted(all.length, 'entry'),
  children: all.length,
});

function cachesView(
  all: readonly WalkCacheState[] | undefined,
  names: TagNames,
  { path, start, count }: ViewRequest,
): ViewPage | undefined {
  if (!all) return undefined;
  const [key] = path;
  const nameOf = (e: WalkCacheState): string => `${e.level}-${hex(e.linear)}-${e.tags.pcid ?? 'g'}-${e.tags.vpid}`;
  const fields = (e: WalkCacheState): RowParts[] => {
    const field = fieldOf(`tlb/caches/${nameOf(e)}`);
    return [
      field('linear', `${hex(e.linear)}, ${sizeName(e.size)}`, { address: { space: 'gva', value: e.linear } }),
      field('table', `${hex(e.table)} at HPA ${hex(e.tableHpa)}`, { address: { space: 'hpa', value: e.tableHpa } }),
      field('rights', `${e.writable ? 'RW' : 'R'}${e.executeDisable ? '' : 'X'} ${e.user ? 'US' : 'S'}`),
      ...tagRows(field, e.tags, names),
      ...(e.stale ? [field('stale', staleWords(e.stale))] : []),
    ];
  };
  if (key === undefined)
    return page(all, start, count, (e) =>
      row({
        path: `tlb/caches/${nameOf(e)}`,
        name: `${entryName('guest', e.level)} cache ${hex(e.linear)}`,
        kind: 'tlb',
        children: fields(e).length,
        value: `→ table ${hex(e.table)}${e.stale ? `  ${staleText(e.stale)}` : ''}`,
        address: { space: 'gva', value: e.linear },
        memory: { space: 'hpa', value: e.tableHpa },
      }),
    );
  const e = path.length === 1 ? all.find((x) => nameOf(x) === key) : undefined;
  return e && page(fields(e), start, count, row);
}
