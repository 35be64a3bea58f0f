import { findInstructionAt, findOperandAt, locate, parseExpression } from '../../expr/index';
import type { OperandAt } from '../../expr/index';
import { evaluateExpression } from './evaluate';
import type { Names } from './names';
import type { Translate, TranslateAnswer } from '../translate/translation';
import type { Evaluation } from '../types';

export interface HoverAnswer {
  /** 1-based columns of what the hover is about, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** `instruction`: a mnemonic. */
  readonly about: 'operand' | 'instruction';
  /** The operand there; on a mnemonic, those of its operands that have a value. Never empty. */
  readonly operands: readonly HoverOperand[];
}

export interface HoverOperand {
  readonly expression: string;
  readonly evaluation: Evaluation;
  /** The chain of the operand's own address, or of the value where that is a mapped address. */
  readonly translation?: TranslateAnswer;
}

/** What stands under a 1-based column of a source line: its value, and the chain of the address that it is or has. On a mnemonic: those of its operands. */
export function hoverAt(line: string, column: number, names: Names, translate: Translate): HoverAnswer | undefined {
  const one = findOperandAt(line, column);
  const instruction = one ? undefined : findInstructionAt(line, column);
  // A number beside a mnemonic says itself.
  const all = one ? [one] : (instruction?.operands.filter(({ kind }) => kind !== 'number') ?? []);
  const operands = all.map((each) => hoverOperand(each, names, translate)).filter((each) => each !== undefined);
  const place = one ?? instruction;
  if (!place || operands.length === 0) return undefined;
  return { start: place.start, end: place.end, about: one ? 'operand' : 'instruction', operands };
}

function hoverOperand({ text: expression }: OperandAt, names: Names, translate: Translate): HoverOperand | undefined {
  const evaluation = evaluateQuietly(expression, names);
  if (!evaluation) return undefined;
  const { address, kind } = evaluation;
  const translation =
    address && kind !== 'constant' ? translate({ address: address.value, space: address.space }) : undefined;
  // a register or number is shown as an address only where it is one
  const chain = translation?.kind === 'forward' ? translation.chain : undefined;
  const useful = kind === 'memory' || kind === 'label' || chain?.gpa !== undefined || chain?.hpa !== undefined;
  return { expression, evaluation, ...(translation && useful ? { translation } : {}) };
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
