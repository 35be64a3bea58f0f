import type { Span } from '../base/diagnostic';
import type { DiagnosticSink } from './diagnostics';
import { ByteBuffer, checkSize } from './image';
import type { Section } from './sections';
import { SectionTable } from './sections';
import type { Term, Value } from './value';
import { constant } from './value';

/** A nobits section may be this long; it takes no space in the image. */
const MAX_RESERVED = 0x1_0000_0000;

/**
 * Where the program is while a pass runs: the section or absolute address, and in the last pass the bytes. Sizing passes only count.
 */
export class Output {
  readonly sections = new SectionTable();
  section: Section = this.sections.get('.text');
  /** The address in an absolute section (NASM manual, 7.4), else undefined. */
  absolute: bigint | undefined;
  /** What the absolute address is additionally relative to: the section of a label in `absolute label+7`. */
  private absoluteTerms: readonly Term[] = [];
  /** Filled in the last pass only, by section number. */
  private buffers: ByteBuffer[] | undefined;

  constructor(
    private readonly maxImage: number,
    public sink: DiagnosticSink,
  ) {}

  beginPass(): void {
    if (this.buffers === undefined) this.sections.reset();
    else for (const s of this.sections.list) s.offset = 0;
    this.section = this.sections.get('.text');
    this.absolute = undefined;
  }

  /** From now on bytes are kept; section addresses are settled. */
  startEmitting(): void {
    this.buffers = this.sections.list.map(() => new ByteBuffer());
  }

  get emitting(): boolean {
    return this.buffers !== undefined;
  }

  bytesOf(section: Section): Uint8Array {
    return this.buffers?.[section.id]?.view() ?? new Uint8Array(0);
  }

  select(name: string): Section {
    this.absolute = undefined;
    this.section = this.sections.get(name);
    while (this.buffers && this.buffers.length < this.sections.list.length) this.buffers.push(new ByteBuffer());
    return this.section;
  }

  setAbsolute(at: Value): void {
    this.absolute = at.number;
    this.absoluteTerms = at.terms.filter((t) => t.kind === 'section');
  }

  position(): Value {
    if (this.absolute !== undefined) return { ...constant(this.absolute), terms: this.absoluteTerms };
    return this.inSection(this.section, this.section.offset);
  }

  start(): Value {
    return this.absolute === undefined ? this.inSection(this.section, 0) : constant(0n);
  }

  /** `section.<name>.start` and `.vstart` (NASM manual, 9.1.3). */
  sectionSymbol(name: string): Value | undefined {
    const m = /^section\.(.+)\.(start|vstart)$/.exec(name);
    const s = m?.[1] === undefined ? undefined : this.sections.find(m[1]);
    if (!s) return undefined;
    if (m?.[2] === 'vstart') return this.inSection(s, 0);
    // The load address differs from the section's own base by what placement settled.
    return { ...this.inSection(s, 0), number: s.placedStart - s.placedVstart };
  }

  /** The address of a value, once sections are placed. */
  resolve(v: Value): bigint {
    let n = v.number;
    for (const t of v.terms) if (t.kind === 'section') n += this.base(t);
    return n;
  }

  base(t: Extract<Term, { kind: 'section' }>): bigint {
    return (this.sections.list[t.section]?.placedVstart ?? 0n) * t.times;
  }

  /** @throws EvaluationFault where the image would grow too large */
  emit(bytes: ArrayLike<number>, span: Span): void {
    if (this.absolute !== undefined) {
      this.sink.error(
        'sections',
        'an absolute section holds reservations only; use resb, resw, resd or resq here',
        span,
      );
      this.absolute += BigInt(bytes.length);
      return;
    }
    checkSize(this.section.offset + bytes.length, this.maxImage, span);
    if (this.section.nobits && bytes.length > 0) {
      this.sink.warning(
        'other',
        'sections',
        `${this.section.name} is nobits: its contents are not in the file; use resb here, or another section`,
        span,
      );
      this.zeros(bytes.length, span);
      return;
    }
    this.section.offset += bytes.length;
    this.buffers?.[this.section.id]?.append(bytes);
  }

  /** Counts bytes whose contents a sizing pass does not need. @throws EvaluationFault */
  advance(count: number, span: Span): void {
    checkSize(this.section.offset + count, this.maxImage, span);
    this.section.offset += count;
  }

  /** Whether so many bytes more are within the limit. */
  canAdvance(count: number): boolean {
    return this.section.offset + count <= this.maxImage;
  }

  /** Reserved space. @throws EvaluationFault */
  zeros(count: number, span: Span): void {
    if (this.absolute !== undefined) {
      this.absolute += BigInt(count);
      return;
    }
    checkSize(this.section.offset + count, this.section.nobits ? MAX_RESERVED : this.maxImage, span);
    this.section.offset += count;
    if (!this.section.nobits) this.buffers?.[this.section.id]?.zeros(count);
  }

  /** Repeats the last `size` bytes. @throws EvaluationFault */
  repeat(size: number, times: number, span: Span): void {
    checkSize(this.section.offset + size * times, this.section.nobits ? MAX_RESERVED : this.maxImage, span);
    if (!this.section.nobits) this.buffers?.[this.section.id]?.repeatLast(size, times);
    this.section.offset += size * times;
  }

  /** A place in a section. */
  inSection(s: Section, offset: number): Value {
    return { number: BigInt(offset), terms: [{ kind: 'section', section: s.id, times: 1n }], unknown: false };
  }
}
