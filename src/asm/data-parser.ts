import { stringBytes } from '../expr/numbers';
import { wideBytes } from './wide-string';
import type { Expr, QualifyName, TokenCursor } from './expression';
import { parseExpression } from './expression';
import { tokenSpan } from './lexer';
import type { DataItem } from './statement';

const MAX_DEPTH = 50;
const WIDTHS: Readonly<Record<string, number>> = {
  byte: 1,
  word: 2,
  dword: 4,
  qword: 8,
  tword: 10,
  oword: 16,
  yword: 32,
  zword: 64,
};

/**
 * The items of db, dw, dd, dq, dt and their kin: numbers, strings, floating-point numbers, `?`, and `n dup (…)`
 * (NASM manual, 3.2.1). @throws SyntaxFault
 */
export function parseData(cursor: TokenCursor, qualify: QualifyName, width: number, depth = 0): DataItem[] {
  if (depth > MAX_DEPTH) cursor.fail('dup nests too deeply');
  const items: DataItem[] = [];
  if (cursor.done && depth === 0) return items;
  for (;;) {
    items.push(parseItem(cursor, qualify, width, depth));
    if (!cursor.accept(',')) return items;
    // A comma at the end of the line is allowed, as in NASM.
    if (cursor.done || cursor.is(')')) return items;
  }
}

function parseItem(cursor: TokenCursor, qualify: QualifyName, width: number, depth: number): DataItem {
  const t = cursor.peek();
  const after = cursor.peek(1);
  const ends = after === undefined || (after.kind === 'punctuation' && (after.text === ',' || after.text === ')'));
  if (t?.kind === 'word' && t.text === '?' && ends) {
    cursor.next();
    return { kind: 'uninitialized' };
  }
  if (t?.kind === 'string' && ends) {
    cursor.next();
    return { kind: 'string', bytes: stringBytes(t.text), span: tokenSpan(t) };
  }
  const wide = t?.kind === 'word' ? /^__\??utf(16|32)(le|be)?\??__$/.exec(t.text.toLowerCase()) : null;
  if (wide) return wideString(cursor, Number(wide[1]) / 8, wide[2] === 'be');
  const typed =
    t?.kind === 'word' && after !== undefined && after.text !== ',' ? WIDTHS[t.text.toLowerCase()] : undefined;
  if (typed !== undefined) {
    cursor.next();
    if (cursor.is('(') || cursor.is('%')) {
      cursor.accept('%');
      return parseList(cursor, qualify, typed, depth, { kind: 'number', value: 1n, span: cursor.here() });
    }
    return {
      kind: 'repeat',
      count: { kind: 'number', value: 1n, span: cursor.here() },
      items: [parseItem(cursor, qualify, typed, depth + 1)],
      width: typed,
    };
  }
  const sign = t?.kind === 'punctuation' && (t.text === '-' || t.text === '+') ? t.text : undefined;
  const number = sign === undefined ? t : after;
  const isPackedDecimal = width === 10 && number?.kind === 'number' && /^(0p[0-9_]+|[0-9][0-9_]*p)$/i.test(number.text);
  const isFloat =
    isPackedDecimal ||
    number?.kind === 'float' ||
    (number?.kind === 'word' && /^__\??(infinity|[qs]?nan)\??__$/i.test(number.text));
  if (isFloat && number) {
    cursor.index += sign === undefined ? 1 : 2;
    return { kind: 'float', text: number.text, negative: sign === '-', span: tokenSpan(number) };
  }
  if (cursor.is('(') || cursor.is('%')) {
    // A parenthesized list, `%(1, 2)`, or just an expression that begins with a parenthesis.
    if (cursor.accept('%'))
      return parseList(cursor, qualify, width, depth, { kind: 'number', value: 1n, span: cursor.here() });
  }
  const expr = parseExpression(cursor, qualify);
  if (!cursor.acceptWord('dup')) return { kind: 'value', expr };
  const word = cursor.word();
  const innerWidth = word === undefined ? undefined : WIDTHS[word];
  if (innerWidth !== undefined) cursor.next();
  return parseList(cursor, qualify, innerWidth ?? width, depth, expr);
}

function parseList(cursor: TokenCursor, qualify: QualifyName, width: number, depth: number, count: Expr): DataItem {
  if (!cursor.accept('('))
    return { kind: 'repeat', count, items: [parseItem(cursor, qualify, width, depth + 1)], width };
  const items = parseData(cursor, qualify, width, depth + 1);
  cursor.expect(')', 'after the values of dup');
  return { kind: 'repeat', count, items, width };
}

/** `__utf16__("text")`: the string's characters in UTF-16 or UTF-32 (NASM manual, 3.4.5). */
function wideString(cursor: TokenCursor, unit: number, bigEndian: boolean): DataItem {
  cursor.next();
  const parenthesis = cursor.accept('(');
  const t = cursor.next();
  if (t?.kind !== 'string') return cursor.fail('expected a string here', t ? tokenSpan(t) : cursor.lineEnd);
  if (parenthesis) cursor.expect(')', 'after the string');
  return { kind: 'string', bytes: wideBytes(stringBytes(t.text), unit, bigEndian), span: tokenSpan(t) };
}
