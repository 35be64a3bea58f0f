import type { Span } from '../base/diagnostic';
import { counted } from '../base/plural';
import type { Bits } from './code-size';
import { DataWriter } from './data-writer';
import { ANY_CPU, cpuName, I386, X64 } from './cpu-levels';
import type { AsmCode } from './diagnostics';
import { DiagnosticSink } from './diagnostics';
import type { Expr } from './expression';
import { checkSize } from './image';
import { InstructionEncoder } from './instruction';
import type { Optimization } from './optimization';
import { Output } from './output';
import type { PaddingMode } from './padding';
import { padding } from './padding';
import type { Placed } from './sections';
import { applyAttribute, placeSections } from './sections';
import type { Body, Statement } from './statement';
import { Sizing } from './sizing';
import { Structures } from './structures';
import { SymbolTable } from './symbols';
import type { Scope, Value } from './value';
import { constant, evaluate, EvaluationFault } from './value';

/**
 * Lays statements out. Each pass walks all statements with the symbol values of the pass before; when a whole pass moves nothing,
 * sections get their addresses and a last pass writes the bytes. The first pass takes the shortest form wherever a forward
 * reference leaves a choice, as NASM does, so that both settle on the same sizes.
 */
export interface LayoutLine {
  readonly statement: Statement;
  readonly section: number;
  readonly offset: number;
  readonly length: number;
  readonly bits: Bits;
  readonly kind: 'code' | 'data';
}

export interface LayoutResult {
  readonly output: Output;
  readonly placed: Placed;
  readonly lines: readonly LayoutLine[];
  readonly symbols: SymbolTable;
  readonly hasOrg: boolean;
  readonly firstInstructionBits: Bits | undefined;
  /** `$` where the preprocessor asked for it. */
  readonly markers: ReadonlyMap<number, Value>;
}

/** The result of a layout once its bytes are written. */
export type Laid = Pick<LayoutResult, 'output' | 'placed' | 'firstInstructionBits'>;

export interface LayoutOptions {
  /** Where a program without `org` goes; a function is called once its bytes for origin 0 exist. */
  readonly origin: bigint | ((found: Laid) => bigint);
  readonly maxImage: number;
  readonly fileSpan: Span;
  readonly optimize?: Optimization;
}

/** Jumps over jumps settle slowly, in passes that cost little; statements that are laid out in full in each of them cost much. */
const MAX_PASSES = 1000;
const LEAST_PASSES = 20;
const MAX_WORK = 2_000_000;
/** A repetition whose bytes depend on their position is encoded one by one; more than this takes too long. */
const MAX_ENCODED_REPEATS = 100_000;

export class Layout {
  readonly symbols = new SymbolTable();
  readonly output: Output;
  private readonly encoder: InstructionEncoder;
  private readonly data: DataWriter;
  private readonly structures = new Structures(this);
  private readonly sizing: Sizing;
  private bits: Bits = 16;
  private relative = false;
  private cpu = ANY_CPU;
  private padding: { readonly mode: PaddingMode; readonly threshold: number } | undefined;
  private origin: bigint | undefined;
  private firstBits: Bits | undefined;
  private lines: LayoutLine[] = [];
  private readonly markers = new Map<number, Value>();
  private pendingLabels: { followedBy: 'code' | 'data' | undefined }[] = [];
  /** `$`: where the statement begins, the same for every item and every repetition by `times`. */
  private here: Value | undefined;
  private statementOffset = 0;
  private readonly scope: Scope = {
    symbol: (name) => this.symbols.lookup(name) ?? this.output.sectionSymbol(name),
    here: () => this.statementStart(),
    sectionStart: () => this.output.start(),
    isExternal: (name) => this.symbols.externals.has(name),
  };

  constructor(
    private readonly statements: readonly Statement[],
    private readonly options: LayoutOptions,
  ) {
    this.output = new Output(options.maxImage, new DiagnosticSink());
    this.encoder = new InstructionEncoder(this.output, this.scope, options.optimize);
    this.data = new DataWriter(this.output, this.scope);
    this.sizing = new Sizing(this.output, this.symbols);
  }

