import type { Span } from '../base/diagnostic';
import type { EffectiveAddress } from './address';
import { emitData } from './data';
import type { AsmCode } from './diagnostics';
import { DiagnosticSink } from './diagnostics';
import { encode } from './encode';
import type { Placement } from './encode';
import type { Expr } from './expression';
import { ByteBuffer, checkSize } from './image';
import type { Candidate } from './match';
import { candidates, preferred } from './match';
import { resolveOperand } from './operand';
import { checkRanges } from './ranges';
import type { Placed } from './sections';
import { applyAttribute, placeSections, SectionTable } from './sections';
import type { Section } from './sections';
import type { Bits, Body, Statement } from './statement';
import { SymbolTable } from './symbols';
import type { Scope, Term, Value } from './value';
import { constant, evaluate, EvaluationFault, isSimple } from './value';

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
  readonly sections: SectionTable;
  readonly placed: Placed;
  readonly buffers: readonly ByteBuffer[];
  readonly lines: readonly LayoutLine[];
  readonly symbols: SymbolTable;
  readonly hasOrg: boolean;
  readonly firstInstructionBits: Bits | undefined;
  /** `$` where the preprocessor asked for it. */
  readonly markers: ReadonlyMap<number, Value>;
}

export interface LayoutOptions {
  readonly origin: bigint;
  readonly maxImage: number;
  readonly fileSpan: Span;
}

const MAX_PASSES = 50;
/** A repetition whose bytes depend on its place is encoded one by one; more than this takes too long to wait for. */
const MAX_ENCODED_REPEATS = 1_000_000;

/** Encodings of statements that name no symbol and no place: they are the same in every pass. */
interface Fixed {
  readonly bits: Bits;
  readonly relative: boolean;
  readonly bytes: Uint8Array;
}

/** What an instruction's size was decided from in an earlier sizing pass: the same inputs give the same size. */
interface SizeMemo {
  readonly bits: Bits;
  readonly relative: boolean;
  readonly expressions: readonly Expr[];
  readonly values: readonly Value[];
  /** For jumps: whether the short form reached. */
  readonly reached: boolean | undefined;
  readonly length: number;
}

export class Layout {
  private readonly sections = new SectionTable();
  private readonly symbols = new SymbolTable();
  private readonly fixed = new Map<Statement, Fixed>();
  private readonly sizes = new Map<Statement, SizeMemo>();
  private sink = new DiagnosticSink();
  private section: Section = this.sections.get('.text');
  private absolute: bigint | undefined;
  private bits: Bits = 16;
  private relative = false;
  private origin: bigint | undefined;
  private firstBits: Bits | undefined;
  private lines: LayoutLine[] = [];
  private buffers: ByteBuffer[] | undefined;
  private readonly markers = new Map<number, Value>();
  private struc: { readonly name: string; readonly absolute: bigint | undefined } | undefined;
  private instance: { readonly name: string; readonly start: number; readonly span: Span } | undefined;
  private pendingLabels: { followedBy: 'code' | 'data' | undefined }[] = [];
  /** `$`: where the statement begins, the same for every item and every repetition by `times`. */
  private here: Value = constant(0n);
  private readonly scope: Scope = {
    symbol: (name) => this.symbols.lookup(name) ?? this.sectionSymbol(name),
    here: () => this.here,
    sectionStart: () => (this.absolute === undefined ? this.sectionValue(this.section, 0) : constant(0n)),
  };

  constructor(
    private readonly statements: readonly Statement[],
    private readonly options: LayoutOptions,
  ) {}

  /** Runs to the end; what is wrong is in `sink`. */
  run(sink: DiagnosticSink): LayoutResult {
    let passes = 0;
    do {
      this.pass();
      passes++;
    } while (this.symbols.moved && passes < MAX_PASSES);
    const stable = !this.symbols.moved;
    this.sink = sink;
    if (!stable) {
      sink.error('unstable', `sizes still change after ${MAX_PASSES} passes; write near or a size at the jumps or \`times\` that depend on each other`, this.options.fileSpan);
    }
    const placed = placeSections(this.sections, this.origin ?? this.options.origin, sink, this.options.fileSpan);
    this.buffers = this.sections.list.map(() => new ByteBuffer());
    this.pass();
    return {
      sections: this.sections, placed, buffers: this.buffers, lines: this.lines, symbols: this.symbols,
      hasOrg: this.origin !== undefined, firstInstructionBits: this.firstBits, markers: this.markers,
    };
  }

