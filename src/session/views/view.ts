import { hex } from '../../base/hex';
import type { DecodedBits } from '../../isa/bit-layout';
import type { FrameRegisters } from '../stack/frame-registers';
import type { ViewNode, ViewPage } from '../types';
import { viewInFrame } from '../types';

/** The parts of a row that every view decides; the rest is absent unless given. */
export type RowParts = Pick<ViewNode, 'path' | 'name' | 'value' | 'kind'> &
  Partial<Omit<ViewNode, 'path' | 'name' | 'value' | 'kind'>>;

export const row = (parts: RowParts): ViewNode => ({ children: 0, editable: false, ...parts });

/** What the row's number was at the exit before. */
export const was = (raw: bigint, value = hex(raw)): Pick<ViewNode, 'before'> => ({ before: { raw, value } });

/** `bit 3`, `bits 11:8`. */
export const whereOf = (d: DecodedBits): string => (d.hi === d.lo ? `bit ${d.lo}` : `bits ${d.hi}:${d.lo}`);

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
    detail: [whereOf(d)],
  });
}

/** A row of a caller's frame: a value that is not its own says so, and what cannot be set there is not editable. */
export function inFrame(node: ViewNode, frame: FrameRegisters): ViewNode {
  const register = node.evaluateName ?? node.path.split('/')[1] ?? node.name;
  const mark = frame.mark(register);
  const editable = node.editable && frame.whyReadOnly(register) === undefined;
  const path = viewInFrame(node.path, frame.level);
  return { ...node, path, editable, ...(mark === undefined ? {} : { value: `${node.value} ${mark}`, mark }) };
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
