import { hex } from '../../base/hex';
import type { DecodedBits } from '../../isa/bit-layout';
import type { ViewNode, ViewPage } from '../types';

/** The parts of a row that every view decides; the rest is absent unless given. */
export type RowParts = Pick<ViewNode, 'path' | 'name' | 'value' | 'kind'> &
  Partial<Omit<ViewNode, 'path' | 'name' | 'value' | 'kind'>>;

export const row = (parts: RowParts): ViewNode => ({ children: 0, editable: false, ...parts });

/** What the row's number was at the exit before. */
export const was = (raw: bigint, value = hex(raw)): Pick<ViewNode, 'before'> => ({ before: { raw, value } });

/** A part of a field at `path`. `old`: the field's parts at the exit before. */
export function bitsRow(path: string, d: DecodedBits, old: readonly DecodedBits[] = []): ViewNode {
  const text = (part: DecodedBits): string => part.text ?? hex(part.value);
  const before = old.find(({ name, lo }) => name === d.name && lo === d.lo);
  return row({
    path: `${path}/${d.name}`,
    name: d.name,
    value: text(d),
    raw: d.value,
    ...(before && was(before.value, text(before))),
    kind: 'field',
    detail: [d.hi === d.lo ? `bit ${d.lo}` : `bits ${d.hi}:${d.lo}`],
  });
}

/** The `count` rows from the `start`th on; rows are made only for those asked for. */
export function page<T>(
  items: readonly T[],
  start: number,
  count: number,
  make: (item: T, index: number) => ViewNode,
): ViewPage {
  return { nodes: items.slice(start, start + count).map((item, i) => make(item, start + i)), total: items.length };
}

/** What a view is asked: the path below its root, and the rows wanted. */
export interface ViewRequest {
  readonly path: readonly string[];
  readonly start: number;
  readonly count: number;
}