  private pass(): void {
    this.symbols.beginPass();
    if (this.buffers === undefined) {
      this.sections.reset();
      this.sink = new DiagnosticSink();
    } else {
      for (const s of this.sections.list) s.offset = 0;
    }
    this.section = this.sections.get('.text');
    this.absolute = undefined;
    this.bits = 16;
    this.relative = false;
    this.origin = undefined;
    this.firstBits = undefined;
    this.lines = [];
    this.pendingLabels = [];
    this.struc = undefined;
    this.instance = undefined;
    for (const s of this.statements) this.statement(s);
  }

  private get emitting(): boolean {
    return this.buffers !== undefined;
  }

  private position(): Value {
    if (this.absolute !== undefined) return constant(this.absolute);
    return this.sectionValue(this.section, this.section.offset);
  }

  private sectionValue(s: Section, offset: number): Value {
    return { number: BigInt(offset), terms: [{ kind: 'section', section: s.id, times: 1n }], unknown: false };
  }

  /** `section.<name>.start` and `.vstart` (NASM manual, 9.1.3). */
  private sectionSymbol(name: string): Value | undefined {
    const m = /^section\.(.+)\.(start|vstart)$/.exec(name);
    const s = m?.[1] === undefined ? undefined : this.sections.find(m[1]);
    if (!s) return undefined;
    if (m?.[2] === 'vstart') return this.sectionValue(s, 0);
    // The load address differs from the section's own base by what placement settled.
    return { ...this.sectionValue(s, 0), number: s.placedStart - s.placedVstart };
  }

  private absoluteValue(v: Value): bigint {
    let n = v.number;
    for (const t of v.terms) if (t.kind === 'section') n += this.baseOf(t);
    return n;
  }

  private baseOf(t: Extract<Term, { kind: 'section' }>): bigint {
    return (this.sections.list[t.section]?.placedVstart ?? 0n) * t.times;
  }

  private fault(e: unknown): void {
    if (!(e instanceof EvaluationFault)) throw e;
    this.sink.error(e.code, e.message, e.span);
  }

  private error(code: AsmCode, message: string, span: Span): void {
    this.sink.error(code, message, span);
  }

  private statement(s: Statement): void {
    try {
      this.here = this.position();
      if (s.label && s.body.kind !== 'equ') this.define(s.label.name, 'label', this.position(), s.label.span, this.absolute === undefined ? this.section.id : undefined);
      const times = s.times === undefined ? 1 : this.repeatCount(s.times);
      const start = this.section.offset;
      const kind = this.body(s, s.body, times);
      if (kind !== undefined && this.absolute === undefined) {
        const length = this.section.offset - start;
        if (length > 0) {
          this.lines.push({ statement: s, section: this.section.id, offset: start, length, bits: this.bits, kind });
          for (const l of this.pendingLabels) l.followedBy = kind;
          this.pendingLabels = [];
        }
      }
    } catch (e) {
      this.fault(e);
    }
  }

  private define(name: string, kind: 'label' | 'constant', value: Value, span: Span, section: number | undefined): void {
    const entry = this.symbols.define(name, kind, value, span, section);
    if ('duplicate' in entry) {
      const at = entry.duplicate.span.start;
      this.error('duplicateSymbol', `\`${name}\` is already defined at line ${at.line}; rename one, or begin a local label with a dot`, span);
    } else if (kind === 'label') {
      this.pendingLabels.push(entry);
    }
  }

