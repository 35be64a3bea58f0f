import type { Span } from '../base/diagnostic';
import { hex } from '../base/hex';
import type { EffectiveAddress } from './address';
import type { Bits } from './code-size';
import { encode, SEGMENT_BYTE } from './encode';
import type { Placement } from './encode';
import type { Expr } from './expression';
import type { Candidate } from './match';
import { candidates, preferred } from './match';
import { resolveOperand } from './operand';
import type { Optimization } from './optimization';
import { underOptimization } from './optimization';
import type { Output } from './output';
import { checkRanges } from './ranges';
import { ANY_CPU, cpuName, neededCpu } from './cpu-levels';
import { instructionWarnings, mayWarn } from './instruction-warnings';
import type { Body, OperandSyntax, Prefixes, Statement } from './statement';
import type { Scope, Value } from './value';
import { evaluate } from './value';

type InstructionBody = Extract<Body, { kind: 'instruction' }>;

/** Encodings of statements that name no symbol and no place: they are the same in every pass. */
interface Fixed {
  readonly bits: Bits;
  readonly relative: boolean;
  readonly bytes: Uint8Array;
}

/** The inputs that decided an instruction's size in an earlier sizing pass: the same inputs give the same size. */
interface SizeMemo {
  readonly bits: Bits;
  readonly relative: boolean;
  readonly expressions: readonly Expr[];
  readonly values: readonly Value[];
  /** For jumps: whether the short form reached. */
  readonly reached: boolean | undefined;
  readonly length: number;
}

/** What a size depends on besides what cannot change: where the symbol is that a jump leads to. */
export interface SizeFacts {
  readonly jump: { readonly symbol: string; readonly addend: number; readonly reached: boolean } | undefined;
}

/** What the lines before an instruction decided for it. */
export interface Mode {
  readonly bits: Bits;
  /** `default rel` is in force. */
  readonly relative: boolean;
  /** The newest processor that `cpu` allows. */
  readonly cpu: number;
}

/**
 * Turns instruction statements into bytes: resolves operands, chooses the form that NASM would, and caches what
 * cannot change.
 */
export class InstructionEncoder {
  private readonly fixed = new Map<Statement, Fixed>();
  private readonly sizes = new Map<Statement, SizeMemo>();

  constructor(
    private readonly output: Output,
    private readonly scope: Scope,
    private readonly optimize: Optimization = 'full',
  ) {}

  /**
   * Encodes a statement's instruction at the output's position. Errors go to the sink.
   * @returns whether the bytes are the same wherever they stand
   */
  encode(s: Statement, body: InstructionBody, { bits, relative, cpu }: Mode): boolean {
    const { output, scope } = this;
    const known = this.fixed.get(s);
    if (known && known.bits === bits && known.relative === relative) {
      output.emit(known.bytes, s.span);
      return true;
    }
    if (!output.emitting && this.rememberedSize(s, bits, relative)) return false;
    const operands = underOptimization(
      body.operands.map((o) => resolveOperand(o, scope, bits, body.prefixes, relative)),
      body.mnemonic,
      this.optimize,
    );
    const found = candidates(
      body.mnemonic,
      operands,
      bits,
      body.prefixes,
      (v, length) => this.reachesShort(v, length),
      s.bodySpan,
    );
    if (!Array.isArray(found)) {
      const failure = found as Exclude<typeof found, readonly Candidate[]>;
      output.sink.error(failure.code, failure.message, body.operands[0]?.span ?? s.bodySpan);
      return false;
    }
    const placement = this.placement();
    let best: Uint8Array | undefined;
    let chosen: Candidate | undefined;
    let reason = '';
    const all = found as readonly Candidate[];
    const allowed = cpu === ANY_CPU ? all : all.filter((c) => neededCpu(c.form.code, cpu, bits) === undefined);
    if (allowed.length === 0) {
      const [first] = all;
      const far = first && this.farCondition(first, body, bits, placement);
      if (far) output.emit(far, s.span);
      else if (first) this.refuseByCpu(body.mnemonic, first, cpu, bits, s.bodySpan);
      return false;
    }
    for (const c of allowed) {
      const bytes = encode(c.form, c.operands, withoutIdleBnd(body.prefixes, c), bits, placement);
      if (typeof bytes === 'string') reason ||= bytes;
      else if (best === undefined || chosen === undefined || beats(c, bytes, chosen, best)) {
        best = bytes;
        chosen = c;
      }
    }
    if (best === undefined || chosen === undefined) {
      output.sink.error('outOfRange', explainEncoder(reason), s.bodySpan);
      return false;
    }
    let clean = true;
    if (mayWarn(chosen, operands, body.prefixes, bits)) {
      const at = { bits, cpu, span: s.bodySpan };
      for (const w of instructionWarnings(chosen, operands, body.operands, body.prefixes, at)) {
        output.sink.warning(w.name, w.code, w.message, w.span);
        clean = false;
      }
    }
    for (const [i, o] of chosen.operands.entries()) clean = this.checkImmediate(chosen, i, o) && clean;
    const movable =
      !chosen.form.operands.some((p) => p.kind === 'relative') &&
      !operands.some((o) => o.kind === 'memory' && o.address.ripRelative);
    if (movable && clean && body.operands.every((o) => isPlaceless(o)))
      this.fixed.set(s, { bits: bits, relative: relative, bytes: best });
    else if (!output.emitting && clean) this.rememberSize(s, body, bits, relative, best.length, chosen);
    output.emit(best, s.span);
    return movable;
  }

