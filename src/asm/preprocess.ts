import type { Span } from '../base/diagnostic';
import { Conditionals } from './conditionals';
import type { DiagnosticSink } from './diagnostics';
import type { QualifyName } from './expression';
import { parseExpression, SyntaxFault, TokenCursor } from './expression';
import { lexFile, lexLine, tokenSpan, tokensSpan } from './lexer';
import type { LogicalLine, Token } from './lexer';
import { MacroTable, splitParameters } from './macros';
import { BlockReader, MultiMacroTable } from './multiline';
import type { Block, CallFrame } from './multiline';
import type { SourceLine } from './parser';
import { evaluate, EvaluationFault, UNKNOWN } from './value';
import type { Scope, Value } from './value';

export interface PreprocessOptions {
  readonly defines: Readonly<Record<string, string>>;
  readonly readFile: (path: string, from: string) => Uint8Array | undefined;
  readonly sink: DiagnosticSink;
  /**
   * What a layout of an earlier run's output found: NASM's preprocessor may ask for `$` and for labels before it, as in
   * `%if $-$$ > 510`. Undefined in the first run.
   */
  readonly earlier?: EarlierLayout;
}
export interface EarlierLayout {
  symbol(name: string): Value | undefined;
  marker(id: number): Value | undefined;
}

const MAX_INCLUDE_DEPTH = 32;
const MAX_INCLUDES = 1000;
/** All lines that come out together. */
const MAX_LINES = 1_000_000;

/** Where the lines of a macro's expansion are shown: its outermost call. */
interface Site {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * Runs the preprocessor over a file: conditionals, %include, single-line and multi-line macros, repetition (NASM manual, chapter 4).
 * Comments of included files are kept in `files`, where directives are collected from.
 */
export class Preprocessor {
  readonly files: LogicalLine[][] = [];
  private readonly macros: MacroTable;
  private readonly multi: MultiMacroTable;
  private readonly out: SourceLine[] = [];
  private includes = 0;
  private overflow = false;
  /** How many places asked for the layout: where any did, the caller runs again with what the layout found. */
  markers = 0;
  private askedFor: 'nothing' | 'symbol' | 'place' = 'nothing';

  constructor(private readonly options: PreprocessOptions) {
    this.macros = new MacroTable(options.sink);
    this.multi = new MultiMacroTable(options.sink);
    this.builtin('__OUTPUT_FORMAT__', 'bin');
    this.builtin('__?OUTPUT_FORMAT?__', 'bin');
    for (const [name, text] of Object.entries(options.defines)) this.builtin(name, text);
  }

  run(source: string, fileName: string): readonly SourceLine[] {
    const lines = lexFile(source, fileName);
    this.files.push(lines);
    this.lines(lines, 0, undefined, undefined);
    return this.out;
  }

  private builtin(name: string, text: string): void {
    this.macros.define({ name, parameters: undefined, body: lexLine(text, '<command line>', 1).tokens }, false);
  }

  /** @returns whether %exitrep was met */
  private lines(lines: readonly LogicalLine[], depth: number, site: Site | undefined, frame: CallFrame | undefined): boolean {
    const conditionals = new Conditionals({
      sink: this.options.sink, macros: this.macros, multi: this.multi,
      evaluate: (tokens, first) => this.evaluateTokens(tokens, first),
    });
    const blocks = new BlockReader(this.options.sink);
    let exit = false;
    for (const raw of lines) {
      if (this.overflow) break;
      const rawFirst = raw.tokens[0];
      if (!rawFirst) continue;
      if (blocks.open || (conditionals.taking && blocks.begins(rawFirst))) {
        const block = blocks.take(raw);
        if (block) this.block(block, depth, site, frame);
        continue;
      }
      const line = frame ? { ...raw, tokens: this.multi.fill(raw.tokens, frame) } : raw;
      const first = line.tokens[0];
      if (!first) continue;
      if (first.kind === 'preprocessor') {
        if (conditionals.handle(first, line.tokens)) continue;
        if (!conditionals.taking) continue;
        if (first.text === '%exitrep') {
          exit = true;
          break;
        }
        this.directive(first, line, depth, site, frame);
      } else if (conditionals.taking) {
        this.plain(line, depth, site);
      }
    }
    if (!exit) {
      blocks.finish();
      conditionals.finish();
    }
    return exit;
  }

  private plain(line: LogicalLine, depth: number, site: Site | undefined): void {
    const tokens = this.macros.expand(splitParameters(line.tokens));
    const first = tokens[0];
    if (!first) return;
    const where = site ?? { file: line.file, line: line.line, column: first.column };
    const call = this.multi.call(tokens);
    if (call) {
      if (depth >= MAX_INCLUDE_DEPTH * 4) {
        this.options.sink.error('preprocessor', `the macro ${call.name.text} calls itself without end`, tokenSpan(call.name));
        return;
      }
      if (call.label.length > 0) this.emit({ tokens: call.label, ...where }, first);
      this.lines(call.body, depth + 1, where, call.frame);
      return;
    }
    this.emit({ tokens, ...where }, first);
  }