  private repeatCount(e: Expr): number {
    const v = evaluate(e, this.scope);
    if (v.unknown) return 1;
    if (v.terms.length > 0) throw new EvaluationFault('notConstant', 'times takes a plain number; a label alone has no fixed value here, a difference such as 510-($-$$) has', e.span);
    if (v.number < 0n) throw new EvaluationFault('notConstant', `times ${v.number} is negative: what comes before is ${-v.number} bytes too long`, e.span);
    if (v.number > BigInt(this.options.maxImage)) throw new EvaluationFault('tooLarge', `times ${v.number} would make the image too large`, e.span);
    return Number(v.number);
  }

  /** @returns what the statement put down, if anything */
  private body(s: Statement, body: Body, times: number): 'code' | 'data' | undefined {
    switch (body.kind) {
      case 'none':
        return undefined;
      case 'marker':
        this.markers.set(body.id, this.here);
        return undefined;
      case 'equ':
        this.equ(s, body.value, body.far);
        return undefined;
      case 'bits':
        this.bits = body.bits;
        return undefined;
      case 'default':
        this.relative = body.relative;
        return undefined;
      case 'org':
        this.org(body.origin);
        return undefined;
      case 'absolute': {
        const v = evaluate(body.at, this.scope);
        this.absolute = this.absoluteValue(v);
        return undefined;
      }
      case 'section':
        this.switchSection(body);
        return undefined;
      case 'struc':
        this.openStruc(body);
        return undefined;
      case 'endstruc':
        this.closeStruc(s);
        return undefined;
      case 'istruc':
        this.instance = { name: body.name, start: this.section.offset, span: body.span };
        return undefined;
      case 'at':
        this.fillTo(this.instanceOffset(body.offset), s);
        return body.body.kind === 'none' ? undefined : this.body({ ...s, body: body.body }, body.body, 1);
      case 'iend':
        this.closeInstance(s);
        return 'data';
      case 'reserve':
        return this.reserve(body.count, body.width, times);
      case 'align':
        return this.align(s, body, times);
      case 'incbin': {
        const skip = body.skip ? Number(this.number(body.skip)) : 0;
        const limit = body.limit ? Number(this.number(body.limit)) : undefined;
        const bytes = body.bytes.subarray(Math.max(0, skip), limit === undefined ? undefined : Math.max(0, skip) + Math.max(0, limit));
        for (let i = 0; i < times; i++) this.emit(bytes, s.span);
        return 'data';
      }
      case 'data':
        this.repeat(s, times, () => this.data(s, body.items, body.width));
        return 'data';
      case 'instruction':
        if (body.mnemonic === '') {
          this.emitPrefixesAlone(s, body, times);
          return 'code';
        }
        this.firstBits ??= this.bits;
        this.repeat(s, times, () => this.instruction(s, body));
        return 'code';
    }
  }

  /** Repeats what `once` emits; where the bytes do not depend on the place they are copied. */
  private repeat(s: Statement, times: number, once: () => boolean): void {
    if (times === 0) return;
    const before = this.section.offset;
    const same = once();
    const size = this.section.offset - before;
    if (times === 1) return;
    if (same && this.absolute === undefined) {
      checkSize(this.section.offset + size * (times - 1), this.options.maxImage, s.span);
      this.buffers?.[this.section.id]?.repeatLast(size, times - 1);
      this.section.offset += size * (times - 1);
      return;
    }
    if (times > MAX_ENCODED_REPEATS) throw new EvaluationFault('tooLarge', `times repeats this ${times} times, and each repetition is encoded by itself; ${MAX_ENCODED_REPEATS} is the most`, s.times?.span ?? s.span);
    for (let i = 1; i < times; i++) once();
  }

  private number(e: Expr): bigint {
    const v = evaluate(e, this.scope);
    if (v.terms.length > 0) throw new EvaluationFault('notConstant', 'a plain number is needed here; a difference of two labels would do', e.span);
    return v.number;
  }

