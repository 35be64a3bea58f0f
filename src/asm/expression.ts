import type { Span } from '../base/diagnostic';
import { characterConstant, parseNumber, stringBytes } from '../expr/numbers';
import { SIZE_WORDS } from './keywords';
import type { RegisterInfo } from './registers';
import { registerByName } from './registers';
import type { AsmCode } from './diagnostics';
import type { WarningClass } from './warnings';
import { conversionWord, floatBits } from './float';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import { wideBytes, wideWord } from './wide-string';

/**
 * The assembler's expressions as trees, with NASM's precedence (NASM manual, 3.5; lowest first):
 *
 *   ?:   ||   ^^   &&   = == != <> < <= > >= <=>   |   ^   &   << >> >>>   + -   * / // % %%   unary - + ~ ! seg
 *
 * A tree is parsed once and evaluated in every pass, since `$` and label values move until the layout settles.
 */
export type Expr =
  | { readonly kind: 'number'; readonly value: bigint; readonly span: Span }
  | { readonly kind: 'string'; readonly bytes: readonly number[]; readonly span: Span }
  | { readonly kind: 'float'; readonly text: string; readonly span: Span }
  | { readonly kind: 'symbol'; readonly name: string; readonly span: Span }
  | { readonly kind: 'here'; readonly span: Span }
  | { readonly kind: 'sectionStart'; readonly span: Span }
  | { readonly kind: 'register'; readonly register: RegisterInfo; readonly span: Span }
  | { readonly kind: 'unary'; readonly op: UnaryOp; readonly operand: Expr; readonly span: Span }
  | { readonly kind: 'binary'; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr; readonly span: Span }
  | {
      readonly kind: 'conditional';
      readonly test: Expr;
      readonly then: Expr;
      readonly otherwise: Expr;
      readonly span: Span;
    };

export type UnaryOp = '-' | '+' | '~' | '!' | 'seg' | 'ilog2e' | 'ilog2w' | 'ilog2f' | 'ilog2c';
export type BinaryOp =
  | '||'
  | '^^'
  | '&&'
  | '=='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | '<=>'
  | '|'
  | '^'
  | '&'
  | '<<'
  | '>>'
  | '>>>'
  | '+'
  | '-'
  | '*'
  | '/'
  | '//'
  | '%'
  | '%%';

const LEVELS: readonly Readonly<Record<string, BinaryOp>>[] = [
  { '||': '||' },
  { '^^': '^^' },
  { '&&': '&&' },
  { '=': '==', '==': '==', '!=': '!=', '<>': '!=', '<': '<', '<=': '<=', '>': '>', '>=': '>=', '<=>': '<=>' },
  { '|': '|' },
  { '^': '^' },
  { '&': '&' },
  { '<<': '<<', '>>': '>>', '<<<': '<<', '>>>': '>>>' },
  { '+': '+', '-': '-' },
  { '*': '*', '/': '/', '//': '//', '%': '%', '%%': '%%' },
];

/** Deeper nesting is refused, so that hostile input cannot exhaust the stack. */
const MAX_DEPTH = 200;
/** A chain `a+b+c…` nests to the left; longer chains in one line are refused for the same reason. */
const MAX_OPERATORS = 2000;

/** What was wrong, and where. Thrown only inside the parser; the statement parser turns it into a diagnostic. */
export class SyntaxFault extends Error {
  constructor(
    message: string,
    readonly span: Span,
  ) {
    super(message);
  }
}

