import type { Span } from '../base/diagnostic';
import { EvaluationFault } from './value';

/** The bytes of one section, growing as they are written. */
export class ByteBuffer {
  private data = new Uint8Array(1024);
  length = 0;

  append(bytes: ArrayLike<number>): void {
    this.reserve(bytes.length);
    this.data.set(bytes, this.length);
    this.length += bytes.length;
  }

  zeros(count: number): void {
    this.reserve(count);
    this.length += count;
  }

  /** Repeats the last `size` bytes `times` more times. */
  repeatLast(size: number, times: number): void {
    this.reserve(size * times);
    let done = size;
    const from = this.length - size;
    const total = size * (times + 1);
    while (done < total) {
      const n = Math.min(done, total - done);
      this.data.copyWithin(from + done, from, from + n);
      done += n;
    }
    this.length = from + total;
  }

  view(): Uint8Array {
    return this.data.subarray(0, this.length);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.data.length) return;
    const bigger = new Uint8Array(Math.max(this.data.length * 2, this.length + more));
    bigger.set(this.data.subarray(0, this.length));
    this.data = bigger;
  }
}

/** @throws EvaluationFault */
export function checkSize(size: number, limit: number, span: Span): void {
  if (size > limit) {
    throw new EvaluationFault(
      'tooLarge',
      `the image would grow past ${limit} bytes here; reserve large areas in guest memory instead of in the file`,
      span,
    );
  }
}
