/**
 * How a line is built: label, instruction word, operands. Works on partially typed lines, so the line need not be
 * valid.
 */
import { isMnemonic, registerByName, type LogicalLine, type Token } from '../asm/index';
import { isReservedWord } from '../asm/parser';
import { prefixDoc } from './instructions/index';

export interface LineShape {
  readonly label: Token | undefined;
  /** The mnemonic, directive, macro name or preprocessor word. */
  readonly head: Token | undefined;
  /** The tokens after the head, split at commas outside brackets; `[[]]` if nothing follows. */
  readonly operands: readonly (readonly Token[])[];
}

/** A line's tokens in source order begin with its label, prefixes and head. `isMacro` knows the multi-line macros. */
export function shapeOf(tokens: readonly Token[], isMacro: (name: string) => boolean): LineShape {
  const [first, second] = tokens;
  if (!first) return { label: undefined, head: undefined, operands: [[]] };
  if (first.kind === 'preprocessor') return { label: undefined, head: first, operands: split(tokens.slice(1)) };
  let at = 0;
  let label: Token | undefined;
  const colon = second?.kind === 'punctuation' && second.text === ':';
  const word = first.text.toLowerCase();
  const named = first.text.startsWith('$') || !(isReservedWord(word) && !(colon && registerByName(word) === undefined));
  if (first.text === '[') at = 1;
  else if ((first.kind === 'word' || /^%(%|\$)/.test(first.text)) && (colon || (named && !isMacro(first.text)))) {
    label = first;
    at = colon ? 2 : 1;
  }
  while (isPrefix(tokens[at], tokens[at + 1])) at++;
  if (tokens[at]?.text.toLowerCase() === 'times') {
    const body = tokens.findIndex((t, i) => i > at && t.kind === 'word' && isBody(t.text.toLowerCase()));
    at = body < 0 ? tokens.length : body;
    while (isPrefix(tokens[at], tokens[at + 1])) at++;
  }
  const head = tokens[at];
  return { label, head: head?.kind === 'word' ? head : undefined, operands: split(tokens.slice(at + 1)) };
}

const isBody = (word: string): boolean =>
  isMnemonic(word) || /^(d[bwdqtoyz]|res[bwdqtoyz]|incbin)$/.test(word) || prefixDoc(word) !== undefined;

function isPrefix(token: Token | undefined, next: Token | undefined): boolean {
  if (token?.kind !== 'word' || next === undefined) return false;
  const word = token.text.toLowerCase();
  return prefixDoc(word) !== undefined || (registerByName(word)?.class === 'segment' && next.text !== ':');
}

function split(tokens: readonly Token[]): Token[][] {
  const out: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    const mark = token.kind === 'punctuation' ? token.text : '';
    if (mark === '[' || mark === '(' || mark === '{') depth++;
    if (mark === ']' || mark === ')' || mark === '}') depth--;
    if (mark === ',' && depth <= 0) out.push([]);
    else out.at(-1)?.push(token);
  }
  return out;
}

/** Whether a line that begins with this token continues with the lines of another file. */
export const isInclude = (first: Token | undefined): boolean =>
  first?.kind === 'preprocessor' && /^%(include|require)$/.test(first.text);

/** The logical line that holds a 1-based physical line. `lines` are in order. */
export function logicalLineAt(lines: readonly LogicalLine[], line: number): LogicalLine | undefined {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.line ?? 0) <= line) low = middle + 1;
    else high = middle;
  }
  const found = lines[low - 1];
  const reaches = found && (found.line === line || found.tokens.some((token) => token.line === line));
  return reaches ? found : undefined;
}