  private emit(line: SourceLine, first: Token): void {
    if (this.out.length >= MAX_LINES) {
      if (!this.overflow) this.options.sink.error('preprocessor', `the source expands to more than ${MAX_LINES} lines`, tokenSpan(first));
      this.overflow = true;
      return;
    }
    this.out.push(line);
  }

  private block(block: Block, depth: number, site: Site | undefined, frame: CallFrame | undefined): void {
    if (block.kind === 'macro') {
      this.multi.define(block);
      return;
    }
    const header = frame ? this.multi.fill(block.header.tokens, frame) : block.header.tokens;
    const count = this.evaluateTokens(header.slice(1), header[0]);
    if (count === undefined) return;
    if (count > BigInt(MAX_LINES)) {
      this.options.sink.error('preprocessor', `%rep ${count} repeats more than ${MAX_LINES} times`, this.spanOf(block.header));
      return;
    }
    for (let i = 0n; i < count && !this.overflow; i++) if (this.lines(block.body, depth + 1, site, frame)) break;
  }

  private spanOf(line: LogicalLine): Span {
    const first = line.tokens[0];
    const last = line.tokens[line.tokens.length - 1];
    if (first && last) return tokensSpan(first, last);
    const at = { line: line.line, column: 1 };
    return { file: line.file, start: at, end: at };
  }

  private evaluateTokens(tokens: readonly Token[], first: Token | undefined): bigint | undefined {
    const expanded = this.macros.expand(splitParameters(tokens));
    const last = expanded[expanded.length - 1] ?? first;
    if (!last) return undefined;
    const end = { line: last.line, column: last.end };
    const cursor = new TokenCursor(expanded, { file: last.file, start: end, end });
    const same: QualifyName = (n) => n;
    const id = this.markers;
    this.askedFor = 'nothing';
    try {
      const e = parseExpression(cursor, same);
      if (!cursor.done) cursor.fail(`\`${cursor.peek()?.text ?? ''}\` is not expected here`);
      const v = evaluate(e, this.scopeAt(id));
      this.mark(last);
      if (v.unknown) return 0n;
      if (v.terms.length > 0) throw new EvaluationFault('notConstant', 'the preprocessor needs a plain number', e.span);
      return v.number;
    } catch (e) {
      if (e instanceof SyntaxFault) this.options.sink.error('preprocessor', e.message, e.span);
      else if (e instanceof EvaluationFault) {
        this.mark(last);
        this.options.sink.error('preprocessor', e.message, e.span);
      } else throw e;
      return undefined;
    }
  }

  private scopeAt(id: number): Scope {
    const { earlier } = this.options;
    return {
      symbol: (name) => {
        if (this.askedFor === 'nothing') this.askedFor = 'symbol';
        return earlier === undefined ? UNKNOWN : earlier.symbol(name);
      },
      here: () => {
        this.askedFor = 'place';
        return earlier?.marker(id) ?? UNKNOWN;
      },
      sectionStart: () => {
        this.askedFor = 'place';
        const at = earlier?.marker(id);
        return at === undefined ? UNKNOWN : { ...at, number: 0n };
      },
    };
  }

  /** Leaves a mark in the output where an expression asked for the layout. */
  private mark(at: Token): void {
    if (this.askedFor === 'nothing') return;
    this.emit({ tokens: [], file: at.file, line: at.line, column: at.column, marker: this.markers++ }, at);
  }

  private directive(first: Token, line: LogicalLine, depth: number, site: Site | undefined, frame: CallFrame | undefined): void {
    const rest = line.tokens.slice(1);
    switch (first.text) {
      case '%define':
      case '%idefine':
      case '%xdefine':
      case '%ixdefine':
        this.define(first, rest, first.text.includes('x'), first.text.startsWith('%i'));
        return;
      case '%undef':
        for (const t of rest) this.macros.undefine(t.text);
        return;
      case '%assign':
      case '%iassign':
        this.assign(first, rest);
        return;
      case '%strlen':
        this.strlen(first, rest);
        return;
      case '%include':
        this.include(first, rest, depth, site);
        return;
      case '%error':
      case '%fatal':
        this.options.sink.error('userMessage', this.message(rest) || 'an %error without text', this.spanOf(line));
        if (first.text === '%fatal') this.overflow = true;
        return;
      case '%warning':
        this.options.sink.warning('userMessage', this.message(rest), this.spanOf(line));
        return;
      case '%unmacro':
        for (const t of rest) this.multi.remove(t.text);
        return;
      case '%rotate': {
        const by = this.evaluateTokens(rest, first);
        if (frame === undefined) this.options.sink.error('preprocessor', '%rotate turns the arguments of a macro call; there is none here', tokenSpan(first));
        else if (by !== undefined) frame.rotate(Number(BigInt.asIntN(32, by)));
        return;
      }
      case '%pragma':
      case '%line':
      case '%clear':
      case '%use':
        return;
      case '%endmacro':
      case '%endm':
      case '%endrep':
        this.options.sink.error('preprocessor', `${first.text} without its beginning`, tokenSpan(first));
        return;
      default:
        this.options.sink.error('preprocessor', `${first.text} is not known to the built-in assembler; the setting for an installed nasm has all of them`, tokenSpan(first));
    }
  }

