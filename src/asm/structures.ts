import type { Output } from './output';
import type { Span } from '../base/diagnostic';
import { counted } from '../base/plural';
import type { Expr } from './expression';
import type { Body, Statement } from './statement';
import type { SymbolTable } from './symbols';
import type { Value } from './value';
import { constant, EvaluationFault } from './value';

/** What the structures ask of the layout. */
export interface StructureHost {
  readonly output: Output;
  readonly symbols: SymbolTable;
  /** A plain number. @throws EvaluationFault */
  number(e: Expr): bigint;
  define(name: string, kind: 'label' | 'constant', value: Value, span: Span, section: number | undefined): void;
}

/** struc, endstruc, istruc, at and iend, which NASM has as macros over `absolute` and `times` (NASM manual, 5.9). */
export class Structures {
  private struc: { readonly name: string; readonly absolute: bigint | undefined } | undefined;
  private instance: { readonly name: string; readonly start: number; readonly span: Span } | undefined;

  constructor(private readonly host: StructureHost) {}

  beginPass(): void {
    this.struc = undefined;
    this.instance = undefined;
  }

  open(body: Extract<Body, { kind: 'struc' }>): void {
    if (this.struc)
      this.host.output.sink.error(
        'badDirective',
        `struc ${this.struc.name} is still open; close it with endstruc`,
        body.span,
      );
    this.struc = { name: body.name, absolute: this.host.output.absolute };
    this.host.output.setAbsolute(constant(body.offset === undefined ? 0n : this.host.number(body.offset)));
    this.host.define(body.name, 'label', constant(this.host.output.absolute ?? 0n), body.span, undefined);
  }

  /** Defines `name_size` and returns to where the program was. */
  close(s: Statement): void {
    if (!this.struc || this.host.output.absolute === undefined) {
      this.host.output.sink.error('badDirective', 'endstruc without struc', s.span);
      return;
    }
    const start = this.host.symbols.lookup(this.struc.name)?.number ?? 0n;
    this.host.define(
      `${this.struc.name}_size`,
      'constant',
      constant(this.host.output.absolute - start),
      s.span,
      undefined,
    );
    this.host.output.absolute = this.struc.absolute;
    this.struc = undefined;
  }

  openInstance(body: Extract<Body, { kind: 'istruc' }>): void {
    this.instance = { name: body.name, start: this.host.output.section.offset, span: body.span };
  }

  /** Zeros up to a field of the instance. @throws EvaluationFault */
  moveTo(field: Expr, s: Statement): void {
    this.fillTo(this.instanceOffset(field), s);
  }

  private instanceOffset(e: Expr): bigint {
    const base = this.instance === undefined ? undefined : this.host.symbols.lookup(this.instance.name);
    return this.host.number(e) - (base?.number ?? 0n);
  }

  /** Zeros up to an offset from the instance's start. */
  private fillTo(offset: bigint, s: Statement): void {
    if (!this.instance) throw new EvaluationFault('notConstant', 'at and iend belong after istruc', s.span);
    const here = BigInt(this.host.output.section.offset - this.instance.start);
    if (offset < here)
      throw new EvaluationFault(
        'notConstant',
        `this field begins ${counted(here - offset, 'byte')} before the end of what is already there`,
        s.span,
      );
    this.host.output.zeros(Number(offset - here), s.span);
  }

  closeInstance(s: Statement): void {
    const name = this.instance?.name;
    const size = name === undefined ? undefined : this.host.symbols.lookup(`${name}_size`);
    if (name !== undefined && size === undefined)
      throw new EvaluationFault('undefinedSymbol', `there is no struc ${name}`, this.instance?.span ?? s.span);
    if (!size?.unknown) this.fillTo(size?.number ?? 0n, s);
    this.instance = undefined;
  }
}