  /** What the size of a statement's instruction depends on, as it was last encoded; undefined where that is not known. */
  sizeFacts(s: Statement): SizeFacts | undefined {
    if (this.fixed.has(s)) return NO_JUMP;
    const memo = this.sizes.get(s);
    if (!memo) return undefined;
    const places: { readonly symbol: string; readonly addend: number }[] = [];
    for (const [i, e] of memo.expressions.entries()) {
      if (isPlain(e)) continue;
      const place = placeOf(e);
      const value = memo.values[i];
      // a constant changes, or may come to be one
      if (!place || value?.unknown !== false || value.terms.length !== 1 || value.terms[0]?.kind !== 'section')
        return undefined;
      places.push(place);
    }
    const [first] = places;
    if (memo.reached === undefined || first === undefined) return NO_JUMP;
    return { jump: { ...first, reached: memo.reached } };
  }

  private refuseByCpu(mnemonic: string, { form }: Candidate, cpu: number, bits: Bits, span: Span): void {
    const needed = neededCpu(form.code, cpu, bits) ?? '';
    const message = `${mnemonic} with these operands needs \`cpu ${needed}\`; \`cpu ${cpuName(cpu)}\` is in force`;
    this.output.sink.error('cpuLevel', message, span);
  }

  /** Before the 386 a conditional jump reaches 127 bytes: as NASM does, the opposite one over a near jmp. */
  private farCondition(c: Candidate, body: InstructionBody, bits: Bits, placement: Placement): Uint8Array | undefined {
    const [target] = body.operands;
    if (bits !== 16 || target?.kind !== 'expression' || target.distance === 'near') return undefined;
    const near = encode(c.form, c.operands, body.prefixes, bits, placement);
    if (typeof near === 'string' || near.length !== 4 || near[0] !== 0x0f || ((near[1] ?? 0) & 0xf0) !== 0x80)
      return undefined;
    // The jmp would end one byte later than the near form.
    const distance = ((near[2] ?? 0) | ((near[3] ?? 0) << 8)) - 1;
    return Uint8Array.of(0x70 | (((near[1] ?? 0) & 15) ^ 1), 3, 0xe9, distance & 255, (distance >> 8) & 255);
  }

  /** Advances by the size of an earlier pass where everything that decided it is unchanged. */
  private rememberedSize(s: Statement, bits: Bits, relative: boolean): boolean {
    const { output } = this;
    const memo = this.sizes.get(s);
    if (
      !memo ||
      memo.bits !== bits ||
      memo.relative !== relative ||
      output.absolute !== undefined ||
      output.section.nobits
    )
      return false;
    for (let i = 0; i < memo.expressions.length; i++) {
      const e = memo.expressions[i];
      const old = memo.values[i];
      if (!e || !old) return false;
      const v = evaluate(e, this.scope);
      if (!sameForSize(v, old)) return false;
      if (memo.reached !== undefined && this.reachesShort(v, SHORT_JUMP) !== memo.reached) return false;
    }
    output.advance(memo.length, s.span);
    return true;
  }

  private rememberSize(
    s: Statement,
    body: InstructionBody,
    bits: Bits,
    relative: boolean,
    length: number,
    chosen: Candidate,
  ): void {
    const expressions = body.operands.flatMap((o) =>
      o.kind === 'far'
        ? [o.selector, o.offset]
        : o.kind === 'memory' && o.splitIndex
          ? [o.expr, o.splitIndex]
          : [o.expr],
    );
    const values = expressions.map((e) => evaluate(e, this.scope));
    const first = values[0];
    const jumps = chosen.form.hasNear && chosen.form.operands.some((p) => p.kind === 'relative');
    const reached = jumps && first ? this.reachesShort(first, SHORT_JUMP) : undefined;
    this.sizes.set(s, { bits: bits, relative: relative, expressions, values, reached, length });
  }

  /** @returns whether the immediate fits; where it does not, the sink has a warning */
  private checkImmediate(c: Candidate, i: number, o: Candidate['operands'][number]): boolean {
    const p = c.form.operands[i];
    if (o.kind !== 'immediate' || p?.kind !== 'immediate' || o.value.terms.length > 0 || p.width < 8) return true;
    if (p.width === 32 && p.extendsTo === 64) {
      const full = BigInt.asUintN(64, BigInt.asIntN(32, o.value.number));
      if (o.value.number >= 0x8000_0000n && o.value.number <= 0xffff_ffffn) {
        const message = `${hex(o.value.number)} is sign-extended and becomes ${hex(full)}`;
        this.output.sink.warning('number-overflow', 'truncated', message, o.span);
        return false;
      }
    }
    return checkRanges(
      o.value.number,
      p.width === 8 && p.extendsTo > 0 ? p.extendsTo : p.width,
      o.span,
      this.output.sink,
    );
  }