/** Walks the tokens of one line. */
export class TokenCursor {
  index = 0;
  /** Operators taken on this line so far. */
  operators = 0;
  constructor(
    readonly tokens: readonly Token[],
    /** Where "something is missing" is reported: the end of the line. */
    readonly lineEnd: Span,
    /** Receives warnings. */
    readonly warn: (name: WarningClass, code: AsmCode, message: string, span: Span) => void = () => undefined,
  ) {}

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.index + ahead];
  }

  next(): Token | undefined {
    return this.tokens[this.index++];
  }

  get done(): boolean {
    return this.index >= this.tokens.length;
  }

  is(text: string): boolean {
    const t = this.peek();
    return t !== undefined && t.kind === 'punctuation' && t.text === text;
  }

  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.index++;
    return true;
  }

  /** The lower-cased next word, if it is one. */
  word(): string | undefined {
    const t = this.peek();
    return t?.kind === 'word' ? t.text.toLowerCase() : undefined;
  }

  acceptWord(word: string): boolean {
    if (this.word() !== word) return false;
    this.index++;
    return true;
  }

  here(): Span {
    const t = this.peek();
    return t ? tokenSpan(t) : this.lineEnd;
  }

  /** The span from token `from` to the last one consumed. */
  since(from: number): Span {
    const first = this.tokens[from];
    const last = this.tokens[Math.max(from, this.index - 1)];
    if (!first || !last) return this.lineEnd;
    return {
      file: first.file,
      start: { line: first.line, column: first.column },
      end: { line: last.line, column: last.end },
    };
  }

  fail(message: string, span: Span = this.here()): never {
    throw new SyntaxFault(message, span);
  }

  expect(text: string, why: string): void {
    if (!this.accept(text)) this.fail(`expected \`${text}\` ${why}`);
  }
}

/** Makes a label's full name: `.x` belongs to the last label without a dot. */
export type QualifyName = (written: string) => string;

/** Parses one expression at the cursor. @throws SyntaxFault */
export function parseExpression(cursor: TokenCursor, qualify: QualifyName, depth = 0): Expr {
  const from = cursor.index;
  const test = parseBinary(cursor, qualify, 0, depth);
  if (cursor.word() === 'wrt') cursor.fail('a flat binary has no segments for `wrt` to count from; leave it out');
  if (!(cursor.peek()?.text === '?' && cursor.peek()?.kind !== 'string')) return test;
  cursor.next();
  const then = parseExpression(cursor, qualify, depth + 1);
  cursor.expect(':', 'between the two values of `?`');
  const otherwise = parseExpression(cursor, qualify, depth + 1);
  return { kind: 'conditional', test, then, otherwise, span: cursor.since(from) };
}

function parseBinary(cursor: TokenCursor, qualify: QualifyName, level: number, depth: number): Expr {
  const operators = LEVELS[level];
  if (operators === undefined) return parseUnary(cursor, qualify, depth);
  if (depth > MAX_DEPTH) cursor.fail('the expression nests too deeply; split it with equ');
  const from = cursor.index;
  let left = parseBinary(cursor, qualify, level + 1, depth);
  for (;;) {
    const t = cursor.peek();
    const op = t?.kind === 'punctuation' ? operators[t.text] : undefined;
    if (op === undefined) return left;
    cursor.next();
    if (++cursor.operators > MAX_OPERATORS)
      cursor.fail('this line has too many operators; split it with equ or over several lines');
    const right = parseBinary(cursor, qualify, level + 1, depth);
    left = { kind: 'binary', op, left, right, span: cursor.since(from) };
  }
}

