import type { Space } from '../base/address';
import type { Span } from '../base/diagnostic';
import type { SegmentName } from '../isa/registers';

/**
 * The debugger's expressions: typed in a hover, the Debug Console, a breakpoint's condition, or a comment directive.
 * Values are unsigned 64-bit numbers or truth values; the evaluating environment provides the names (registers,
 * flags, labels, facts of an exit).
 */
export type Expr =
  | { readonly kind: 'number'; readonly value: bigint; readonly span: Span }
  | { readonly kind: 'name'; readonly name: string; readonly span: Span }
  | MemoryExpr
  /** `gpa:0x5000`: a number tagged with its address space. */
  | { readonly kind: 'address'; readonly space: Space; readonly value: Expr; readonly span: Span }
  /** `walk(0x5000).gpa`: a function of the environment, and the part of its answer that is selected. */
  | {
      readonly kind: 'call';
      readonly name: string;
      readonly args: readonly Expr[];
      readonly member: string | undefined;
      readonly span: Span;
    }
  | { readonly kind: 'unary'; readonly op: UnaryOp; readonly operand: Expr; readonly span: Span }
  | { readonly kind: 'binary'; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr; readonly span: Span };

/** A memory operand as in assembly: `qword [rbx+8]`, `byte [es:di+4]`, `[rel label]`, `dword [hpa:0x1000]`. */
export interface MemoryExpr {
  readonly kind: 'memory';
  /** Bytes to load, if a size keyword is given. */
  readonly size: LoadSize | undefined;
  readonly segment: SegmentName | undefined;
  readonly space: Space | undefined;
  readonly address: Expr;
  readonly span: Span;
}

export type LoadSize = 1 | 2 | 4 | 8;
export type UnaryOp = '-' | '+' | '~' | '!';
export type BinaryOp =
  '||' | '&&' | '|' | '^' | '&' | '==' | '!=' | '<' | '<=' | '>' | '>=' | '<<' | '>>' | '+' | '-' | '*' | '/' | '%';

/** A breakpoint's condition with an optional message: `write && gpa >= 0x5000, log "w {gpa}"`. */
export interface Condition {
  /** Absent for a condition that is only a log clause: always true. */
  readonly test: Expr | undefined;
  /** With a log clause the run does not stop: it writes the message and continues. */
  readonly log: LogMessage | undefined;
}

export interface LogMessage {
  readonly parts: readonly LogPart[];
  readonly span: Span;
}
export type LogPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly expr: Expr; readonly format: LogFormat };
/** Hexadecimal by default. */
export type LogFormat = 'x' | 'd' | 'b';

/** Diagnostic codes of expressions: PW150 to PW159. */
export const EXPR_CODES = {
  syntax: 'PW150',
  unknownName: 'PW151',
  divisionByZero: 'PW152',
  unreadable: 'PW153',
  unsupported: 'PW154',
  tooDeep: 'PW155',
  badDirective: 'PW156',
} as const;
export type ExprCode = keyof typeof EXPR_CODES;
