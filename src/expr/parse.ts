import { SPACES } from '../base/address';
import type { Space } from '../base/address';
import type { Diagnostic, Position } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { SEGMENTS } from '../isa/registers';
import type { SegmentName } from '../isa/registers';
import type { BinaryOp, Condition, Expr, LoadSize, LogFormat, LogMessage, LogPart } from './ast';
import { parseNumber } from './numbers';
import { ExprFault, Scanner } from './scanner';

/**
 * The grammar (lowest precedence first; C's, with words as alternatives):
 *
 *   condition := [expr] [',' 'log' string]              | 'log' string
 *   expr      := and   (('||' | 'or')  and)*
 *   and       := not   (('&&' | 'and') not)*
 *   not       := 'not' not | bitor                      `not` takes a whole comparison: not a == b is !(a == b)
 *   bitor     := bitxor ('|' bitxor)*    bitxor := bitand ('^' bitand)*    bitand := equal ('&' equal)*
 *   equal     := order (('==' | '=' | '!=') order)*     order := shift (('<' | '<=' | '>' | '>=') shift)*
 *   shift     := sum (('<<' | '>>') sum)*               sum := product (('+' | '-') product)*
 *   product   := unary (('*' | '/' | '%') unary)*       unary := ('-' | '+' | '~' | '!') unary | primary
 *   primary   := number | name | name '(' expr,* ')' ['.' name] | '(' expr ')' | space ':' primary
 *              | [size] ['ptr'] [segment ':'] '[' ['rel' | 'abs'] [(segment | space) ':'] expr ']'
 *   size      := byte | word | dword | qword            space := gva | gpa | hva | hpa
 *
 * A log string shows `{expr}` in hexadecimal, `{expr, d}` in decimal, `{expr, b}` in binary; `{{` and `}}` are
 * braces.
 */
const LEVELS: readonly Readonly<Record<string, BinaryOp>>[] = [
  { '|': '|' },
  { '^': '^' },
  { '&': '&' },
  { '==': '==', '=': '==', '!=': '!=' },
  { '<': '<', '<=': '<=', '>': '>', '>=': '>=' },
  { '<<': '<<', '>>': '>>' },
  { '+': '+', '-': '-' },
  { '*': '*', '/': '/', '%': '%' },
];

const SIZES: Readonly<Record<string, LoadSize>> = { byte: 1, word: 2, dword: 4, qword: 8 };
const MAX_DEPTH = 100;

const isSpace = (word: string | undefined): word is Space => SPACES.some((s) => s === word);
const isSegment = (word: string | undefined): word is SegmentName => SEGMENTS.some((s) => s === word);

const ORIGIN: Position = { line: 1, column: 1 };

/**
 * Parses a whole expression. Span positions count from `start`.
 * Errors: PW150 syntax, PW155 nested too deeply.
 */
export function parseExpression(
  text: string,
  file = 'expression',
  start: Position = ORIGIN,
): Result<Expr, Diagnostic[]> {
  return attempt(() => {
    const s = new Scanner(text, { file, start });
    const e = parseOr(s, 0);
    if (!s.done) s.fail(`\`${s.peek().text}\` is not expected here`);
    return e;
  });
}

/** Parses a condition with its log clause. An empty string is the condition that always holds. */
export function parseCondition(
  text: string,
  file = 'condition',
  start: Position = ORIGIN,
): Result<Condition, Diagnostic[]> {
  return attempt(() => {
    const s = new Scanner(text, { file, start });
    if (s.done) return { test: undefined, log: undefined };
    const logFirst = s.word() === 'log' && s.peek(1).kind === 'string';
    const test = logFirst ? undefined : parseOr(s, 0);
    let log: LogMessage | undefined;
    if (logFirst || s.accept(',')) {
      if (s.word() !== 'log') s.fail('expected `log "message"` after the comma');
      s.next();
      log = parseLog(s, file);
    }
    if (!s.done)
      s.fail(
        `\`${s.peek().text}\` is not expected here; a condition is an expression, then perhaps \`, log "message {value}"\``,
      );
    return { test, log };
  });
}

/** Parses the text of a log message without its quotes, as in a log point. */
export function parseLogMessage(
  text: string,
  file = 'log',
  start: Position = ORIGIN,
): Result<LogMessage, Diagnostic[]> {
  const span = { file, start, end: { line: start.line, column: start.column + text.length } };
  return attempt(() => ({ parts: logParts(text, file, start), span }));
}