  private emit(bytes: ArrayLike<number>, span: Span): void {
    if (this.absolute !== undefined) {
      this.error('sections', 'an absolute section holds reservations only; use resb and its kin here', span);
      this.absolute += BigInt(bytes.length);
      return;
    }
    checkSize(this.section.offset + bytes.length, this.options.maxImage, span);
    if (this.section.nobits && bytes.length > 0) {
      this.sink.warning('sections', `${this.section.name} is nobits: its contents are not in the file; use resb here, or another section`, span);
      this.zeros(bytes.length, span);
      return;
    }
    this.section.offset += bytes.length;
    this.buffers?.[this.section.id]?.append(bytes);
  }

  private zeros(count: number, span: Span): void {
    if (this.absolute !== undefined) {
      this.absolute += BigInt(count);
      return;
    }
    const limit = this.section.nobits ? 0x1_0000_0000 : this.options.maxImage;
    checkSize(this.section.offset + count, limit, span);
    this.section.offset += count;
    if (!this.section.nobits) this.buffers?.[this.section.id]?.zeros(count);
  }

  private equ(s: Statement, value: Expr, far: Expr | undefined): void {
    if (!s.label) return;
    const v = evaluate(value, this.scope);
    const whole: Value = far === undefined ? v : evaluate(far, this.scope);
    if (v.terms.some((t) => t.kind === 'register')) throw new EvaluationFault('notConstant', 'equ gives a name to a number; use %define for a register', value.span);
    // Like NASM: a constant that depends on something further on counts as 0 in the first pass.
    this.define(s.label.name, 'constant', whole.unknown ? constant(0n) : whole, s.label.span, undefined);
  }

  private org(e: Expr): void {
    const n = this.number(e);
    if (this.origin !== undefined) this.error('badDirective', 'a program has one org; sections with start= place parts elsewhere', e.span);
    if (n < 0n) this.error('badDirective', 'the origin cannot be negative', e.span);
    this.origin ??= BigInt.asUintN(64, n);
  }

  private switchSection(body: Extract<Body, { kind: 'section' }>): void {
    this.absolute = undefined;
    this.section = this.sections.get(body.name);
    while (this.buffers && this.buffers.length < this.sections.list.length) this.buffers.push(new ByteBuffer());
    if (this.emitting) return;
    for (const a of body.attributes) {
      const number = a.value !== undefined && typeof a.value !== 'string' ? this.number(a.value) : undefined;
      applyAttribute(this.section, a, number, this.sink);
    }
  }

  private reserve(count: Expr, width: number, times: number): 'data' {
    const v = evaluate(count, this.scope);
    if (v.unknown) return 'data';
    if (!isSimple(v)) throw new EvaluationFault('notConstant', 'the number of units to reserve must be a plain number', count.span);
    if (v.number < 0n) throw new EvaluationFault('notConstant', 'the number of units to reserve is negative', count.span);
    const total = v.number * BigInt(width) * BigInt(times);
    if (total > 0x1_0000_0000n) throw new EvaluationFault('tooLarge', `this reserves ${total} bytes; declare guest memory with @guest memory= instead`, count.span);
    this.zeros(Number(total), count.span);
    return 'data';
  }

  private align(s: Statement, body: Extract<Body, { kind: 'align' }>, times: number): 'code' | 'data' {
    const boundary = this.number(body.boundary);
    const valid = boundary > 0n && (boundary & (boundary - 1n)) === 0n;
    if (!valid) throw new EvaluationFault('notConstant', `align takes a power of two, not ${boundary}`, body.boundary.span);
    if (!this.emitting && this.absolute === undefined) this.section.raiseAlignment(boundary);
    const at = this.absolute ?? BigInt(this.section.offset);
    const count = Number((boundary - (at % boundary)) % boundary) * times;
    if (body.fill) {
      const fill = body.fill;
      this.repeatFill(s, fill, count);
      return fill.kind === 'instruction' ? 'code' : 'data';
    }
    if (body.reserve || this.absolute !== undefined) {
      this.zeros(count, s.span);
      return 'data';
    }
    checkSize(this.section.offset + count, this.options.maxImage, s.span);
    this.emit(new Uint8Array(count).fill(NOP), s.span);
    return 'code';
  }