  private placement(): Placement {
    const { output } = this;
    const address = output.resolve(output.position());
    return {
      address,
      sizing: !output.emitting,
      absolute: (v) => output.resolve(v),
      sectionsSum: (a: EffectiveAddress) => a.sections.reduce((sum, t) => sum + output.base(t), 0n),
    };
  }

  private reachesShort(target: Value, length: number): boolean {
    const { output } = this;
    if (target.unknown) return true;
    const t = target.terms[0];
    if (
      target.terms.length !== 1 ||
      t?.kind !== 'section' ||
      t.section !== output.section.id ||
      t.times !== 1n ||
      output.absolute !== undefined
    )
      return false;
    const delta = target.number - BigInt(output.section.offset + length);
    return delta >= -128n && delta <= 127n;
  }

  /** Prefixes on a line of their own. */
  prefixesAlone(s: Statement, p: Prefixes, bits: Bits): void {
    const bytes: number[] = [];
    if (p.wait) bytes.push(0x9b);
    if (p.rep !== undefined) bytes.push(p.rep === 'repne' ? 0xf2 : 0xf3);
    if (p.lock) bytes.push(0xf0);
    const segment = p.segment === undefined ? undefined : SEGMENT_BYTE[p.segment];
    if (segment !== undefined) bytes.push(segment);
    if (p.operandSize === 'other' || (p.operandSize === 16 && bits !== 16) || (p.operandSize === 32 && bits === 16))
      bytes.push(0x66);
    if (p.addressSize === 'other' || (p.addressSize !== undefined && p.addressSize !== bits)) bytes.push(0x67);
    this.output.emit(bytes, s.span);
  }
}

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
    } else if (
      t?.kind !== u?.kind ||
      (t?.kind === 'register' && u?.kind === 'register' && (t.register !== u.register || t.times !== u.times))
    ) {
      return false;
    }
  }
  return placed || a.number === b.number;
}

/** NASM leaves `bnd` out of a short jump where a near one is there too. */
const withoutIdleBnd = (prefixes: Prefixes, { form }: Candidate): Prefixes =>
  prefixes.bnd && form.hasNear && form.operands.some((p) => p.kind === 'relative' && p.width === 8)
    ? { ...prefixes, rep: undefined }
    : prefixes;

/** Among legacy forms the shorter wins; among AVX forms the earlier in the table; `preferred` breaks ties. */
function beats(a: Candidate, aBytes: Uint8Array, b: Candidate, bBytes: Uint8Array): boolean {
  if (a.form.encoding === 'legacy' || a.form.encoding !== b.form.encoding) {
    if (aBytes.length !== bBytes.length) return aBytes.length < bBytes.length;
  }
  return preferred(a, b);
}

function explainEncoder(reason: string): string {
  if (/[Bb]ranch/.test(reason))
    return 'the target is too far for a short jump (127 bytes); drop `short`, or jump over a near jmp';
  if (/[Dd]isp/.test(reason))
    return 'the displacement does not fit; RIP-relative addresses reach 2 GiB, byte displacements 127';
  return `this combination cannot be encoded (${reason || 'no form fits'})`;
}

const NO_JUMP: SizeFacts = { jump: undefined };

/** Whether an expression names no symbol and no place. */
function isPlain(e: Expr): boolean {
  switch (e.kind) {
    case 'number':
    case 'string':
    case 'register':
      return true;
    case 'unary':
      return isPlain(e.operand);
    case 'binary':
      return isPlain(e.left) && isPlain(e.right);
    case 'conditional':
      return isPlain(e.test) && isPlain(e.then) && isPlain(e.otherwise);
    case 'float':
    case 'symbol':
    case 'here':
    case 'sectionStart':
      return false;
  }
}

/** `label`, `label + n` or `label - n`. */
function placeOf(e: Expr): { readonly symbol: string; readonly addend: number } | undefined {
  if (e.kind === 'symbol') return { symbol: e.name, addend: 0 };
  if (e.kind !== 'binary' || (e.op !== '+' && e.op !== '-')) return undefined;
  const { left, right } = e;
  if (left.kind !== 'symbol' || right.kind !== 'number' || right.value > 0xffff_ffffn) return undefined;
  return { symbol: left.name, addend: e.op === '+' ? Number(right.value) : -Number(right.value) };
}

/** Whether an operand's bytes are the same wherever and whenever it is encoded. */
function isPlaceless(o: OperandSyntax): boolean {
  if (o.kind === 'far') return isPlain(o.selector) && isPlain(o.offset);
  return isPlain(o.expr) && !(o.kind === 'memory' && o.splitIndex !== undefined && !isPlain(o.splitIndex));
}