  /** Runs to the end; what is wrong is in `sink`. */
  run(sink: DiagnosticSink): LayoutResult {
    let passes = 0;
    do {
      this.pass();
      passes++;
      if (passes === MAX_PASSES || (passes >= LEAST_PASSES && this.sizing.work > MAX_WORK)) break;
    } while (this.symbols.moved);
    const stable = !this.symbols.moved;
    this.output.sink = sink;
    if (!stable) {
      sink.error(
        'unstable',
        `sizes still change after ${passes} passes; write near or a size at the jumps or \`times\` that depend on each other`,
        this.options.fileSpan,
      );
    }
    const placed = this.emit(this.origin ?? this.settleOrigin(), sink);
    return {
      output: this.output,
      placed,
      lines: this.lines,
      symbols: this.symbols,
      hasOrg: this.origin !== undefined,
      firstInstructionBits: this.firstBits,
      markers: this.markers,
    };
  }

  private settleOrigin(): bigint {
    const { origin } = this.options;
    if (typeof origin === 'bigint') return origin;
    const placed = this.emit(0n, new DiagnosticSink());
    return origin({ output: this.output, placed, firstInstructionBits: this.firstBits });
  }

  /** Places the sections and writes the bytes. */
  private emit(origin: bigint, sink: DiagnosticSink): Placed {
    this.output.sink = sink;
    const placed = placeSections(this.output.sections, origin, sink, this.options.fileSpan);
    this.output.startEmitting();
    this.pass();
    return placed;
  }

  private pass(): void {
    this.symbols.beginPass();
    if (!this.output.emitting) this.output.sink = new DiagnosticSink();
    this.output.sink.warnings.reset();
    this.cpu = ANY_CPU;
    this.output.beginPass();
    this.structures.beginPass();
    this.bits = 16;
    this.relative = false;
    this.padding = undefined;
    this.origin = undefined;
    this.firstBits = undefined;
    this.lines = [];
    this.pendingLabels = [];
    const { statements, sizing } = this;
    const isSizing = !this.output.emitting;
    const isNoted = isSizing && this.symbols.isLater;
    for (let i = 0; i < statements.length; i++) {
      if (isSizing && sizing.pass(i)) continue;
      const s = statements[i];
      if (!s) continue;
      const { offset } = this.output.section;
      const done = this.statement(s);
      if (isNoted && done)
        sizing.note(i, s, offset, s.body.kind === 'instruction' ? this.encoder.sizeFacts(s) : undefined);
    }
  }

  private fault(e: unknown): void {
    if (!(e instanceof EvaluationFault)) throw e;
    this.output.sink.error(e.code, e.message, e.span);
  }

  private error(code: AsmCode, message: string, span: Span): void {
    this.output.sink.error(code, message, span);
  }

  /** @returns whether it was valid */
  private statement(s: Statement): boolean {
    try {
      this.here = undefined;
      this.statementOffset = this.output.section.offset;
      if (s.label && s.body.kind !== 'equ') this.label(s.label.name, s.label.span);
      const times = s.times === undefined ? 1 : this.repeatCount(s.times);
      const start = this.output.section.offset;
      const kind = this.body(s, s.body, times);
      if (kind !== undefined && this.output.absolute === undefined) {
        const length = this.output.section.offset - start;
        if (length > 0) {
          this.lines.push({
            statement: s,
            section: this.output.section.id,
            offset: start,
            length,
            bits: this.bits,
            kind,
          });
          for (const l of this.pendingLabels) l.followedBy = kind;
          this.pendingLabels = [];
        }
      }
      return true;
    } catch (e) {
      this.fault(e);
      return false;
    }
  }

  private statementStart(): Value {
    this.here ??=
      this.output.absolute === undefined
        ? this.output.inSection(this.output.section, this.statementOffset)
        : this.output.position();
    return this.here;
  }

  private label(name: string, span: Span): void {
    const { output } = this;
    const known =
      output.absolute === undefined ? this.symbols.confirm(name, output.section.id, output.section.offset) : undefined;
    if (known) this.pendingLabels.push(known);
    else
      this.define(
        name,
        'label',
        output.position(),
        span,
        output.absolute === undefined ? output.section.id : undefined,
      );
  }

