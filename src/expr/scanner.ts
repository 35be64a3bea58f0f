import type { Diagnostic, Position, Span } from '../base/diagnostic';
import type { ExprCode } from './ast';
import { EXPR_CODES } from './ast';

/** Tokens of the debugger's expressions. */
export interface ExprToken {
  readonly kind: 'number' | 'word' | 'string' | 'operator' | 'bad' | 'end';
  readonly text: string;
  /** Index into the text, and the index after the end. */
  readonly from: number;
  readonly to: number;
}

const TOKEN =
  /[ \t\r\n]+|(\$?[0-9][0-9A-Za-z_]*)|([\p{L}_.@?][\p{L}\p{N}_$#@~.?]*)|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%&|^~!<>=()[\]:,{}])|([^])/uy;

/** The text's position in its file, so that spans in it are correct. */
export interface Origin {
  readonly file: string;
  readonly start: Position;
}

/** Signals a mistake inside the parser and evaluator; converted to a diagnostic at their boundary. */
export class ExprFault extends Error {
  constructor(
    readonly code: ExprCode,
    message: string,
    readonly span: Span,
  ) {
    super(message);
  }

  toDiagnostic(): Diagnostic {
    return {
      severity: 'error',
      code: EXPR_CODES[this.code],
      message: this.message,
      file: this.span.file,
      span: this.span,
    };
  }
}

/** Longer expressions are refused. */
const MAX_LENGTH = 4_000;

export class Scanner {
  private readonly tokens: ExprToken[];
  private index = 0;

  constructor(
    private readonly text: string,
    private readonly origin: Origin,
  ) {
    this.tokens = text.length > MAX_LENGTH ? [] : scan(text);
    if (text.length > MAX_LENGTH)
      throw new ExprFault('syntax', `an expression has at most ${MAX_LENGTH} characters`, this.span(0, 1));
  }

  peek(ahead = 0): ExprToken {
    return (
      this.tokens[Math.min(this.index + ahead, this.tokens.length - 1)] ?? {
        kind: 'end',
        text: '',
        from: this.text.length,
        to: this.text.length,
      }
    );
  }

  next(): ExprToken {
    const t = this.peek();
    if (t.kind !== 'end') this.index++;
    return t;
  }

  is(text: string): boolean {
    const t = this.peek();
    return t.kind === 'operator' && t.text === text;
  }

  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.index++;
    return true;
  }

  word(ahead = 0): string | undefined {
    const t = this.peek(ahead);
    return t.kind === 'word' ? t.text.toLowerCase() : undefined;
  }

  get done(): boolean {
    return this.peek().kind === 'end';
  }

  /** The text from `from` to the end of the last token consumed. */
  spanFrom(from: number): Span {
    const last = this.tokens[Math.max(0, this.index - 1)];
    return this.span(from, Math.max(from, last?.to ?? from));
  }

  span(from: number, to: number): Span {
    return { file: this.origin.file, start: this.position(from), end: this.position(to) };
  }

  position(index: number): Position {
    const before = this.text.slice(0, index);
    const newline = before.lastIndexOf('\n');
    if (newline < 0) return { line: this.origin.start.line, column: this.origin.start.column + index };
    return { line: this.origin.start.line + before.split('\n').length - 1, column: index - newline };
  }

  fail(message: string, token: ExprToken = this.peek()): never {
    throw new ExprFault('syntax', message, this.span(token.from, Math.max(token.to, token.from)));
  }
}

function scan(text: string): ExprToken[] {
  const tokens: ExprToken[] = [];
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const m = TOKEN.exec(text);
    if (!m) break;
    const to = at + m[0].length;
    const kind =
      m[1] !== undefined
        ? 'number'
        : m[2] !== undefined
          ? 'word'
          : m[3] !== undefined
            ? 'string'
            : m[4] !== undefined
              ? 'operator'
              : m[5] !== undefined
                ? 'bad'
                : undefined;
    if (kind !== undefined) tokens.push({ kind, text: m[0], from: at, to });
    at = to;
  }
  tokens.push({ kind: 'end', text: '', from: text.length, to: text.length });
  return tokens;
}
