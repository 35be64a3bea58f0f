/** What the preprocessor does with tokens: find the ends of things, join and split them, write them out. */
import { stringBytes } from '../expr/numbers';
import type { Token } from './lexer';
import { lexLine } from './lexer';

export const isLocal = (t: Token): boolean => t.kind === 'parameter' && t.text.startsWith('%$');
export const isPaste = (t: Token): boolean => t.kind === 'punctuation' && t.text === '%+';

/** The index of the `]` that closes a `%[`; the last index where none does. */
export function closingBracket(tokens: readonly Token[], from: number): number {
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    const text = tokens[i]?.kind === 'punctuation' || tokens[i]?.kind === 'parameter' ? tokens[i]?.text : '';
    if (text === '[' || text === '%[') depth++;
    else if (text === ']' && --depth === 0) return i;
  }
  return tokens.length;
}

/** The same tokens at the place of a call. */
export const relocate = (body: readonly Token[], at: Token): Token[] =>
  body.map((t, i) => ({
    ...t,
    file: at.file,
    line: at.line,
    column: at.column,
    end: at.end,
    spaced: i === 0 ? at.spaced : t.spaced,
  }));

export interface CallArguments {
  readonly raw: readonly (readonly Token[])[];
  /** The index of `)`. */
  readonly end: number;
}

/** `(a, b)` after a function-like macro's name: the arguments, split at commas outside parentheses and braces. */
export function callArguments(tokens: readonly Token[], from: number): CallArguments | undefined {
  if (tokens[from]?.text !== '(' || tokens[from]?.kind !== 'punctuation') return undefined;
  const raw: Token[][] = [[]];
  let parentheses = 0;
  let braces = 0;
  for (let i = from; i < tokens.length; i++) {
    const t = tokens[i];
    if (!t) break;
    const p = t.kind === 'punctuation' ? t.text : '';
    if (p === '{') braces++;
    else if (p === '}' && braces > 0) braces--;
    else if (p === '(' && braces === 0) parentheses++;
    else if (p === ')' && braces === 0 && --parentheses === 0) return { raw, end: i };
    if (p === ',' && parentheses === 1 && braces === 0) raw.push([]);
    else if (i > from) raw[raw.length - 1]?.push(t);
  }
  return undefined;
}

/** Braces around a whole argument keep its commas, and go. */
export function unbraced(arg: readonly Token[]): readonly Token[] {
  const isBrace = (t: Token | undefined, text: string): boolean => t?.kind === 'punctuation' && t.text === text;
  return arg.length >= 2 && isBrace(arg[0], '{') && isBrace(arg[arg.length - 1], '}') ? arg.slice(1, -1) : arg;
}

/** `a %+ b` makes one token of two. */
export function paste(tokens: readonly Token[]): readonly Token[] {
  if (!tokens.some(isPaste)) return tokens;
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const t = tokens[i];
    if (!t) break;
    if (!isPaste(t)) {
      out.push(t);
      continue;
    }
    while (i + 1 < tokens.length && tokens.slice(i + 1, i + 2).some(isPaste)) i++;
    const left = out.pop();
    const right = tokens[++i];
    if (left && right) out.push(...lexed(left.text + right.text, left));
    else if (left ?? right) out.push(...[left, right].filter((x) => x !== undefined));
  }
  return out;
}

const joinable = (t: Token | undefined): boolean =>
  t !== undefined &&
  (t.kind === 'word' || t.kind === 'number' || t.kind === 'float' || (t.kind === 'punctuation' && t.text === '$'));

/**
 * Words and digits that came together without a space between them are one token, as they are once NASM has written the line out.
 * @param withLocals a `%$x` that is not a macro grows too, into the name of another one
 */
export function glue(tokens: readonly Token[], withLocals = false): readonly Token[] {
  const touches = (i: number): boolean => {
    const t = tokens[i];
    const before = tokens[i - 1];
    return (
      t !== undefined &&
      before !== undefined &&
      !t.spaced &&
      t.kind !== 'punctuation' &&
      (joinable(t) || (withLocals && isLocal(t))) &&
      (joinable(before) || (withLocals && isLocal(before)))
    );
  };
  if (!tokens.some((_, i) => i > 0 && touches(i))) return tokens;
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const t = tokens[i];
    const left = out[out.length - 1];
    if (t && left && i > 0 && touches(i)) out.splice(-1, 1, ...lexed(left.text + t.text, left));
    else if (t) out.push(t);
  }
  return out;
}

/** The tokens of a text, all at the place of one that was there before. */
export const lexed = (text: string, at: Token): Token[] =>
  lexLine(` ${text}`, at.file, at.line).tokens.map((t, i) => ({
    ...t,
    column: at.column,
    end: at.end,
    spaced: i === 0 ? at.spaced : t.spaced,
  }));

/** The text of tokens, with one space where there was any. */
export const spell = (tokens: readonly Token[]): string =>
  tokens.map((t, i) => (i > 0 && t.spaced ? ' ' : '') + t.text).join('');

/** A number as the one or two tokens it is written with. */
export function numberTokens(value: bigint, at: Token): Token[] {
  const digits: Token = {
    ...at,
    kind: 'number',
    text: (value < 0n ? -value : value).toString(),
    spaced: value >= 0n && at.spaced,
  };
  return value < 0n ? [{ ...at, kind: 'punctuation', text: '-' }, digits] : [digits];
}

/** A string token for a text as a person writes it. */
export const quotedText = (text: string, at: Token): Token => quoted(charactersOf(stringBytes(`"${text}"`)), at);

/** A string token that holds these bytes (one per character), in quotes that it does not contain. */
export function quoted(bytes: string, at: Token): Token {
  const quote = /^[\x20-\x7e]*$/.test(bytes) ? ["'", '"'].find((q) => !bytes.includes(q)) : undefined;
  const escape = (c: string): string =>
    c === '`' || c === '\\' ? `\\${c}` : `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`;
  return {
    ...at,
    kind: 'string',
    text:
      quote === undefined
        ? '`' + bytes.replace(/[^\x20-\x5b\x5d-\x5f\x61-\x7e]/g, escape) + '`'
        : quote + bytes + quote,
  };
}

/** Outside a macro body `%1` is the operator and a number, `%%x` the operator and a name. */
export function splitParameters(tokens: readonly Token[]): readonly Token[] {
  if (!tokens.some((t) => t.kind === 'parameter')) return tokens;
  return tokens.flatMap((t): Token[] => {
    const m = t.kind === 'parameter' ? /^(%%?)([+-]?)([0-9]+|[\p{L}_.?@].*)$/u.exec(t.text) : null;
    if (!m || (m[1] === '%' && !/^[0-9]/.test(m[3] ?? ''))) return [t];
    const [, operator = '%', sign = '', rest = ''] = m;
    let column = t.column + operator.length;
    const out: Token[] = [{ ...t, kind: 'punctuation', text: operator, end: column }];
    if (sign !== '') out.push({ ...t, kind: 'punctuation', text: sign, column, end: ++column, spaced: false });
    out.push({ ...t, kind: /^[0-9]/.test(rest) ? 'number' : 'word', text: rest, column, spaced: false });
    return out;
  });
}

/** A character for each byte; a string may have more of them than a call can have arguments. */
export function charactersOf(bytes: readonly number[]): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.slice(i, i + 4096));
  return text;
}