  define(name: string, kind: 'label' | 'constant', value: Value, span: Span, section: number | undefined): void {
    const entry = this.symbols.define(name, kind, value, span, section);
    if ('duplicate' in entry) {
      const at = entry.duplicate.span.start;
      this.error(
        'duplicateSymbol',
        `\`${name}\` is already defined at line ${at.line}; rename one, or begin a local label with a dot`,
        span,
      );
    } else if (kind === 'label') {
      this.pendingLabels.push(entry);
    }
  }

  private repeatCount(e: Expr): number {
    const v = evaluate(e, this.scope);
    if (v.unknown) return 1;
    if (v.terms.length > 0)
      throw new EvaluationFault(
        'notConstant',
        'times takes a plain number; a label alone has no fixed value here, but a difference such as 510-($-$$) does',
        e.span,
      );
    if (v.number < 0n)
      throw new EvaluationFault(
        'notConstant',
        `times ${v.number} is negative: what comes before is ${counted(-v.number, 'byte')} too long`,
        e.span,
      );
    if (v.number > BigInt(this.options.maxImage))
      throw new EvaluationFault('tooLarge', `times ${v.number} would make the image too large`, e.span);
    return Number(v.number);
  }

  /** @returns what the statement emitted, if anything */
  private body(s: Statement, body: Body, times: number): 'code' | 'data' | undefined {
    switch (body.kind) {
      case 'none':
        return undefined;
      case 'marker':
        this.markers.set(body.id, this.statementStart());
        return undefined;
      case 'equ':
        this.equ(s, body.value, body.far);
        return undefined;
      case 'bits':
        this.switchBits(body.bits, s.bodySpan);
        return undefined;
      case 'default':
        this.relative = body.relative;
        return undefined;
      case 'cpu':
        this.cpu = body.level;
        return undefined;
      case 'warning':
        this.output.sink.setWarning(body.text, s.bodySpan);
        return undefined;
      case 'refused':
        this.error('badDirective', body.message, s.bodySpan);
        return undefined;
      case 'extern':
        for (const name of body.names) this.symbols.externals.add(name);
        return undefined;
      case 'org':
        this.org(body.origin);
        return undefined;
      case 'alignmode':
        this.padding = { mode: body.mode, threshold: body.threshold };
        return undefined;
      case 'absolute': {
        const v = evaluate(body.at, this.scope);
        this.output.setAbsolute(v);
        return undefined;
      }
      case 'section':
        this.switchSection(body);
        return undefined;
      case 'struc':
        this.structures.open(body);
        return undefined;
      case 'endstruc':
        this.structures.close(s);
        return undefined;
      case 'istruc':
        this.structures.openInstance(body);
        return undefined;
      case 'at':
        this.structures.moveTo(body.offset, s);
        return body.body.kind === 'none' ? undefined : this.body({ ...s, body: body.body }, body.body, 1);
      case 'iend':
        this.structures.closeInstance(s);
        return 'data';
      case 'reserve':
        return this.data.reserve(body.count, body.width, times);
      case 'align':
        return this.align(s, body, times);
      case 'incbin': {
        const skip = body.skip ? Number(this.number(body.skip)) : 0;
        const limit = body.limit ? Number(this.number(body.limit)) : undefined;
        const bytes = body.bytes.subarray(
          Math.max(0, skip),
          limit === undefined ? undefined : Math.max(0, skip) + Math.max(0, limit),
        );
        this.repeat(s, times, () => {
          this.output.emit(bytes, s.span);
          return true;
        });
        return 'data';
      }
      case 'data':
        this.repeat(s, times, () => this.data.items(s, body.items, body.width));
        return 'data';
      case 'instruction':
        if (body.mnemonic === '') {
          this.repeat(s, times, () => {
            this.encoder.prefixesAlone(s, body.prefixes, this.bits);
            return true;
          });
          return 'code';
        }
        this.firstBits ??= this.bits;
        this.repeat(s, times, () =>
          this.encoder.encode(s, body, { bits: this.bits, relative: this.relative, cpu: this.cpu }),
        );
        return 'code';
    }
  }

