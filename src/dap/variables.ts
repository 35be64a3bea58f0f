/** The Variables view: pages of the session's views, row by row. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { hex } from '../base/hex';
import { formatReference } from '../session/guest/memory';
import type { ViewNode } from '../session/types';
import { compact } from './compact';
import type { AdapterContext } from './context';
import { requestError } from './errors';
import type { Handlers } from './requests';

/** A node with more children than this is shown in pages (VS Code groups `indexed` children by hundreds). */
const PAGED_FROM = 100;
/** Rows that one request gets where it asks for no fewer. */
const MOST_ROWS = 1024;

/** What a row is. */
const KINDS: Readonly<Record<ViewNode['kind'], string>> = {
  group: 'group',
  register: 'register',
  field: 'field',
  table: 'page table',
  page: 'page',
  'large-page': 'large page',
  slot: 'memslot',
  hole: 'hole',
  range: 'range',
  tlb: 'TLB entry',
  text: 'text',
};

function variable(adapter: AdapterContext, node: ViewNode, inHex: boolean): Dap.Variable {
  const { references } = adapter;
  const paged = node.children > PAGED_FROM;
  const memory = node.memory ?? node.address;
  return compact<Dap.Variable>({
    name: node.name,
    value: inHex && node.raw !== undefined && node.children === 0 ? hexOf(node.raw, node.mark) : node.value,
    type: adapter.client.supportsVariableType ? [KINDS[node.kind], ...(node.detail ?? [])].join(' · ') : undefined,
    variablesReference: node.children > 0 ? references.of(node.path) : 0,
    indexedVariables: paged ? node.children : undefined,
    namedVariables: node.children > 0 && !paged ? node.children : undefined,
    memoryReference: memory && formatReference(memory),
    evaluateName: node.evaluateName,
    presentationHint: node.editable ? undefined : { attributes: ['readOnly'] },
  });
}

/** In hexadecimal, with what a reader must know of it. */
export const hexOf = (raw: bigint, mark: string | undefined): string =>
  mark === undefined ? hex(raw) : `${hex(raw)} ${mark}`;

function pathOf(adapter: AdapterContext, reference: number): string {
  const path = adapter.references.pathOf(reference);
  if (path === undefined) throw requestError('badReference', 'these values belong to an earlier stop');
  return path;
}

/** The path of the row called `name` below `parent`. */
function childPath(adapter: AdapterContext, parent: string, name: string): string {
  for (let start = 0; ;) {
    const { nodes, total } = adapter.unwrap(adapter.stopped.views.page(parent, start, MOST_ROWS));
    const found = nodes.find((node) => node.name === name);
    if (found) return found.path;
    start += nodes.length;
    if (nodes.length === 0 || start >= total) throw requestError('badArgument', `there is no ${name} here`);
  }
}

export const variableRequests: Handlers<'variables' | 'setVariable'> = {
  variables(adapter, args) {
    const { stopped } = adapter;
    const path = pathOf(adapter, args.variablesReference);
    const { nodes } = adapter.unwrap(stopped.views.page(path, args.start ?? 0, args.count || MOST_ROWS));
    return { variables: nodes.map((node) => variable(adapter, node, args.format?.hex === true)) };
  },

  setVariable(adapter, args) {
    const { stopped } = adapter;
    const path = childPath(adapter, pathOf(adapter, args.variablesReference), args.name);
    const value = adapter.change(() => adapter.unwrap(stopped.console.setValue(path, args.value)));
    return { value };
  },
};
