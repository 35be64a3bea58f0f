import type { Span } from '../base/diagnostic';
import { hex } from '../base/hex';
import type { DiagnosticSink } from './diagnostics';

/**
 * Warns where `n` fits neither as a signed nor as an unsigned number of `width` bits; NASM warns and truncates, and so do we.
 * @returns whether it fits
 */
export function checkRanges(n: bigint, width: number, span: Span, sink: DiagnosticSink): boolean {
  if (width >= 64) return true;
  const limit = 1n << BigInt(width);
  if (n >= -(limit >> 1n) && n < limit) return true;
  const low = BigInt.asUintN(width, n);
  const message = `${n < 0n ? n : hex(n)} does not fit in ${width} bits and becomes ${hex(low)}`;
  sink.warning('number-overflow', 'truncated', message, span);
  return false;
}
