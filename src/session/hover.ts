import { findOperandAt, locate, parseExpression } from '../expr/index';
import type { HoverAnswer } from './api';
import { evaluateExpression } from './evaluate';
import type { Names } from './names';
import type { TranslateAnswer, TranslateQuery } from './translation';
import type { Evaluation } from './types';

/** What stands under a 1-based column of a source line: its value, and the chain of the address that it is or has. */
export function hoverAt(
  line: string,
  column: number,
  names: Names,
  translate: (query: TranslateQuery) => TranslateAnswer,
): HoverAnswer | undefined {
  const operand = findOperandAt(line, column);
  const evaluation = operand && evaluateQuietly(operand.text, names);
  if (!operand || !evaluation) return undefined;
  const { text: expression, start, end } = operand;
  const { address, kind } = evaluation;
  const translation =
    address && kind !== 'constant' ? translate({ address: address.value, space: address.space }) : undefined;
  // a register or number is shown as an address only where it is one
  const chain = translation?.kind === 'forward' ? translation.chain : undefined;
  const useful = kind === 'memory' || kind === 'label' || chain?.gpa !== undefined || chain?.hpa !== undefined;
  return { expression, start, end, evaluation, ...(translation && useful ? { translation } : {}) };
}

/** Memory that cannot be read still has an address, and its chain says why. */
function evaluateQuietly(text: string, names: Names): Evaluation | undefined {
  const value = evaluateExpression(text, names);
  if (value.ok) return value.value;
  const parsed = parseExpression(text);
  if (!parsed.ok || parsed.value.kind !== 'memory') return undefined;
  const request = locate(parsed.value, names.env());
  if (!request.ok) return undefined;
  const { space } = request.value;
  return { text: 'cannot be read', kind: 'memory', address: { space, value: names.linear(request.value) } };
}
