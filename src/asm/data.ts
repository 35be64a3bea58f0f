import type { Span } from '../base/diagnostic';
import { floatBytes, floatClass } from './float';
import type { DataItem } from './statement';
import type { Scope, Value } from './value';
import { evaluate, EvaluationFault } from './value';

/** Receives the bytes of a data statement. */
export interface DataSink {
  bytes(bytes: ArrayLike<number>): void;
  /** `value` in `width` bytes, little-endian. */
  value(value: Value, width: number, span: Span): void;
  /** `?` */
  uninitialized(width: number): void;
  /** A floating-point number whose encoding loses part of its value. */
  inexact(
    name: 'float-overflow' | 'float-underflow' | 'float-denorm' | 'float-toolong',
    message: string,
    span: Span,
  ): void;
}

/** Writes out db, dw, …: strings padded to the unit, numbers truncated with a warning. @throws EvaluationFault */
export function emitData(
  items: readonly DataItem[],
  width: number,
  scope: Scope,
  sink: DataSink,
  budget = { left: MAX_ITEMS },
): void {
  for (const item of items) {
    switch (item.kind) {
      case 'value':
        sink.value(evaluate(item.expr, scope), width, item.expr.span);
        break;
      case 'string': {
        const padding = (width - (item.bytes.length % width)) % width;
        sink.bytes(item.bytes);
        if (padding > 0) sink.bytes(new Uint8Array(padding));
        break;
      }
      case 'float': {
        const bytes = floatBytes(item.text, item.negative, width);
        if (bytes === undefined)
          throw new EvaluationFault(
            'notConstant',
            'a floating-point number is allowed in dw, dd, dq and dt only, written as 1.5 or 1.5e3',
            item.span,
          );
        sink.bytes(bytes);
        warnOfLoss(item.text, bytes, sink, item.span);
        break;
      }
      case 'uninitialized':
        sink.uninitialized(width);
        break;
      case 'repeat': {
        const count = evaluate(item.count, scope);
        if (count.terms.length > 0)
          throw new EvaluationFault('notConstant', 'the count before dup must be a plain number', item.count.span);
        const n = count.number < 0n ? 0n : count.number;
        if (n > MAX_REPEAT)
          throw new EvaluationFault(
            'notConstant',
            `dup repeats ${n} times; the maximum is ${MAX_REPEAT}`,
            item.count.span,
          );
        for (let i = 0n; i < n; i++) {
          if (budget.left-- <= 0)
            throw new EvaluationFault('tooLarge', `dup repeats more than ${MAX_ITEMS} times here`, item.count.span);
          emitData(item.items, item.width, scope, sink, budget);
        }
        break;
      }
    }
  }
}

/** Number of digits of a significand that nasm keeps. */
const MAX_DIGITS = 52;

/** nasm's warnings for a number that its format holds only as infinity, as zero, or with fewer bits. */
function warnOfLoss(text: string, bytes: Uint8Array, sink: DataSink, span: Span): void {
  const written = /^[0-9][0-9_.]*/.exec(text)?.[0].replace(/[_.]/g, '') ?? '';
  if (written === '') return;
  if (written.replace(/^0+/, '').length > MAX_DIGITS)
    sink.inexact('float-toolong', `a floating-point number has at most ${MAX_DIGITS} significant digits`, span);
  switch (floatClass(bytes)) {
    case 'infinite':
      return sink.inexact('float-overflow', 'this number is too large for its format and becomes infinity', span);
    case 'zero':
      if (/[1-9]/.test(written))
        sink.inexact('float-underflow', 'this number is too small for its format and becomes zero', span);
      return;
    case 'denormal':
      return sink.inexact('float-denorm', 'this number is denormal in its format and loses precision', span);
    case 'normal':
      return;
  }
}

const MAX_REPEAT = 1_000_000n;
/** Repetitions of one statement, nested ones multiplied. */
const MAX_ITEMS = 2_000_000;