function attempt<T>(parse: () => T): Result<T, Diagnostic[]> {
  try {
    return ok(parse());
  } catch (e) {
    if (e instanceof ExprFault) return err([e.toDiagnostic()]);
    throw e;
  }
}

function deeper(s: Scanner, depth: number): number {
  if (depth >= MAX_DEPTH)
    throw new ExprFault('tooDeep', 'the expression nests too deeply', s.span(s.peek().from, s.peek().to));
  return depth + 1;
}

function parseOr(s: Scanner, depth: number): Expr {
  const from = s.peek().from;
  let left = parseAnd(s, deeper(s, depth));
  while (s.is('||') || s.word() === 'or') {
    s.next();
    const right = parseAnd(s, depth + 1);
    left = { kind: 'binary', op: '||', left, right, span: s.spanFrom(from) };
  }
  return left;
}

function parseAnd(s: Scanner, depth: number): Expr {
  const from = s.peek().from;
  let left = parseNot(s, depth);
  while (s.is('&&') || s.word() === 'and') {
    s.next();
    const right = parseNot(s, depth);
    left = { kind: 'binary', op: '&&', left, right, span: s.spanFrom(from) };
  }
  return left;
}

function parseNot(s: Scanner, depth: number): Expr {
  const from = s.peek().from;
  if (s.word() !== 'not') return parseLevel(s, 0, depth);
  s.next();
  const operand = parseNot(s, deeper(s, depth));
  return { kind: 'unary', op: '!', operand, span: s.spanFrom(from) };
}

function parseLevel(s: Scanner, level: number, depth: number): Expr {
  const operators = LEVELS[level];
  if (operators === undefined) return parseUnary(s, depth);
  const from = s.peek().from;
  let left = parseLevel(s, level + 1, depth);
  for (;;) {
    const t = s.peek();
    const op = t.kind === 'operator' ? operators[t.text] : undefined;
    if (op === undefined) return left;
    s.next();
    const right = parseLevel(s, level + 1, depth);
    left = { kind: 'binary', op, left, right, span: s.spanFrom(from) };
  }
}

function parseUnary(s: Scanner, depth: number): Expr {
  const t = s.peek();
  if (t.kind === 'operator' && (t.text === '-' || t.text === '+' || t.text === '~' || t.text === '!')) {
    s.next();
    const operand = parseUnary(s, deeper(s, depth));
    return { kind: 'unary', op: t.text, operand, span: s.spanFrom(t.from) };
  }
  return parsePrimary(s, depth);
}

function parsePrimary(s: Scanner, depth: number): Expr {
  const t = s.peek();
  switch (t.kind) {
    case 'number': {
      s.next();
      const value = parseNumber(t.text);
      if (value === undefined) return s.fail(`\`${t.text}\` is not a number; write hex as 0x1f or 1fh`, t);
      if (value >> 64n !== 0n) return s.fail(`\`${t.text}\` has more than 64 bits`, t);
      return { kind: 'number', value, span: s.spanFrom(t.from) };
    }
    case 'operator': {
      if (t.text === '[') return parseMemory(s, undefined, undefined, t.from, depth);
      if (!s.accept('(')) return s.fail(`\`${t.text}\` cannot begin a value`);
      const inner = parseOr(s, deeper(s, depth));
      if (!s.accept(')')) s.fail('expected `)`');
      return inner;
    }
    case 'word':
      return parseWord(s, depth);
    case 'string':
      return s.fail('a string is allowed only in a log clause: `, log "…"`', t);
    case 'bad':
      return s.fail(
        t.text === '"' || t.text === "'" ? 'this quote is not closed' : `\`${t.text}\` has no meaning here`,
        t,
      );
    case 'end':
      return s.fail('a value is missing at the end', t);
  }
}

