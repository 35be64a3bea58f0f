/** The requests beyond DAP (src/protocol/messages.ts): translations, hovers, and the table trees of the views. */
import { hex } from '../base/hex';
import type { TranslateReply, TreeNode, HoverOperand as WireOperand } from '../protocol/messages';
import type { DebugTarget } from '../session/api';
import type { HoverOperand } from '../session/console/hover';
import type { TranslateAnswer } from '../session/translate/translation';
import type { Evaluation, ViewNode } from '../session/types';
import { encode } from '../wire/encode';
import { compact } from './compact';
import { requestError } from './errors';
import type { Handlers } from './requests';
import { frameIfThere } from './stack';

/** The address that an expression denotes: a memory operand's own address, otherwise the value. */
export function addressIn(evaluation: Evaluation): bigint | undefined {
  return evaluation.kind === 'memory' ? evaluation.address?.value : (evaluation.value ?? evaluation.address?.value);
}

const chains = (answer: TranslateAnswer): Pick<TranslateReply, 'translation' | 'reverse'> =>
  answer.kind === 'forward' ? { translation: encode(answer.chain) } : { reverse: encode(answer.chain) };

/** What a hover can show; a comparison or a command cannot appear under the cursor. */
function hoverKind(kind: Evaluation['kind']): WireOperand['kind'] {
  switch (kind) {
    case 'register':
    case 'memory':
    case 'label':
    case 'constant':
      return kind;
    case 'number':
    case 'boolean':
    case 'expression':
    case 'text':
      return 'number';
  }
}

function hoverOperand(target: DebugTarget, { expression, evaluation, translation }: HoverOperand): WireOperand {
  const chain = translation?.kind === 'forward' ? translation.chain : undefined;
  const { address } = evaluation;
  return compact<WireOperand>({
    expression,
    kind: hoverKind(evaluation.kind),
    value: evaluation.text,
    address: chain && address && hex(address.value),
    space: chain && address?.space,
    symbol:
      evaluation.symbol ?? (chain && address?.space === 'gva' ? target.symbols.symbolOf(address.value) : undefined),
    translation: chain && encode(chain),
  });
}

function treeNode(target: DebugTarget, node: ViewNode, isRoot: boolean): TreeNode {
  const actions = target.console.rowActions(node);
  return compact<TreeNode>({
    id: node.path,
    label: node.name,
    description: (node.brief ?? node.value) || undefined,
    tooltip:
      node.detail && ['```text', ...(node.brief === undefined ? [] : [node.value]), ...node.detail, '```'].join('\n'),
    kind: treeKind(node.kind, isRoot),
    address: node.address && encode(node.address),
    marks: node.marks && node.marks.length > 0 ? node.marks : undefined,
    actions: actions.length > 0 ? actions : undefined,
    value: node.raw === undefined ? undefined : hex(node.raw),
    children: node.children > 0,
  });
}

function treeKind(kind: ViewNode['kind'], isRoot: boolean): TreeNode['kind'] {
  switch (kind) {
    case 'table':
    case 'page':
    case 'large-page':
    case 'slot':
    case 'hole':
    case 'range':
      return kind;
    case 'group':
      return isRoot ? 'root' : 'table';
    case 'register':
    case 'field':
    case 'tlb':
    case 'text':
      return 'range';
  }
}

export const customRequests: Handlers<'pagewalk/translate' | 'pagewalk/hover' | 'pagewalk/tree'> = {
  'pagewalk/translate'(adapter, args) {
    const { stopped, client } = adapter;
    const evaluation = adapter.unwrap(stopped.console.evaluate(args.expression, frameIfThere(adapter, args.frameId)));
    const address = addressIn(evaluation);
    if (address === undefined) throw requestError('badArgument', `${args.expression} is not an address`);
    const { space } = args;
    const answer = stopped.translate({
      address,
      space,
      access: args.access ?? 'r',
      ...(args.user === undefined ? {} : { user: args.user }),
    });
    const symbol = space === 'gva' ? stopped.symbols.symbolOf(address) : undefined;
    const at = symbol === undefined ? undefined : stopped.disassembly.around(address, 0, 1)[0]?.location;
    const path = at && client.source(at.file).path;
    return compact<TranslateReply>({
      address: hex(address),
      space,
      symbol,
      source: at && path !== undefined ? { path, line: client.edited.toCurrent(at.file, at.line).line } : undefined,
      ...chains(answer),
    });
  },

  'pagewalk/hover'(adapter, args) {
    const answer = adapter.stopped.console.hover(args.lineText, args.column, frameIfThere(adapter, args.frameId));
    if (!answer) return null;
    const { start, end, about, operands } = answer;
    return { start, end, about, operands: operands.map((each) => hoverOperand(adapter.target, each)) };
  },

  'pagewalk/tree'(adapter, args) {
    const { nodes, total } = adapter.unwrap(adapter.stopped.views.page(args.node ?? args.tree, args.start, args.count));
    return { nodes: nodes.map((node) => treeNode(adapter.target, node, args.node === undefined)), total };
  },
};
