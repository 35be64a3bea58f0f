import type { ViewNode, ViewPage } from '../types';

/** The parts of a row that every view decides; the rest is absent unless given. */
export type RowParts = Pick<ViewNode, 'path' | 'name' | 'value' | 'kind'> &
  Partial<Omit<ViewNode, 'path' | 'name' | 'value' | 'kind'>>;

export const row = (parts: RowParts): ViewNode => ({ children: 0, editable: false, ...parts });

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
