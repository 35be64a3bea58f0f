import { Conditionals } from './conditionals';
import { Conditions } from './conditions';
import { ContextStack } from './contexts';
import { Definitions } from './definitions';
import type { DiagnosticSink } from './diagnostics';
import { decodeUtf8, MAX_SOURCE, notFound } from './included';
import type { FindFile } from './included';
import type { EarlierLayout } from './layout-questions';
import { LayoutQuestions } from './layout-questions';
import { lexFile, lexLine, lineSpan, tokenSpan } from './lexer';
import type { LogicalLine, Token } from './lexer';
import { macroFunctions } from './macro-functions';
import { MacroTable } from './macros';
import { BlockReader, MultiMacroTable } from './multiline';
import type { Block, CallFrame } from './multiline';
import { packageNames, packageSource } from './packages';
import { LineNumbers } from './line-numbers';
import type { Site } from './line-numbers';
import type { SourceLine } from './parser';
import { isReservedWord } from './parser';
import { standardMacros } from './standard-macros';
import { spell, splitParameters } from './token-text';

export type { EarlierLayout } from './layout-questions';

export interface PreprocessOptions {
  readonly defines: Readonly<Record<string, string>>;
  readonly find: FindFile;
  readonly sink: DiagnosticSink;
  /** Undefined in the first run. */
  readonly earlier?: EarlierLayout;
}

const MAX_INCLUDE_DEPTH = 32;
const MAX_INCLUDES = 1000;
/** Macros and repetitions inside each other. */
const MAX_DEPTH = 128;
/** All lines that come out together, and all that are read on the way. */
const MAX_LINES = 1_000_000;
const MAX_LINES_READ = 2_000_000;
/** All tokens of the lines that come out: a line may be as long as a file. */
const MAX_TOKENS_OUT = 4_000_000;

/** How a stretch of lines was left: read to its end, or by %exitrep or %exitmacro. */
type Ending = 'end' | 'exitrep' | 'exitmacro';

/**
 * Runs the preprocessor over a file: conditionals, %include, single-line and multi-line macros, repetition, contexts (NASM manual,
 * chapter 4). Comments of included files are kept in `files`, where directives are collected from.
 */
export class Preprocessor {
  readonly files: LogicalLine[][] = [];
  private readonly macros: MacroTable;
  private readonly multi: MultiMacroTable;
  private readonly contexts = new ContextStack();
  private readonly conditions: Conditions;
  private readonly definitions: Definitions;
  private readonly questions: LayoutQuestions;
  private readonly numbers: LineNumbers;
  private readonly used = new Set<string>();
  private readonly out: SourceLine[] = [];
  private includes = 0;
  /** By name, for %require. */
  private readonly included = new Set<string>();
  /** The %include lines that reading is inside of. */
  private readonly reading: Token[] = [];
  private linesRead = 0;
  private tokensOut = 0;
  private overflow = false;
  /** The mode at this point, for `__?BITS?__`. */
  private bits = 16;
  /** The outermost call under way. */
  private site: Site | undefined;

  constructor(private readonly options: PreprocessOptions) {
    const { sink } = options;
    this.numbers = new LineNumbers(sink);
    this.questions = new LayoutQuestions(
      sink,
      options.earlier,
      (tokens) => this.macros.expand(splitParameters(tokens)),
      (id, at) => {
        this.emit({ tokens: [], file: at.file, line: at.line, column: at.column, marker: id }, at);
      },
    );
    const evaluate = (tokens: readonly Token[], at: Token): bigint | undefined => this.questions.evaluate(tokens, at);
    this.macros = new MacroTable({
      sink,
      evaluate,
      refuse: (why, at) => this.refuse(why, at),
      resolveLocal: (text) => this.contexts.resolve(text),
    });
    this.multi = new MultiMacroTable(sink);
    this.conditions = new Conditions({
      sink,
      macros: this.macros,
      multi: this.multi,
      contexts: this.contexts,
      used: this.used,
      evaluate,
    });
    this.definitions = new Definitions({
      sink,
      macros: this.macros,
      contexts: this.contexts,
      evaluate,
      evaluateFirst: (tokens, at) => this.questions.evaluateFirst(tokens, at),
      pathOf: (name, from) => options.find(name, from, 'bytes')?.name,
    });
    this.predefine();
  }

