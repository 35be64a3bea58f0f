import type { Decoded } from './decoded';
import type { CodeMode } from './lift/emitter';

/** A straight run of lifted instructions from one physical place, up to a branch, a system function or the page's end. */
export interface Block {
  readonly words: Int32Array;
  readonly insns: readonly Decoded[];
  /** Index of each instruction's first micro-op. */
  readonly starts: readonly number[];
  readonly mode: CodeMode;
  /** Offset of the first byte in the machine's memory, and bytes covered. */
  readonly offset: number;
  readonly length: number;
  /** For a block of one instruction that crosses into another page: where that page's bytes are; else −1. */
  readonly secondPage: number;
  readonly key: number;
  /** False once its bytes were written. */
  valid: boolean;
}