  private openStruc(body: Extract<Body, { kind: 'struc' }>): void {
    if (this.struc) this.error('badDirective', `struc ${this.struc.name} is still open; close it with endstruc`, body.span);
    this.struc = { name: body.name, absolute: this.absolute };
    this.absolute = body.offset === undefined ? 0n : this.number(body.offset);
    this.define(body.name, 'label', constant(this.absolute), body.span, undefined);
  }

  /** Defines `name_size` and returns to where the program was. */
  private closeStruc(s: Statement): void {
    if (!this.struc || this.absolute === undefined) {
      this.error('badDirective', 'endstruc without struc', s.span);
      return;
    }
    const start = this.symbols.lookup(this.struc.name)?.number ?? 0n;
    this.define(`${this.struc.name}_size`, 'constant', constant(this.absolute - start), s.span, undefined);
    this.absolute = this.struc.absolute;
    this.struc = undefined;
  }

  private instanceOffset(e: Expr): bigint {
    const base = this.instance === undefined ? undefined : this.symbols.lookup(this.instance.name);
    return this.number(e) - (base?.number ?? 0n);
  }

  /** Zeros up to an offset from the instance's start. */
  private fillTo(offset: bigint, s: Statement): void {
    if (!this.instance) throw new EvaluationFault('notConstant', 'at and iend belong behind istruc', s.span);
    const here = BigInt(this.section.offset - this.instance.start);
    if (offset < here) throw new EvaluationFault('notConstant', `this field begins ${here - offset} bytes before the end of what is already there`, s.span);
    checkSize(this.section.offset + Number(offset - here), this.options.maxImage, s.span);
    this.emit(new Uint8Array(Number(offset - here)), s.span);
  }

  private closeInstance(s: Statement): void {
    const name = this.instance?.name;
    const size = name === undefined ? undefined : this.symbols.lookup(`${name}_size`);
    if (name !== undefined && size === undefined) throw new EvaluationFault('undefinedSymbol', `there is no struc ${name}`, this.instance?.span ?? s.span);
    if (!size?.unknown) this.fillTo(size?.number ?? 0n, s);
    this.instance = undefined;
  }

  private repeatFill(s: Statement, fill: Body, count: number): void {
    if (count > 0) this.body({ ...s, body: fill }, fill, count);
  }

  /** @returns whether the bytes are the same wherever they stand */
  private data(s: Statement, items: Extract<Body, { kind: 'data' }>['items'], width: number): boolean {
    let same = true;
    emitData(items, width, this.scope, {
      bytes: (b) => this.emit(b, s.span),
      value: (v, w, span) => {
        if (!isSimple(v)) same = false;
        this.emitValue(v, w, span);
      },
      zeros: (n, span) => this.zeros(n, span),
      warn: (message, span) => this.sink.warning('truncated', message, span),
    });
    return same && items.every((i) => i.kind === 'string' || i.kind === 'float' || i.kind === 'uninitialized' || (i.kind === 'value' && i.expr.kind === 'number'));
  }

  private emitValue(v: Value, width: number, span: Span): void {
    if (v.terms.some((t) => t.kind === 'register')) throw new EvaluationFault('notConstant', 'a register has no value when the program is assembled', span);
    const n = this.absoluteValue(v);
    if (this.emitting && v.terms.length === 0) checkRanges(n, width * 8, span, this.sink);
    const out = new Uint8Array(width);
    let rest = n;
    for (let i = 0; i < width; i++) {
      out[i] = Number(BigInt.asUintN(8, rest));
      rest >>= 8n;
    }
    this.emit(out, span);
  }