  /** How many places asked for the layout: where any did, the caller runs again with what the layout found. */
  get markers(): number {
    return this.questions.asked;
  }

  /** Expansion was abandoned: its result is not the program. */
  get refused(): boolean {
    return this.overflow;
  }

  run(source: string, fileName: string): readonly SourceLine[] {
    const lines = lexFile(source, fileName);
    this.files.push(lines);
    this.options.sink.warnings.reset();
    this.lines(lines, 0, undefined, undefined);
    this.options.sink.warnings.reset();
    return this.out;
  }

  private predefine(): void {
    const { macros, aliases } = standardMacros({
      file: (at) => this.site?.file ?? at.file,
      line: (at) => this.site?.line ?? at.line,
      bits: () => this.bits,
    });
    for (const macro of macros) this.macros.define(macro, false);
    for (const [name, target] of aliases) this.macros.defineAlias(name, target);
    for (const macro of macroFunctions({
      sink: this.options.sink,
      test: (kind, tokens, at) => this.conditions.holds(kind, tokens, at),
    }))
      this.macros.define(macro, true);
    for (const [name, text] of Object.entries(this.options.defines)) {
      const line = lexLine(`%define ${name} ${text}`, '<define>', 1);
      const first = line.tokens[0];
      if (first) this.definitions.handle(first, line);
    }
  }

  private lines(
    lines: readonly LogicalLine[],
    depth: number,
    site: Site | undefined,
    frame: CallFrame | undefined,
  ): Ending {
    const { sink } = this.options;
    const conditionals = new Conditionals({ sink, conditions: this.conditions });
    const blocks = new BlockReader(sink);
    for (const raw of lines) {
      if (this.overflow) break;
      const rawFirst = raw.tokens[0];
      if (!rawFirst) continue;
      if (++this.linesRead > MAX_LINES_READ)
        this.refuse(`the preprocessor read more than ${MAX_LINES_READ} lines`, rawFirst);
      this.site = site;
      if (blocks.open || (conditionals.taking && blocks.begins(rawFirst))) {
        const block = blocks.take(raw);
        const ending = block ? this.block(block, depth, site, frame) : 'end';
        if (ending === 'exitmacro') return ending;
        continue;
      }
      const line = frame ? { ...raw, tokens: this.multi.fill(raw.tokens, frame) } : raw;
      const first = line.tokens[0];
      if (!first) continue;
      if (first.kind === 'preprocessor') {
        if (conditionals.handle(first, line.tokens) || !conditionals.taking) continue;
        if (first.text === '%exitrep') return 'exitrep';
        if (first.text === '%exitmacro') return 'exitmacro';
        this.directive(first, line, depth, site, frame);
      } else if (conditionals.taking) {
        this.plain(line, raw, depth, site);
      }
    }
    blocks.finish();
    conditionals.finish();
    return 'end';
  }

  private refuse(why: string, at: Token): void {
    if (!this.overflow) this.options.sink.error('preprocessor', why, tokenSpan(at));
    this.overflow = true;
  }

  private plain(line: LogicalLine, raw: LogicalLine, depth: number, site: Site | undefined): void {
    const tokens = this.macros.expand(splitParameters(line.tokens));
    const first = tokens[0];
    if (!first) return;
    const where = site ?? this.numbers.placeOf(line, first);
    // What a macro's line expands to is shown at the call; where it is written stays known.
    const definition = site === undefined ? {} : { definition: { file: raw.file, line: raw.line } };
    const call = this.multi.call(tokens);
    if (!call) {
      this.emit({ tokens, ...where, ...definition }, first);
      return;
    }
    if (depth >= MAX_DEPTH)
      this.refuse(`macros call each other more than ${MAX_DEPTH} deep at ${call.name.text}`, call.name);
    else {
      if (call.label.length > 0) this.emit({ tokens: call.label, ...where, ...definition }, first);
      this.lines(call.body, depth + 1, where, call.frame);
    }
    call.done();
  }

