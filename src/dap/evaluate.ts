/** Watch, hover and Debug Console: expressions and monitor commands, assignments, completion. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { formatReference } from '../session/guest/memory';
import type { Evaluation } from '../session/types';
import { compact } from './compact';
import type { AdapterContext } from './context';
import type { Handlers } from './requests';
import { frameOfId } from './stack';
import { hexOf } from './variables';

function resultOf(evaluation: Evaluation, format: Dap.ValueFormat | undefined): string {
  return format?.hex && evaluation.value !== undefined ? hexOf(evaluation.value, evaluation.mark) : evaluation.text;
}

/** A register opens as its row of the Variables view does. */
function expansion(
  adapter: AdapterContext,
  { view }: Evaluation,
): Pick<Dap.Variable, 'variablesReference' | 'namedVariables'> {
  const page = view === undefined ? undefined : adapter.stopped.views.page(view, 0, 0);
  if (view === undefined || !page?.ok || page.value.total === 0) return { variablesReference: 0 };
  return { variablesReference: adapter.references.of(view), namedVariables: page.value.total };
}

export const evaluateRequests: Handlers<'evaluate' | 'setExpression' | 'completions'> = {
  evaluate(adapter, args) {
    const { stopped } = adapter;
    // watches and hovers are evaluated repeatedly: only the console may change something
    const acts = args.context === 'repl';
    const options = { ...frameOfId(adapter, args.frameId), acts };
    const ask = (): Evaluation => adapter.unwrap(stopped.console.evaluate(args.expression, options));
    const evaluation = acts ? adapter.change(ask, { isChange: ({ changed }) => changed === true }) : ask();
    return compact<Dap.EvaluateResponse['body']>({
      result: resultOf(evaluation, args.format),
      type: adapter.client.supportsVariableType ? evaluation.kind : undefined,
      ...expansion(adapter, evaluation),
      memoryReference: evaluation.address && formatReference(evaluation.address),
    });
  },

  setExpression(adapter, args) {
    const { stopped } = adapter;
    const frame = frameOfId(adapter, args.frameId);
    const evaluation = adapter.change(() => adapter.unwrap(stopped.console.assign(args.expression, args.value, frame)));
    return compact<Dap.SetExpressionResponse['body']>({
      value: resultOf(evaluation, args.format),
      memoryReference: evaluation.address && formatReference(evaluation.address),
    });
  },

  completions(adapter, args) {
    const { client } = adapter;
    const line = args.text.split('\n')[args.line === undefined ? 0 : client.ourLine(args.line) - 1] ?? '';
    const typed = line.slice(0, client.ourColumn(args.column) - 1);
    const word = /[\w.$@:]*$/.exec(typed)?.[0] ?? '';
    const start = client.column(typed.length - word.length + 1);
    return {
      targets: adapter.stopped.console.complete(typed).map((label) => ({ label, start, length: word.length })),
    };
  },
};