  private emitPrefixesAlone(s: Statement, body: Extract<Body, { kind: 'instruction' }>, times: number): void {
    const p = body.prefixes;
    const bytes: number[] = [];
    if (p.wait) bytes.push(0x9b);
    if (p.rep !== undefined) bytes.push(p.rep === 'repne' ? 0xf2 : 0xf3);
    if (p.lock) bytes.push(0xf0);
    const segment = p.segment === undefined ? undefined : { es: 0x26, cs: 0x2e, ss: 0x36, ds: 0x3e, fs: 0x64, gs: 0x65 }[p.segment];
    if (segment !== undefined) bytes.push(segment);
    if (p.operandSize === 'other' || (p.operandSize === 16 && this.bits !== 16) || (p.operandSize === 32 && this.bits === 16)) bytes.push(0x66);
    if (p.addressSize === 'other' || (p.addressSize !== undefined && p.addressSize !== this.bits)) bytes.push(0x67);
    for (let i = 0; i < times; i++) this.emit(bytes, s.span);
  }

  /** @returns whether the bytes are the same wherever they stand */
  private instruction(s: Statement, body: Extract<Body, { kind: 'instruction' }>): boolean {
    const known = this.fixed.get(s);
    if (known && known.bits === this.bits && known.relative === this.relative) {
      this.emit(known.bytes, s.span);
      return true;
    }
    if (!this.emitting && this.rememberedSize(s)) return false;
    const operands = body.operands.map((o) => resolveOperand(o, this.scope, this.bits, body.prefixes, this.relative));
    const found = candidates(body.mnemonic, operands, this.bits, body.prefixes, (v, length) => this.reachesShort(v, length), s.bodySpan);
    if (!Array.isArray(found)) {
      const failure = found as Exclude<typeof found, readonly Candidate[]>;
      this.error(failure.code, failure.message, body.operands[0]?.span ?? s.bodySpan);
      return false;
    }
    const placement = this.placement();
    let best: Uint8Array | undefined;
    let chosen: Candidate | undefined;
    let reason = '';
    for (const c of found as readonly Candidate[]) {
      const bytes = encode(c.form, c.operands, body.prefixes, this.bits, placement);
      if (typeof bytes === 'string') reason ||= bytes;
      else if (best === undefined || chosen === undefined || beats(c, bytes, chosen, best)) {
        best = bytes;
        chosen = c;
      }
    }
    if (best === undefined || chosen === undefined) {
      this.error('outOfRange', explainEncoder(reason), s.bodySpan);
      return false;
    }
    let clean = true;
    for (const [i, o] of chosen.operands.entries()) clean = this.checkImmediate(chosen, i, o) && clean;
    const same = body.operands.every((o) => isPlaceless(o)) && !chosen.form.operands.some((p) => p.kind === 'relative');
    if (same && clean) this.fixed.set(s, { bits: this.bits, relative: this.relative, bytes: best });
    else if (!this.emitting && clean) this.rememberSize(s, body, best.length, chosen);
    this.emit(best, s.span);
    return same;
  }

  /** Advances by the size of an earlier pass where everything that decided it is unchanged. */
  private rememberedSize(s: Statement): boolean {
    const memo = this.sizes.get(s);
    if (!memo || memo.bits !== this.bits || memo.relative !== this.relative || this.absolute !== undefined || this.section.nobits) return false;
    for (let i = 0; i < memo.expressions.length; i++) {
      const e = memo.expressions[i];
      const old = memo.values[i];
      if (!e || !old) return false;
      const v = evaluate(e, this.scope);
      if (!sameForSize(v, old)) return false;
      if (memo.reached !== undefined && this.reachesShort(v, SHORT_JUMP) !== memo.reached) return false;
    }
    checkSize(this.section.offset + memo.length, this.options.maxImage, s.span);
    this.section.offset += memo.length;
    return true;
  }

  private rememberSize(s: Statement, body: Extract<Body, { kind: 'instruction' }>, length: number, chosen: Candidate): void {
    const expressions = body.operands.flatMap((o) => (o.kind === 'far' ? [o.selector, o.offset] : o.kind === 'memory' && o.splitIndex ? [o.expr, o.splitIndex] : [o.expr]));
    const values = expressions.map((e) => evaluate(e, this.scope));
    const first = values[0];
    const jumps = chosen.form.hasNear && chosen.form.operands.some((p) => p.kind === 'relative');
    const reached = jumps && first ? this.reachesShort(first, SHORT_JUMP) : undefined;
    this.sizes.set(s, { bits: this.bits, relative: this.relative, expressions, values, reached, length });
  }