  private emit(line: SourceLine, first: Token): void {
    if (this.out.length >= MAX_LINES) {
      this.refuse(`the source expands to more than ${MAX_LINES} lines`, first);
      return;
    }
    this.tokensOut += line.tokens.length;
    if (this.tokensOut > MAX_TOKENS_OUT) {
      this.refuse(`the source expands to more than ${MAX_TOKENS_OUT} tokens`, first);
      return;
    }
    this.noteSettings(line.tokens);
    this.out.push(line);
  }

  /** `__?BITS?__`, `__?SECT?__` and the label that local names belong to follow what passes through. */
  private noteSettings(tokens: readonly Token[]): void {
    const [label, after] = tokens;
    if (
      label?.kind === 'word' &&
      !label.text.startsWith('.') &&
      after?.text !== 'equ' &&
      (after?.text === ':' || !isReservedWord(label.text.toLowerCase()))
    ) {
      this.questions.scope = label.text.replace(/^\$/, '');
    }
    const primitive = tokens[0]?.text === '[';
    if (primitive && tokens[1]?.text.toLowerCase() === 'warning')
      this.options.sink.setWarning(spell(tokens.slice(2, -1)).replace(/\s/g, ''), tokenSpan(tokens[0] ?? tokens[1]));
    const word = tokens[primitive ? 1 : 0]?.text.toLowerCase() ?? '';
    const mode = /^use(16|32|64)$/.exec(word)?.[1] ?? (word === 'bits' ? tokens[primitive ? 2 : 1]?.text : undefined);
    if (mode === '16' || mode === '32' || mode === '64') this.bits = Number(mode);
    if (primitive || (word !== 'section' && word !== 'segment' && word !== 'absolute')) return;
    const at = tokens[0];
    if (!at) return;
    const bracket = (text: string): Token => ({ ...at, kind: 'punctuation', text, spaced: false });
    this.macros.define(
      { name: '__?SECT?__', parameters: undefined, body: [bracket('['), ...tokens, bracket(']')] },
      false,
    );
  }

  private block(block: Block, depth: number, site: Site | undefined, frame: CallFrame | undefined): Ending {
    if (block.kind === 'macro') {
      this.multi.define(block, (tokens) => this.macros.expand(frame ? this.multi.fill(tokens, frame) : tokens));
      return 'end';
    }
    const header = frame ? this.multi.fill(block.header.tokens, frame) : block.header.tokens;
    const first = header[0];
    const count =
      first &&
      this.questions.evaluate(
        header.slice(1).filter((t) => t.text !== '.nolist'),
        first,
      );
    if (count === undefined || !first) return 'end';
    if (count < 0n)
      this.options.sink.warning(
        'pp-rep-negative',
        'preprocessor',
        `%rep ${count} repeats nothing`,
        lineSpan(block.header),
      );
    if (count > BigInt(MAX_LINES)) {
      this.options.sink.error(
        'preprocessor',
        `%rep ${count} repeats more than ${MAX_LINES} times`,
        lineSpan(block.header),
      );
      return 'end';
    }
    if (depth >= MAX_DEPTH) {
      this.refuse(`repetitions and macros nest more than ${MAX_DEPTH} deep`, first);
      return 'end';
    }
    for (let i = 0n; i < count && !this.overflow; i++) {
      const ending = this.lines(block.body, depth + 1, site, frame);
      if (ending === 'exitmacro') return ending;
      if (ending === 'exitrep') break;
    }
    return 'end';
  }