  /** Repeats what `once` emits; bytes that do not depend on the position are copied. */
  private repeat(s: Statement, times: number, once: () => boolean): void {
    if (times === 0) return;
    const before = this.output.section.offset;
    const same = once();
    const size = this.output.section.offset - before;
    if (times === 1) return;
    if (size === 0 && this.output.absolute === undefined) return;
    if (same && this.output.absolute === undefined) {
      this.output.repeat(size, times - 1, s.times?.span ?? s.span);
      return;
    }
    if (times > MAX_ENCODED_REPEATS)
      throw new EvaluationFault(
        'tooLarge',
        `times repeats this ${times} times, and each repetition is encoded separately; the maximum is ${MAX_ENCODED_REPEATS}`,
        s.times?.span ?? s.span,
      );
    for (let i = 1; i < times; i++) once();
  }

  number(e: Expr): bigint {
    const v = evaluate(e, this.scope);
    if (v.terms.length > 0)
      throw new EvaluationFault(
        'notConstant',
        'a plain number is needed here; a difference of two labels would do',
        e.span,
      );
    return v.number;
  }

  private equ(s: Statement, value: Expr, far: Expr | undefined): void {
    if (!s.label) return;
    const v = evaluate(value, this.scope);
    const whole: Value = far === undefined ? v : evaluate(far, this.scope);
    if (v.terms.some((t) => t.kind === 'register'))
      throw new EvaluationFault('notConstant', 'equ gives a name to a number; use %define for a register', value.span);
    // As in NASM, a constant that depends on a later symbol counts as 0 in the first pass.
    this.define(s.label.name, 'constant', whole.unknown ? constant(0n) : whole, s.label.span, undefined);
  }

  private org(e: Expr): void {
    const n = this.number(e);
    if (this.origin !== undefined)
      this.error('badDirective', 'a program has one org; sections with start= place parts elsewhere', e.span);
    this.origin ??= BigInt.asUintN(64, n);
  }

  private switchSection(body: Extract<Body, { kind: 'section' }>): void {
    const section = this.output.select(body.name);
    for (const a of body.attributes) {
      const number = a.value !== undefined && typeof a.value !== 'string' ? this.number(a.value) : undefined;
      applyAttribute(section, a, number, this.output.sink);
    }
  }

  private switchBits(bits: Bits, span: Span): void {
    const needed = bits === 64 ? X64 : bits === 32 ? I386 : 0;
    if (this.cpu < needed)
      this.error(
        'cpuLevel',
        `\`bits ${bits}\` needs \`cpu ${cpuName(needed)}\`; \`cpu ${cpuName(this.cpu)}\` is in force`,
        span,
      );
    this.bits = bits;
  }

  private align(s: Statement, body: Extract<Body, { kind: 'align' }>, times: number): 'code' | 'data' {
    const boundary = this.number(body.boundary);
    const valid = boundary > 0n && (boundary & (boundary - 1n)) === 0n;
    if (!valid)
      throw new EvaluationFault('notConstant', `align takes a power of two, not ${boundary}`, body.boundary.span);
    if (!this.output.emitting && this.output.absolute === undefined) this.output.section.raiseAlignment(boundary);
    const at = this.output.absolute ?? BigInt(this.output.section.offset);
    const count = Number((boundary - (at % boundary)) % boundary) * times;
    if (body.fill) {
      const fill = body.fill;
      this.repeatFill(s, fill, count);
      return fill.kind === 'instruction' ? 'code' : 'data';
    }
    if (body.reserve || this.output.absolute !== undefined) {
      this.output.zeros(count, s.span);
      return 'data';
    }
    checkSize(count, this.options.maxImage, s.span);
    this.output.emit(
      this.padding
        ? padding(this.padding.mode, this.bits, count, this.padding.threshold)
        : new Uint8Array(count).fill(NOP),
      s.span,
    );
    return 'code';
  }

  private repeatFill(s: Statement, fill: Body, count: number): void {
    if (count > 0) this.body({ ...s, body: fill }, fill, count);
  }
}

const NOP = 0x90;
