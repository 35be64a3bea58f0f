import type { Span } from '../base/diagnostic';
import { emitData } from './data';
import type { Expr } from './expression';
import type { Output } from './output';
import { checkRanges } from './ranges';
import type { DataItem, Statement } from './statement';
import type { Scope, Value } from './value';
import { evaluate, EvaluationFault, isSimple } from './value';

/** Writes data and reservations at the output's position; sizing passes only count. */
export class DataWriter {
  constructor(
    private readonly output: Output,
    private readonly scope: Scope,
  ) {}

  /** `resb` and its kin. @throws EvaluationFault */
  reserve(count: Expr, width: number, times: number): 'data' {
    const v = evaluate(count, this.scope);
    if (v.unknown) return 'data';
    if (!isSimple(v))
      throw new EvaluationFault('notConstant', 'the number of units to reserve must be a plain number', count.span);
    if (v.number < 0n)
      throw new EvaluationFault('notConstant', 'the number of units to reserve is negative', count.span);
    const total = v.number * BigInt(width) * BigInt(times);
    if (total > 0x1_0000_0000n)
      throw new EvaluationFault(
        'tooLarge',
        `this reserves ${total} bytes; declare guest memory with @guest memory= instead`,
        count.span,
      );
    if (total > 0n) this.warnOfZeroing(count.span);
    this.output.zeros(Number(total), count.span);
    return 'data';
  }

  /** Space reserved among bytes becomes zeros. */
  private warnOfZeroing(span: Span): void {
    const { output } = this;
    if (!output.emitting || output.absolute !== undefined || output.section.nobits) return;
    const message = `reserved space in ${output.section.name} is stored in the file as zeros; a nobits section such as .bss takes no room there`;
    output.sink.warning('zeroing', 'ignored', message, span);
  }

  /** `$` stands for the statement's start in every item, so repetitions are all the same: true. */
  items(s: Statement, items: readonly DataItem[], width: number): boolean {
    emitData(items, width, this.scope, {
      bytes: (b) => this.output.emit(b, s.span),
      value: (v, w, span) => this.emitValue(v, w, span),
      uninitialized: (w) => {
        this.warnOfZeroing(s.bodySpan);
        this.output.zeros(w, s.span);
      },
      inexact: (name, message, span) => this.output.sink.warning(name, 'truncated', message, span),
    });
    if (items.length === 0)
      this.output.sink.warning(
        'db-empty',
        'ignored',
        'the data directive has no values, so it emits no bytes',
        s.bodySpan,
      );
    return true;
  }

  private emitValue(v: Value, width: number, span: Span): void {
    if (v.terms.some((t) => t.kind === 'register'))
      throw new EvaluationFault('notConstant', 'a register has no value at assembly time', span);
    if (!this.output.emitting) {
      this.output.zeros(width, span);
      return;
    }
    const n = this.output.resolve(v);
    if (v.terms.length === 0) checkRanges(n, width * 8, span, this.output.sink);
    const out = new Uint8Array(width);
    let rest = n;
    for (let i = 0; i < width; i++) {
      out[i] = Number(BigInt.asUintN(8, rest));
      rest >>= 8n;
    }
    this.output.emit(out, span);
  }
}