  private directive(
    first: Token,
    line: LogicalLine,
    depth: number,
    site: Site | undefined,
    frame: CallFrame | undefined,
  ): void {
    const { sink } = this.options;
    if (line.tokens.some((t) => t.text === '%[' && t.kind === 'parameter'))
      line = { ...line, tokens: this.macros.expandIndirect(line.tokens) };
    if (this.definitions.handle(first, line)) return;
    const rest = line.tokens.slice(1);
    switch (first.text) {
      case '%include':
      case '%require':
        this.include(first, rest, depth, site);
        return;
      case '%use':
        this.use(first, rest, depth);
        return;
      case '%error':
      case '%fatal':
        sink.error('userMessage', this.message(rest) || `${first.text} without text`, lineSpan(line));
        if (first.text === '%fatal') this.overflow = true;
        return;
      case '%warning':
        sink.warning('user', 'userMessage', this.message(rest), lineSpan(line));
        return;
      case '%unmacro':
      case '%unimacro':
        this.multi.remove(rest);
        return;
      case '%rotate': {
        const by = this.questions.evaluate(rest, first);
        if (frame === undefined)
          sink.error(
            'preprocessor',
            '%rotate turns the arguments of a macro call; there is none here',
            tokenSpan(first),
          );
        else if (by !== undefined) frame.rotate(Number(BigInt.asIntN(32, by)));
        return;
      }
      case '%line':
        this.numbers.renumber(rest, line);
        return;
      case '%clear':
        this.macros.clear();
        this.multi.clear();
        this.predefine();
        return;
      // hints for a linker or a build, ignored here
      case '%pragma':
      case '%depend':
      case '%null':
        return;
      case '%endmacro':
      case '%endm':
      case '%endrep':
        sink.error('preprocessor', `${first.text} without its beginning`, tokenSpan(first));
        return;
      default:
        sink.error('preprocessor', `${first.text} is not a preprocessor directive`, tokenSpan(first));
    }
  }

  private message(tokens: readonly Token[]): string {
    const expanded = this.macros.expand(tokens);
    const [only] = expanded;
    return expanded.length === 1 && only?.kind === 'string' ? only.text.slice(1, -1) : spell(expanded);
  }

  private use(first: Token, rest: readonly Token[], depth: number): void {
    const t = this.macros.expand(rest)[0];
    const name = (t?.kind === 'string' ? t.text.slice(1, -1) : (t?.text ?? '')).toLowerCase();
    const source = packageSource(name);
    if (source === undefined) {
      this.options.sink.error(
        'preprocessor',
        `there is no package ${name}; there are ${packageNames().join(', ')}`,
        tokenSpan(t ?? first),
      );
      return;
    }
    if (this.used.has(name)) return;
    this.used.add(name);
    const where = { file: first.file, line: first.line, column: first.column };
    this.lines(lexFile(source, `<${name}>`), depth + 1, where, undefined);
  }

  private include(first: Token, rest: readonly Token[], depth: number, site: Site | undefined): void {
    const t = this.macros.expand(rest)[0];
    if (t?.kind !== 'string') {
      this.options.sink.error('preprocessor', `${first.text} takes a file name in quotes`, tokenSpan(t ?? first));
      return;
    }
    const span = tokenSpan(t);
    if (depth >= MAX_INCLUDE_DEPTH || ++this.includes > MAX_INCLUDES) {
      this.options.sink.error(
        'includeDepth',
        `${t.text} is included ${depth >= MAX_INCLUDE_DEPTH ? 'inside itself' : 'too often'}; guard it with %ifndef`,
        span,
      );
      this.overflow = true;
      return;
    }
    const path = t.text.slice(1, -1);
    const found = this.options.find(path, first.file, 'text');
    if (!found) {
      this.options.sink.error('fileNotFound', notFound(t.text), span);
      const at = new Map([...this.reading, first].map(({ file, line }) => [file, line]));
      const readBefore = new Set([...this.included].filter((name) => !at.has(name)));
      this.options.sink.includeMissing({ at, readBefore });
      return;
    }
    if (found.bytes.length > MAX_SOURCE) {
      const message = `${t.text} is ${found.bytes.length} bytes long; the maximum for a source is ${MAX_SOURCE}`;
      this.options.sink.error('tooLarge', message, span);
      return;
    }
    if (first.text === '%require' && this.included.has(found.name)) return;
    this.included.add(found.name);
    const lines = lexFile(decodeUtf8(found.bytes), found.name);
    this.files.push(lines);
    this.reading.push(first);
    this.numbers.inOtherFile(() => this.lines(lines, depth + 1, site, undefined));
    this.reading.pop();
  }
}
