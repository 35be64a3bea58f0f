import type { Span } from '../base/diagnostic';
import { floatBytes } from './float';
import type { DataItem } from './statement';
import type { Scope, Value } from './value';
import { evaluate, EvaluationFault } from './value';

/** Receives the bytes of a data statement. */
export interface DataSink {
  bytes(bytes: ArrayLike<number>): void;
  /** `value` in `width` bytes, little-endian. */
  value(value: Value, width: number, span: Span): void;
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
            'a floating-point number can stand in dw, dd, dq and dt only, written as 1.5 or 1.5e3',
            item.span,
          );
        sink.bytes(bytes);
        break;
      }
      case 'uninitialized':
        sink.bytes(new Uint8Array(width));
        break;
      case 'repeat': {
        const count = evaluate(item.count, scope);
        if (count.terms.length > 0)
          throw new EvaluationFault('notConstant', 'the count before dup must be a plain number', item.count.span);
        const n = count.number < 0n ? 0n : count.number;
        if (n > MAX_REPEAT)
          throw new EvaluationFault(
            'notConstant',
            `dup repeats ${n} times; ${MAX_REPEAT} is the most`,
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

const MAX_REPEAT = 1_000_000n;
/** Repetitions of one statement, nested ones multiplied. */
const MAX_ITEMS = 2_000_000;