  /** @returns whether the immediate fits; where it does not, the sink has a warning */
  private checkImmediate(c: Candidate, i: number, o: Candidate['operands'][number]): boolean {
    const p = c.form.operands[i];
    if (o.kind !== 'immediate' || p?.kind !== 'immediate' || o.value.terms.length > 0 || p.width < 8) return true;
    return checkRanges(o.value.number, p.width === 8 && p.extendsTo > 0 ? p.extendsTo : p.width, o.span, this.sink);
  }

  private placement(): Placement {
    const address = this.absoluteValue(this.position());
    return {
      address,
      sizing: !this.emitting,
      absolute: (v) => this.absoluteValue(v),
      sectionsSum: (a: EffectiveAddress) => a.sections.reduce((sum, t) => sum + this.baseOf(t), 0n),
    };
  }

  private reachesShort(target: Value, length: number): boolean {
    if (target.unknown) return true;
    const t = target.terms[0];
    if (target.terms.length !== 1 || t?.kind !== 'section' || t.section !== this.section.id || t.times !== 1n || this.absolute !== undefined) return false;
    const delta = target.number - BigInt(this.section.offset + length);
    return delta >= -128n && delta <= 127n;
  }
}

const NOP = 0x90;
/** Bytes of a jump with an 8-bit displacement. */
const SHORT_JUMP = 2;

/** Whether two values lead to the same size: where a section's address is part, the number is encoded in full anyway. */
function sameForSize(a: Value, b: Value): boolean {
  if (a.unknown !== b.unknown || a.terms.length !== b.terms.length) return false;
  let placed = false;
  for (let i = 0; i < a.terms.length; i++) {
    const t = a.terms[i];
    const u = b.terms[i];
    if (t?.kind === 'section') {
      if (u?.kind !== 'section' || u.section !== t.section || u.times !== t.times) return false;
      placed = true;
    } else if (t?.kind !== u?.kind || (t?.kind === 'register' && u?.kind === 'register' && (t.register !== u.register || t.times !== u.times))) {
      return false;
    }
  }
  return placed || a.number === b.number;
}

/** Among legacy forms the shorter wins; among AVX forms the earlier in the table; `preferred` breaks ties. */
function beats(a: Candidate, aBytes: Uint8Array, b: Candidate, bBytes: Uint8Array): boolean {
  if (a.form.encoding === 'legacy' || a.form.encoding !== b.form.encoding) {
    if (aBytes.length !== bBytes.length) return aBytes.length < bBytes.length;
  }
  return preferred(a, b);
}

function explainEncoder(reason: string): string {
  if (/[Bb]ranch/.test(reason)) return 'the target is too far for a short jump (127 bytes); drop `short`, or jump over a near jmp';
  if (/[Dd]isp/.test(reason)) return 'the displacement does not fit; RIP-relative addresses reach 2 GiB, byte displacements 127';
  return `this combination cannot be encoded (${reason || 'no form fits'})`;
}

/** Whether an operand's bytes are the same wherever and whenever it is encoded. */
function isPlaceless(o: Extract<Body, { kind: 'instruction' }>['operands'][number]): boolean {
  const plain = (e: Expr): boolean => {
    switch (e.kind) {
      case 'number':
      case 'string':
      case 'register':
        return true;
      case 'unary':
        return plain(e.operand);
      case 'binary':
        return plain(e.left) && plain(e.right);
      case 'conditional':
        return plain(e.test) && plain(e.then) && plain(e.otherwise);
      case 'float':
      case 'symbol':
      case 'here':
      case 'sectionStart':
        return false;
    }
  };
  if (o.kind === 'far') return plain(o.selector) && plain(o.offset);
  return plain(o.expr) && !(o.kind === 'memory' && o.splitIndex !== undefined && !plain(o.splitIndex));
}