function parseUnary(cursor: TokenCursor, qualify: QualifyName, depth: number): Expr {
  if (depth > MAX_DEPTH) cursor.fail('the expression nests too deeply; split it with equ');
  const from = cursor.index;
  const t = cursor.next();
  if (!t) return cursor.fail('a value is missing here');
  const span = tokenSpan(t);
  switch (t.kind) {
    case 'number': {
      // NASM reads a prefix or suffix without digits as zero.
      const value = parseNumber(t.text) ?? (/^0[xhoqbydt]$/i.test(t.text) ? 0n : undefined);
      if (value === undefined)
        return cursor.fail(`\`${t.text}\` is not a number; write hex as 0x1f or 1fh, binary as 0b101`, span);
      if (value >> 64n !== 0n)
        cursor.warn(
          'number-overflow',
          'truncated',
          `${t.text} does not fit in 64 bits; only the low 64 bits are used`,
          span,
        );
      return { kind: 'number', value: BigInt.asIntN(64, value), span };
    }
    case 'float':
      return { kind: 'float', text: t.text, span };
    case 'string':
      return { kind: 'string', bytes: stringBytes(t.text), span };
    case 'word': {
      const lower = t.text.toLowerCase();
      if (lower === 'seg')
        return { kind: 'unary', op: 'seg', operand: parseUnary(cursor, qualify, depth + 1), span: cursor.since(from) };
      if (FLOAT_WORDS.has(lower)) return { kind: 'float', text: lower, span };
      const inner = parseFunction(cursor, qualify, lower, span, depth);
      if (inner) return inner;
      const register = t.text.startsWith('$') ? undefined : registerByName(lower);
      if (register) return { kind: 'register', register, span };
      if (lower in SIZE_WORDS)
        return cursor.fail(`\`${t.text}\` is a size, not a value; it goes before the whole operand`, span);
      if (t.text === '?') return cursor.fail('a value is missing before `?`', span);
      return { kind: 'symbol', name: qualify(t.text.startsWith('$') ? t.text.slice(1) : t.text), span };
    }
    case 'punctuation':
      switch (t.text) {
        case '$':
          return { kind: 'here', span };
        case '$$':
          return { kind: 'sectionStart', span };
        case '(': {
          const inner = parseExpression(cursor, qualify, depth + 1);
          cursor.expect(')', 'to close the parenthesis');
          return inner;
        }
        case '-':
        case '+':
        case '~':
        case '!':
          return {
            kind: 'unary',
            op: t.text,
            operand: parseUnary(cursor, qualify, depth + 1),
            span: cursor.since(from),
          };
        default:
          return cursor.fail(`\`${t.text}\` cannot begin a value`, span);
      }
    case 'preprocessor':
    case 'parameter':
      return cursor.fail(`\`${t.text}\` has a meaning only inside a macro`, span);
    case 'bad':
      return cursor.fail(t.text.length > 1 ? 'this quote is not closed' : `\`${t.text}\` has no meaning here`, span);
  }
}

/** `__?ilog2e?__(x)`, `__?float32?__(1.5)` and `__?utf16?__("ab")`, whose value is a number (NASM manual, 3.4.5, 3.4.6, 6.5). */
function parseFunction(
  cursor: TokenCursor,
  qualify: QualifyName,
  word: string,
  span: Span,
  depth: number,
): Expr | undefined {
  const logarithm = /^__\??(ilog2[ewfc])\??__$/.exec(word)?.[1];
  if (logarithm !== undefined)
    return { kind: 'unary', op: logarithm as UnaryOp, operand: parseUnary(cursor, qualify, depth + 1), span };
  const wide = wideWord(word);
  const format = conversionWord(word);
  if (!wide && format === undefined) return undefined;
  const parenthesis = cursor.accept('(');
  const sign = cursor.is('-') || cursor.is('+') ? cursor.next()?.text : undefined;
  const t = cursor.next();
  if (parenthesis) cursor.expect(')', 'after the constant');
  if (wide) {
    if (t?.kind !== 'string') return cursor.fail('expected a string here', t ? tokenSpan(t) : cursor.lineEnd);
    return { kind: 'string', bytes: wideBytes(stringBytes(t.text), wide.unit, wide.bigEndian), span };
  }
  const value = t === undefined || format === undefined ? undefined : floatBits(format, t.text, sign === '-');
  if (value === undefined)
    return cursor.fail('expected a floating-point constant such as 1.5 here', t ? tokenSpan(t) : cursor.lineEnd);
  return { kind: 'number', value, span };
}

/** NASM's names for floating-point values that no digits write (NASM manual, 3.4.6). */
const FLOAT_WORDS = new Set([
  '__infinity__',
  '__nan__',
  '__qnan__',
  '__snan__',
  '__?infinity?__',
  '__?nan?__',
  '__?qnan?__',
  '__?snan?__',
]);

/** The value of a short string used as a number. */
export const stringValue = (bytes: readonly number[]): bigint => BigInt.asIntN(64, characterConstant(bytes));
