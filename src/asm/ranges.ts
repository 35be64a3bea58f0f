import type { Span } from '../base/diagnostic';
import { hex } from '../base/hex';
import type { DiagnosticSink } from './diagnostics';

/** Warns where `n` fits neither as a signed nor as an unsigned number of `width` bits; NASM warns and truncates, and so do we. */
export function checkRanges(n: bigint, width: number, span: Span, sink: DiagnosticSink): void {
  if (width >= 64) return;
  const limit = 1n << BigInt(width);
  if (n >= -(limit >> 1n) && n < limit) return;
  const low = BigInt.asUintN(width, n);
  sink.warning('truncated', `${n < 0n ? n : hex(n)} does not fit in ${width} bits and becomes ${hex(low)}`, span);
}
