/** The result of assembling: an image, the origin of each stretch of it, and diagnostics. */
import type { Diagnostic, Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import type { Directive } from './directives';

/** A stretch of the image and the source line it comes from (a macro's bytes belong to the line that calls it). */
export interface LineEntry {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  readonly address: bigint;
  /** In bytes. */
  readonly length: number;
  readonly bits: Bits;
  readonly kind: 'code' | 'data';
  /** For bytes from a macro: where the macro called at `line` contains the line they come from. */
  readonly definition?: { readonly file: string; readonly line: number };
}

export interface AsmSymbol {
  readonly name: string;
  readonly value: bigint;
  readonly kind: 'label' | 'constant';
  readonly span: Span;
  readonly section?: string;
  readonly followedBy?: 'code' | 'data';
}

export interface Assembled {
  /** No errors; there may be warnings. */
  readonly ok: boolean;
  readonly image: Uint8Array;
  /** The address of the image's first byte. */
  readonly origin: bigint;
  readonly hasOrg: boolean;
  readonly firstInstructionBits: Bits | undefined;
  /** Zero bytes that the program expects after the image. */
  readonly bss: number;
  readonly symbols: readonly AsmSymbol[];
  /** Sorted by address. */
  readonly lines: readonly LineEntry[];
  readonly directives: readonly Directive[];
  /** In source order. */
  readonly diagnostics: readonly Diagnostic[];
}
