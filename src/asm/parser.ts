import type { Span } from '../base/diagnostic';
import { stringBytes } from '../expr/numbers';
import type { DiagnosticSink } from './diagnostics';
import { parseData } from './data-parser';
import { DIRECTIVES, parseDirectiveLine, parsePrimitive } from './directive-parser';
import type { Expr } from './expression';
import { parseExpression, SyntaxFault, TokenCursor } from './expression';
import { isMnemonic } from './forms';
import { notFound } from './included';
import { isKeyword } from './keywords';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import { parseOperand } from './operand-parser';
import { registerByName } from './registers';
import type { Body, LabelDefinition, OperandSyntax, Prefixes, Statement } from './statement';
import { NO_PREFIXES } from './statement';
import { charactersOf } from './token-text';

/** One line after preprocessing: its tokens and the place that listing and debugger show for it. */
export interface SourceLine {
  readonly tokens: readonly Token[];
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The line of a macro's body that this came from; `file` and `line` are then the outermost call. */
  readonly definition?: { readonly file: string; readonly line: number };
  /** Stands for a place where the preprocessor asked for `$`; the line has no tokens then. */
  readonly marker?: number;
}

/** What a parser needs from its environment. */
export interface ParserContext {
  readonly sink: DiagnosticSink;
  /** The bytes of a file named in `incbin`, or undefined. */
  readonly readBinary: (path: string, from: string) => Uint8Array | undefined;
}

const DATA_WIDTH: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8, dt: 10, do: 16, dy: 32, dz: 64 };
const RESERVE_WIDTH: Readonly<Record<string, number>> = {
  resb: 1,
  resw: 2,
  resd: 4,
  resq: 8,
  rest: 10,
  reso: 16,
  resy: 32,
  resz: 64,
};

const PREFIX_WORDS: Readonly<Record<string, Partial<Prefixes>>> = {
  rep: { rep: 'rep' },
  repe: { rep: 'repe' },
  repz: { rep: 'repe' },
  repne: { rep: 'repne' },
  repnz: { rep: 'repne' },
  xacquire: { rep: 'repne', elides: true },
  xrelease: { rep: 'repe', elides: true },
  bnd: { rep: 'repne', bnd: true },
  nobnd: {},
  lock: { lock: true },
  o16: { operandSize: 16 },
  o32: { operandSize: 32 },
  o64: { operandSize: 64 },
  osp: { operandSize: 'other' },
  a16: { addressSize: 16 },
  a32: { addressSize: 32 },
  a64: { addressSize: 64 },
  asp: { addressSize: 'other' },
  wait: { wait: true },
  fwait: { wait: true },
};
const ENCODING_WORDS: Readonly<Record<string, NonNullable<Prefixes['encoding']>>> = {
  rex: 'rex',
  vex: 'vex',
  vex2: 'vex2',
  vex3: 'vex3',
  evex: 'evex',
};

/** Whether a word begins something other than a label. */
export function isReservedWord(word: string): boolean {
  return (
    isMnemonic(word) ||
    word in DATA_WIDTH ||
    word in RESERVE_WIDTH ||
    word in PREFIX_WORDS ||
    word === 'times' ||
    word === 'equ' ||
    word === 'incbin' ||
    DIRECTIVES.has(word) ||
    registerByName(word) !== undefined
  );
}

/** Whether a reserved word may stand where an instruction begins: of the registers, only a segment override. */
function beginsBody(word: string): boolean {
  const register = registerByName(word);
  return isReservedWord(word) && (register === undefined || register.class === 'segment');
}

/** Directives that have no macro form without an argument, so that not even a colon makes labels of them. */
const NEVER_LABELS = new Set([
  ...['bits', 'org', 'section', 'segment', 'absolute', 'align', 'alignb', 'sectalign', 'default', 'cpu'],
  ...['global', 'extern', 'common', 'static', 'required', 'float', 'struc', 'istruc', 'at', 'incbin'],
]);

/**
 * The kind of a word that NASM does not accept as a label; followed by a colon, instructions and data directives are
 * labels.
 */
function reservedAs(word: string, colon: boolean): string | undefined {
  if (isKeyword(word)) return 'a keyword';
  if (!colon) return undefined;
  if (registerByName(word)) return 'a register';
  if (word in PREFIX_WORDS && word !== 'fwait') return 'a prefix';
  return NEVER_LABELS.has(word) ? 'a directive' : undefined;
}

interface WrittenLabel extends LabelDefinition {
  readonly colon: boolean;
  /** Local names after it belong to it. */
  readonly opensScope: boolean;
}

/** Turns lines into statements. Remembers the last ordinary label, to which `.local` names belong. */
export class Parser {
  private scope = '';

  constructor(private readonly context: ParserContext) {}