  private message(tokens: readonly Token[]): string {
    const expanded = this.macros.expand(tokens);
    return expanded.map((t, i) => (i > 0 && t.spaced ? ' ' : '') + (t.kind === 'string' && expanded.length === 1 ? t.text.slice(1, -1) : t.text)).join('');
  }

  private define(first: Token, rest: readonly Token[], expandNow: boolean, ignoreCase: boolean): void {
    const name = rest[0];
    if (name?.kind !== 'word') {
      this.options.sink.error('preprocessor', `${first.text} takes a name and what it stands for`, tokenSpan(name ?? first));
      return;
    }
    let parameters: string[] | undefined;
    let at = 1;
    if (rest[1]?.text === '(' && !rest[1].spaced) {
      parameters = [];
      for (at = 2; at < rest.length && rest[at]?.text !== ')'; at++) {
        const t = rest[at];
        if (t?.kind === 'word') parameters.push(t.text);
        else if (t && t.text !== ',' && t.text !== '=') {
          this.options.sink.error('preprocessor', 'the parameters of a macro are names with commas between them', tokenSpan(t));
          return;
        }
      }
      if (at >= rest.length) {
        this.options.sink.error('preprocessor', 'the list of parameters has no `)`', tokenSpan(name));
        return;
      }
      at++;
    }
    const written = splitParameters(rest.slice(at));
    const body = expandNow ? this.macros.expand(written) : written;
    this.macros.define({ name: name.text, parameters, body }, ignoreCase);
  }

  private assign(first: Token, rest: readonly Token[]): void {
    const name = rest[0];
    if (name?.kind !== 'word') {
      this.options.sink.error('preprocessor', '%assign takes a name and a number', tokenSpan(name ?? first));
      return;
    }
    const value = this.evaluateTokens(rest.slice(1), first);
    if (value !== undefined) this.defineNumber(name, value, first.text === '%iassign');
  }

  private defineNumber(name: Token, value: bigint, ignoreCase: boolean): void {
    const digits: Token = { ...name, kind: 'number', text: (value < 0n ? -value : value).toString(), spaced: true };
    const body = value < 0n ? [{ ...name, kind: 'punctuation' as const, text: '-', spaced: true }, digits] : [digits];
    this.macros.define({ name: name.text, parameters: undefined, body }, ignoreCase);
  }

  private strlen(first: Token, rest: readonly Token[]): void {
    const name = rest[0];
    const text = this.macros.expand(rest.slice(1))[0];
    if (name?.kind !== 'word' || text?.kind !== 'string') this.options.sink.error('preprocessor', '%strlen takes a name and a string', tokenSpan(first));
    else this.defineNumber(name, BigInt(text.text.length - 2), false);
  }

  private include(first: Token, rest: readonly Token[], depth: number, site: Site | undefined): void {
    const t = this.macros.expand(rest)[0];
    if (t?.kind !== 'string') {
      this.options.sink.error('preprocessor', '%include takes a file name in quotes', tokenSpan(t ?? first));
      return;
    }
    const span = tokenSpan(t);
    if (depth >= MAX_INCLUDE_DEPTH || ++this.includes > MAX_INCLUDES) {
      this.options.sink.error('includeDepth', `${t.text} is included ${depth >= MAX_INCLUDE_DEPTH ? 'inside itself' : 'too often'}; guard it with %ifndef`, span);
      this.overflow = true;
      return;
    }
    const path = t.text.slice(1, -1);
    const bytes = this.options.readFile(path, first.file);
    if (!bytes) {
      this.options.sink.error('fileNotFound', `the file ${t.text} is not there or may not be read; paths count from this file and stay inside the workspace`, span);
      return;
    }
    const lines = lexFile(decodeUtf8(bytes), fileBeside(path, first.file));
    this.files.push(lines);
    this.lines(lines, depth + 1, site, undefined);
  }
}

/**
 * How an included file is called from here on: `path` seen from the folder of the file that names it. An editor finds the file by
 * that name, and what it includes in turn is looked for beside it.
 */
function fileBeside(path: string, from: string): string {
  if (/^([a-z]:)?[\\/]/i.test(path)) return path;
  const parts = from.replace(/[^\\/]*$/, '').split(/(?<=[\\/])/).filter((part) => part !== '');
  for (const step of path.split(/(?<=[\\/])/)) {
    const up = /^\.\.[\\/]$/.test(step) && parts.length > 0 && !/^(\.\.)?[\\/]$/.test(parts.at(-1) ?? '');
    if (up) parts.pop();
    else if (!/^\.[\\/]$/.test(step)) parts.push(step);
  }
  return parts.join('');
}

/** Written out because the core has no TextDecoder; what is no UTF-8 is read as Latin-1. */
function decodeUtf8(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 4096) binary += String.fromCharCode(...bytes.subarray(i, i + 4096));
  try {
    return decodeURIComponent(binary.replace(/[%\u0080-\u00ff]/g, (c) => '%' + c.charCodeAt(0).toString(16).padStart(2, '0')));
  } catch {
    return binary;
  }
}
