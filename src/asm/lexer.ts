import type { Span } from '../base/diagnostic';

/**
 * Tokens of NASM source. A line is the unit: each logical line (physical lines joined by a trailing `\`) becomes one
 * array of tokens; comments are kept apart, since directives to the debugger live in them.
 */
export type TokenKind = 'word' | 'number' | 'float' | 'string' | 'punctuation' | 'preprocessor' | 'parameter' | 'bad';

/** Where a token stands: file, 1-based line, 1-based first column and the column after its end, in UTF-16 units. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly end: number;
  /** White space stood before it: `%define f (x)` is not a function-like macro. */
  readonly spaced: boolean;
}

export interface Comment {
  /** The text after the semicolon. */
  readonly text: string;
  readonly file: string;
  readonly line: number;
  /** The column of the first character of `text`. */
  readonly column: number;
}

export interface LogicalLine {
  readonly tokens: readonly Token[];
  readonly file: string;
  /** The first physical line. */
  readonly line: number;
  readonly comments: readonly Comment[];
}

export const tokenSpan = (t: Token): Span => ({
  file: t.file,
  start: { line: t.line, column: t.column },
  end: { line: t.line, column: t.end },
});

/** From the first token's start to the last one's end. */
function tokensSpan(first: Token, last: Token): Span {
  return {
    file: first.file,
    start: { line: first.line, column: first.column },
    end: { line: last.line, column: last.end },
  };
}

/** All that a line holds. */
export function lineSpan({ file, line, tokens }: LogicalLine): Span {
  const [first] = tokens;
  const last = tokens[tokens.length - 1];
  if (first && last) return tokensSpan(first, last);
  const at = { line, column: 1 };
  return { file, start: at, end: at };
}

/**
 * One alternative per kind. Words follow NASM manual 3.1: letters, digits, _ $ # @ ~ . ?; a leading $ marks a name that would
 * otherwise be reserved. `%1` and `%%name` are macro parameters; outside a macro body the preprocessor takes them apart again,
 * since there `%` is an operator.
 */
const TOKEN = new RegExp(
  [
    '(?<space>[ \\t\\r\\f\\v]+)',
    '(?<comment>;.*)',
    '(?<string>\'[^\']*\'|"[^"]*"|`(?:\\\\.|[^`\\\\])*`)',
    '(?<unclosed>[\'"`].*)',
    // Decimal with a point or an exponent; in another base with a point or a binary exponent (NASM manual, 3.4.6).
    '(?<float>(?:0[xhoqby]|\\$(?=[0-9]))[0-9a-fA-F_]*(?:\\.[0-9a-fA-F_]*(?:[pP][+-]?[0-9_]+)?|[pP][+-]?[0-9_]+)' +
      '|(?:0[dt])?[0-9][0-9_]*(?:\\.[0-9_]*(?:[eE][+-]?[0-9][0-9_]*)?|[eE][+-]?[0-9][0-9_]*))(?![\\w.])',
    '(?<number>\\$?[0-9][0-9A-Za-z_]*)',
    '(?<word>\\$?[\\p{L}_.?@][\\p{L}\\p{N}_$#@~.?]*)',
    '(?<parameter>%%[\\p{L}_.?@][\\p{L}\\p{N}_$#@~.?]*|%\\$+[\\p{L}\\p{N}_.?@][\\p{L}\\p{N}_$#@~.?]*|%[+-]?[0-9]+|%\\{[^}]*\\}|%\\[|%!(?:\\w+|"[^"]*"|\'[^\']*\')|%\\*?\\?\\??' +
      '|%(?:abs|cond|count|eval|is\\w*|num|sel|str|strcat|strlen|substr|tok)(?=[ \\t]*\\())',
    '(?<punctuation>%\\+|%,|\\$\\$|\\$|<=>|<<<|>>>|<<|>>|==|!=|<>|<=|>=|&&|\\|\\||\\^\\^|//|%%|[-+*/%&|^~!<>=?:,(){}\\[\\]#])',
    '(?<bad>[^])',
  ].join('|'),
  'uy',
);
const PREPROCESSOR = /[ \t]*(%\s*[A-Za-z]+[A-Za-z0-9]*|%\+)/uy;
/** Lines joined by `\\` at most. */
const JOIN_LIMIT = 10_000;

function lexInto(text: string, file: string, line: number, tokens: Token[], comments: Comment[]): void {
  let at = 0;
  let spaced = tokens.length > 0;
  if (tokens.length === 0) {
    PREPROCESSOR.lastIndex = 0;
    const m = PREPROCESSOR.exec(text);
    if (m?.[1] !== undefined) {
      const column = m[0].length - m[1].length + 1;
      const name = m[1].replace(/\s/g, '').toLowerCase();
      tokens.push({ kind: 'preprocessor', text: name, file, line, column, end: m[0].length + 1, spaced: false });
      at = m[0].length;
    }
  }
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const m = TOKEN.exec(text);
    const groups = m?.groups;
    if (!m || !groups) return;
    const s = m[0];
    if (groups['space'] !== undefined) spaced = true;
    else if (groups['comment'] !== undefined) comments.push({ text: s.slice(1), file, line, column: at + 2 });
    else {
      const kind: TokenKind =
        groups['string'] !== undefined
          ? 'string'
          : groups['float'] !== undefined
            ? 'float'
            : groups['number'] !== undefined
              ? 'number'
              : groups['word'] !== undefined
                ? 'word'
                : groups['parameter'] !== undefined
                  ? 'parameter'
                  : groups['punctuation'] !== undefined
                    ? 'punctuation'
                    : 'bad';
      // `%{x}` is `%x` with an end of its own.
      const text = kind === 'parameter' ? s.replace(/^%\{(.*)\}$/, '%$1') : s;
      tokens.push({ kind, text, file, line, column: at + 1, end: at + s.length + 1, spaced });
      spaced = false;
    }
    at += s.length;
  }
}

/** The tokens of one line of text, for callers that have no file (hover, completion). */
export function lexLine(text: string, file: string, line: number): LogicalLine {
  const tokens: Token[] = [];
  const comments: Comment[] = [];
  lexInto(text, file, line, tokens, comments);
  return { tokens, file, line, comments };
}

/** Splits a file into logical lines. Linear in its length; never fails (a character that begins no token is a `bad` token). */
export function lexFile(source: string, file: string): LogicalLine[] {
  const lines: LogicalLine[] = [];
  const physical = source.split('\n');
  for (let i = 0; i < physical.length; i++) {
    const tokens: Token[] = [];
    const comments: Comment[] = [];
    const line = i + 1;
    for (let joined = 0; ; joined++) {
      const text = (physical[i] ?? '').replace(/\r$/, '');
      const continues = text.endsWith('\\') && joined < JOIN_LIMIT && i + 1 < physical.length;
      lexInto(continues ? text.slice(0, -1) : text, file, i + 1, tokens, comments);
      if (!continues) break;
      i++;
    }
    if (tokens.length > 0 || comments.length > 0) lines.push({ tokens, file, line, comments });
  }
  return lines;
}