  /** The full name of a label as written here. */
  readonly qualify = (written: string): string =>
    written.startsWith('.') && !written.startsWith('..') ? this.scope + written : written;

  /** The statement of a line; undefined where the line is wrong (and the sink knows why). */
  parse(line: SourceLine): Statement | undefined {
    if (line.marker !== undefined) return markerStatement(line, line.marker);
    const first = line.tokens[0];
    const last = line.tokens[line.tokens.length - 1];
    if (!first || !last) return undefined;
    const lineEnd: Span = {
      file: last.file,
      start: { line: last.line, column: last.end },
      end: { line: last.line, column: last.end },
    };
    const { sink } = this.context;
    const cursor = new TokenCursor(line.tokens, lineEnd, (...warning) => sink.warning(...warning));
    try {
      const statement = this.parseLine(cursor, line);
      if (statement.body.kind === 'warning') sink.setWarning(statement.body.text, statement.bodySpan);
      return statement;
    } catch (e) {
      if (!(e instanceof SyntaxFault)) throw e;
      this.context.sink.error('syntax', e.message, e.span);
      return undefined;
    }
  }

  private parseLine(cursor: TokenCursor, line: SourceLine): Statement {
    if (cursor.is('[')) {
      const body = parsePrimitive(cursor, this.qualify);
      return this.statement(cursor, line, undefined, undefined, body, 0);
    }
    const label = this.parseLabel(cursor);
    let times: Expr | undefined;
    if (cursor.acceptWord('times')) times = parseExpression(cursor, this.qualify);
    const from = cursor.index;
    const first = cursor.peek();
    if (label && !label.colon && times === undefined) {
      if (!first) {
        this.context.sink.warning(
          'label-orphan',
          'orphanLabel',
          `\`${label.name}\` stands alone and is taken as a label; put a colon after it, or check the spelling of the instruction`,
          label.span,
        );
      } else if (!(first.kind === 'word' && beginsBody(first.text.toLowerCase()))) {
        cursor.fail(
          `\`${cursor.tokens[0]?.text ?? ''}\` is not an instruction or directive that this assembler knows; if it is a label, put a colon after it`,
          label.span,
        );
      }
    }
    if (label?.opensScope && cursor.word() !== 'equ') this.scope = label.name;
    const body = cursor.done ? ({ kind: 'none' } as const) : this.parseBody(cursor, label !== undefined);
    // The fields of a structure are local to its name, those of an instance to the structure it is of.
    if (body.kind === 'struc' || body.kind === 'istruc') this.scope = body.name;
    if (!cursor.done) {
      const t = cursor.peek();
      cursor.fail(
        `\`${t?.text ?? ''}\` is not expected here; a line holds one instruction, and a comment begins with a semicolon`,
      );
    }
    return this.statement(cursor, line, label, times, body, from);
  }

  private statement(
    cursor: TokenCursor,
    line: SourceLine,
    label: LabelDefinition | undefined,
    times: Expr | undefined,
    body: Body,
    from: number,
  ): Statement {
    const first = cursor.tokens[from] ?? cursor.tokens[0];
    return {
      label,
      times,
      body,
      span: cursor.since(0),
      bodySpan: first ? tokenSpan(first) : cursor.since(0),
      file: line.file,
      line: line.line,
      column: line.column,
      ...(line.definition ? { definition: line.definition } : {}),
    };
  }

  private parseLabel(cursor: TokenCursor): WrittenLabel | undefined {
    const t = cursor.peek();
    if (t?.kind !== 'word') return undefined;
    const after = cursor.peek(1);
    const colon = after?.kind === 'punctuation' && after.text === ':';
    const escaped = t.text.startsWith('$');
    const word = t.text.toLowerCase();
    if (!escaped) {
      const counts = word === 'times' && !colon;
      const reserved = counts ? undefined : reservedAs(word, colon);
      if (reserved !== undefined)
        cursor.fail(`\`${t.text}\` is ${reserved} and cannot be a label; choose another name, or write $${t.text}`);
      if (isReservedWord(word) && !colon) return undefined;
    }
    cursor.next();
    if (colon) cursor.next();
    return {
      name: this.qualify(escaped ? t.text.slice(1) : t.text),
      span: tokenSpan(t),
      colon,
      opensScope: !t.text.startsWith('.'),
    };
  }

