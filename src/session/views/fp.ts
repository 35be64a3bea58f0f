import { hex } from '../../base/hex';
import { ST_NAMES, X87_NAMES, XMM_NAMES, lanesOf, readNarrow, readWide } from '../guest/fp-registers';
import type { GuestView } from '../guest/view';
import type { ViewNode, ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

/** XMM0 to XMM15, each with its halves and lanes; MXCSR. */
export function sseView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  const [parent] = path;
  if (parent === undefined)
    return page([...XMM_NAMES, 'mxcsr'], start, count, (name) =>
      name === 'mxcsr' ? narrow(g, 'sse', name) : wide(g, 'sse', name),
    );
  const index = XMM_NAMES.indexOf(parent);
  if (index < 0 || path.length > 1) return undefined;
  const halves = [`${parent}_lo`, `${parent}_hi`].map((name) => narrow(g, `sse/${parent}`, name));
  const lanes = lanesOf(g.state, index).map(([name, value]) =>
    row({ path: `sse/${parent}/${name}`, name, value, kind: 'field' }),
  );
  return page([...halves, ...lanes], start, count, (n) => n);
}

/** ST(0) to ST(7) from the top of the stack, and the control, status and tag words. */
export function x87View(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  if (path.length > 0) return undefined;
  const names = [...ST_NAMES, ...X87_NAMES];
  return page(names, start, count, (name) => (name.startsWith('st') ? wide(g, 'x87', name) : narrow(g, 'x87', name)));
}

function wide(g: GuestView, parent: string, name: string): ViewNode {
  return row({
    path: `${parent}/${name}`,
    name,
    value: readWide(g.state, name)?.text ?? '',
    kind: 'register',
    children: parent === 'sse' ? 5 : 0,
    editable: true,
    evaluateName: name,
  });
}
function narrow(g: GuestView, parent: string, name: string): ViewNode {
  const raw = readNarrow(g.state, name) ?? 0n;
  return row({
    path: `${parent}/${name}`,
    name,
    value: hex(raw),
    raw,
    kind: 'register',
    editable: true,
    evaluateName: name,
  });
}