function parseWord(s: Scanner, depth: number): Expr {
  const t = s.next();
  const word = t.text.toLowerCase();
  const size = SIZES[word];
  if (size !== undefined && (s.is('[') || s.word() === 'ptr' || isSegment(s.word()))) {
    if (s.word() === 'ptr') s.next();
    return parseMemory(s, size, outerSegment(s), t.from, depth);
  }
  if (isSegment(word) && s.is(':')) {
    s.next();
    return parseMemory(s, undefined, word, t.from, depth);
  }
  if (isSpace(word) && s.accept(':')) {
    const value = parsePrimary(s, deeper(s, depth));
    return { kind: 'address', space: word, value, span: s.spanFrom(t.from) };
  }
  if (s.accept('(')) {
    const args: Expr[] = [];
    if (!s.is(')')) {
      do args.push(parseOr(s, deeper(s, depth)));
      while (s.accept(','));
    }
    if (!s.accept(')')) s.fail('expected `)` after the arguments');
    const member = /^\.(\w+)$/.exec(s.peek().text)?.[1];
    if (member !== undefined) s.next();
    return { kind: 'call', name: t.text, args, member, span: s.spanFrom(t.from) };
  }
  if (word === 'true' || word === 'false')
    return { kind: 'number', value: word === 'true' ? 1n : 0n, span: s.spanFrom(t.from) };
  return { kind: 'name', name: t.text, span: s.spanFrom(t.from) };
}

function outerSegment(s: Scanner): SegmentName | undefined {
  const word = s.word();
  if (!isSegment(word)) return undefined;
  s.next();
  if (!s.accept(':')) s.fail('expected `:` after the segment register');
  return word;
}

function parseMemory(
  s: Scanner,
  size: LoadSize | undefined,
  segment: SegmentName | undefined,
  from: number,
  depth: number,
): Expr {
  if (!s.accept('[')) s.fail('expected `[` of a memory operand');
  let word = s.word();
  while ((word === 'rel' || word === 'abs' || (word !== undefined && word in SIZES)) && s.peek(1).text !== ']') {
    s.next();
    word = s.word();
  }
  let space: Space | undefined;
  let inner = segment;
  if (s.peek(1).text === ':') {
    if (isSegment(word)) inner = word;
    else if (isSpace(word)) space = word;
    else s.fail('expected a segment register or gva, gpa, hva, hpa before `:`');
    s.next();
    s.next();
  }
  const address = parseOr(s, deeper(s, depth));
  if (!s.accept(']')) s.fail('expected `]`');
  return { kind: 'memory', size, segment: inner, space, address, span: s.spanFrom(from) };
}

function parseLog(s: Scanner, file: string): LogMessage {
  const t = s.next();
  if (t.kind !== 'string') return s.fail('log takes a message in quotes: log "write at {gpa}"', t);
  return { parts: logParts(t.text.slice(1, -1), file, s.position(t.from + 1)), span: s.spanFrom(t.from) };
}

const FORMATS: readonly LogFormat[] = ['x', 'd', 'b'];

function logParts(text: string, file: string, start: Position): LogPart[] {
  const parts: LogPart[] = [];
  let literal = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? '';
    if (c === '\\' && i + 1 < text.length) {
      i++;
      const e = text[i] ?? '';
      literal += e === 'n' ? '\n' : e === 't' ? '\t' : e;
    } else if ((c === '{' || c === '}') && text[i + 1] === c) {
      literal += c;
      i++;
    } else if (c === '{') {
      const close = text.indexOf('}', i);
      const at = { line: start.line, column: start.column + i };
      if (close < 0)
        throw new ExprFault('syntax', 'this `{` has no `}`; write {{ for a brace', {
          file,
          start: at,
          end: { line: at.line, column: at.column + 1 },
        });
      if (literal !== '') parts.push({ kind: 'text', text: literal });
      literal = '';
      parts.push(logValue(text.slice(i + 1, close), file, { line: at.line, column: at.column + 1 }));
      i = close;
    } else {
      literal += c;
    }
  }
  if (literal !== '') parts.push({ kind: 'text', text: literal });
  return parts;
}

function logValue(text: string, file: string, start: Position): LogPart {
  const s = new Scanner(text, { file, start });
  const expr = parseOr(s, 0);
  let format: LogFormat = 'x';
  if (s.accept(',')) {
    const word = s.word();
    format = FORMATS.find((f) => f === word) ?? s.fail('the format after the comma is x, d or b');
    s.next();
  }
  if (!s.done) s.fail(`\`${s.peek().text}\` is not expected inside the braces`);
  return { kind: 'value', expr, format };
}