  private parseBody(cursor: TokenCursor, labelled: boolean): Body {
    const word = cursor.word();
    const here = cursor.here();
    if (word === undefined) {
      if (cursor.is('{')) return this.parseInstruction(cursor, labelled);
      return cursor.fail('expected an instruction, a directive or a label at the start of a line');
    }
    const dataWidth = DATA_WIDTH[word];
    if (dataWidth !== undefined) {
      cursor.next();
      return { kind: 'data', width: dataWidth, items: parseData(cursor, this.qualify, dataWidth) };
    }
    const reserveWidth = RESERVE_WIDTH[word];
    if (reserveWidth !== undefined) {
      cursor.next();
      return { kind: 'reserve', width: reserveWidth, count: parseExpression(cursor, this.qualify) };
    }
    if (word === 'equ') {
      if (!labelled) cursor.fail('equ needs a name before it: `name equ value`', here);
      cursor.next();
      const value = parseExpression(cursor, this.qualify);
      const far = cursor.accept(':') ? parseExpression(cursor, this.qualify) : undefined;
      return { kind: 'equ', value, far };
    }
    if (word === 'incbin') {
      cursor.next();
      return this.parseIncbin(cursor);
    }
    if (DIRECTIVES.has(word)) return parseDirectiveLine(cursor, this.qualify, (c) => this.parseBody(c, false));
    return this.parseInstruction(cursor, labelled);
  }

  private parseIncbin(cursor: TokenCursor): Body {
    const t = cursor.next();
    if (t?.kind !== 'string') return cursor.fail('incbin takes a file name in quotes');
    const path = charactersOf(stringBytes(t.text));
    const skip = cursor.accept(',') ? parseExpression(cursor, this.qualify) : undefined;
    const limit = skip !== undefined && cursor.accept(',') ? parseExpression(cursor, this.qualify) : undefined;
    const bytes = this.context.readBinary(path, t.file);
    if (bytes === undefined) {
      this.context.sink.error('fileNotFound', notFound(t.text), tokenSpan(t));
      return { kind: 'none' };
    }
    return { kind: 'incbin', bytes, skip, limit };
  }

  private parseInstruction(cursor: TokenCursor, labelled: boolean): Body {
    let prefixes: Prefixes = NO_PREFIXES;
    for (;;) {
      if (cursor.is('{')) {
        prefixes = { ...prefixes, ...this.parseEncodingPrefix(cursor) };
        continue;
      }
      const word = cursor.word();
      if (word === undefined) break;
      const register = registerByName(word);
      const alone = cursor.peek(1) === undefined;
      if (register?.class === 'segment') prefixes = this.withSegment(cursor, prefixes, register.name);
      else if (word in PREFIX_WORDS && !(alone && (word === 'wait' || word === 'fwait')))
        prefixes = { ...prefixes, ...PREFIX_WORDS[word] };
      else break;
      cursor.next();
    }
    // As in NASM, a prefix before data or a reservation has no effect.
    const word = cursor.word();
    if (word !== undefined && (word in DATA_WIDTH || word in RESERVE_WIDTH)) return this.parseBody(cursor, labelled);
    const t = cursor.next();
    if (!t) {
      if (prefixes !== NO_PREFIXES) return { kind: 'instruction', mnemonic: '', prefixes, operands: [] };
      return cursor.fail('expected an instruction here');
    }
    const mnemonic = t.text.toLowerCase();
    if (t.kind !== 'word' || !isMnemonic(mnemonic)) {
      const why = labelled ? '; a label with something after it needs an instruction or a directive there' : '';
      return cursor.fail(
        `\`${t.text}\` is not an instruction or directive that this assembler knows${why}`,
        tokenSpan(t),
      );
    }
    const operands: OperandSyntax[] = [];
    const farAllowed = mnemonic === 'jmp' || mnemonic === 'call';
    if (!cursor.done) {
      do {
        // NASM ignores a trailing comma
        if (operands.length > 0 && cursor.done) break;
        const operand = parseOperand(cursor, this.qualify, farAllowed, operands);
        if (operand) operands.push(operand);
      } while (cursor.accept(','));
    }
    return { kind: 'instruction', mnemonic, prefixes, operands };
  }

  private withSegment(cursor: TokenCursor, prefixes: Prefixes, segment: string): Prefixes {
    if (prefixes.segment !== undefined && prefixes.segment !== segment)
      cursor.fail('two segment overrides on one instruction; keep one');
    return { ...prefixes, segment };
  }

  private parseEncodingPrefix(cursor: TokenCursor): Partial<Prefixes> {
    cursor.expect('{', 'before an encoding prefix');
    const word = cursor.word() ?? '';
    const encoding = ENCODING_WORDS[word];
    if (encoding === undefined) return cursor.fail('expected rex, vex, vex2, vex3 or evex in braces');
    cursor.next();
    cursor.expect('}', 'to close the encoding prefix');
    return { encoding };
  }
}

function markerStatement(line: SourceLine, id: number): Statement {
  const at = { line: line.line, column: line.column };
  const span: Span = { file: line.file, start: at, end: at };
  return {
    label: undefined,
    times: undefined,
    body: { kind: 'marker', id },
    span,
    bodySpan: span,
    file: line.file,
    line: line.line,
    column: line.column,
  };
}
