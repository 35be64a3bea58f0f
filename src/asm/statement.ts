/** The parsed form of one line: what the layout passes go over. */
import type { Span } from '../base/diagnostic';
import type { Bits } from './code-size';
import type { Expr } from './expression';
import type { PaddingMode } from './padding';

/** Decorations in braces: `{k1}`, `{z}`, `{1to8}`, `{rn-sae}`. */
export interface Decorators {
  readonly mask?: number;
  readonly zeroing?: boolean;
  /** N of {1toN}. */
  readonly broadcast?: number;
  readonly rounding?: 'rn' | 'rd' | 'ru' | 'rz';
  readonly sae?: boolean;
}

/** One operand as written. Which kind an expression is (register or number) is known only when its value is. */
export type OperandSyntax =
  | {
      readonly kind: 'expression';
      readonly expr: Expr;
      readonly size: number;
      readonly strict: boolean;
      readonly distance: 'near' | 'far' | 'short' | undefined;
      readonly to: boolean;
      readonly decorators: Decorators;
      readonly span: Span;
    }
  | {
      readonly kind: 'far';
      readonly selector: Expr;
      readonly offset: Expr;
      readonly size: number;
      readonly span: Span;
    }
  | {
      readonly kind: 'memory';
      readonly expr: Expr;
      /** The index written apart, as in `[rax,rcx*2]` of the MPX instructions. */
      readonly splitIndex: Expr | undefined;
      readonly size: number;
      readonly distance: 'near' | 'far' | 'short' | undefined;
      readonly segment: string | undefined;
      readonly displacementSize: number;
      readonly addressSize: number;
      readonly relative: boolean | undefined;
      readonly nosplit: boolean;
      readonly decorators: Decorators;
      readonly span: Span;
    };

export interface Prefixes {
  readonly rep: 'rep' | 'repe' | 'repne' | undefined;
  readonly lock: boolean;
  readonly segment: string | undefined;
  /** o16 o32 o64: 16, 32, 64; osp: the other of 16 and 32. */
  readonly operandSize: 16 | 32 | 64 | 'other' | undefined;
  readonly addressSize: 16 | 32 | 64 | 'other' | undefined;
  readonly wait: boolean;
  /** xacquire or xrelease: hardware lock elision, which the direct-address forms of mov do not have. */
  readonly elides: boolean;
  readonly bnd: boolean;
  readonly encoding: 'rex' | 'vex' | 'vex2' | 'vex3' | 'evex' | undefined;
}
export const NO_PREFIXES: Prefixes = {
  rep: undefined,
  lock: false,
  segment: undefined,
  operandSize: undefined,
  addressSize: undefined,
  wait: false,
  elides: false,
  bnd: false,
  encoding: undefined,
};

/** One item of `db` and its kin. */
export type DataItem =
  | { readonly kind: 'value'; readonly expr: Expr }
  | { readonly kind: 'string'; readonly bytes: readonly number[]; readonly span: Span }
  | { readonly kind: 'float'; readonly text: string; readonly negative: boolean; readonly span: Span }
  | { readonly kind: 'uninitialized' }
  | { readonly kind: 'repeat'; readonly count: Expr; readonly items: readonly DataItem[]; readonly width: number };

export interface LabelDefinition {
  readonly name: string;
  readonly span: Span;
}

export type Body =
  | { readonly kind: 'none' }
  /** Notes where it stands, for a preprocessor expression with `$` in it. */
  | { readonly kind: 'marker'; readonly id: number }
  | {
      readonly kind: 'instruction';
      readonly mnemonic: string;
      readonly prefixes: Prefixes;
      readonly operands: readonly OperandSyntax[];
    }
  | { readonly kind: 'data'; readonly width: number; readonly items: readonly DataItem[] }
  | { readonly kind: 'reserve'; readonly width: number; readonly count: Expr }
  | { readonly kind: 'equ'; readonly value: Expr; readonly far: Expr | undefined }
  | {
      readonly kind: 'incbin';
      readonly bytes: Uint8Array;
      readonly skip: Expr | undefined;
      readonly limit: Expr | undefined;
    }
  | { readonly kind: 'align'; readonly boundary: Expr; readonly reserve: boolean; readonly fill: Body | undefined }
  | { readonly kind: 'org'; readonly origin: Expr }
  /** The newest processor whose instructions are allowed, as a number of cpu-levels. */
  | { readonly kind: 'cpu'; readonly level: number }
  | { readonly kind: 'warning'; readonly text: string }
  /** A directive that has no effect in a flat binary. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Names declared external: a flat binary has nothing external, so using one is an error. */
  | { readonly kind: 'extern'; readonly names: readonly string[] }
  | { readonly kind: 'bits'; readonly bits: Bits }
  | { readonly kind: 'section'; readonly name: string; readonly attributes: readonly SectionAttribute[] }
  | { readonly kind: 'absolute'; readonly at: Expr }
  | { readonly kind: 'struc'; readonly name: string; readonly offset: Expr | undefined; readonly span: Span }
  | { readonly kind: 'endstruc' }
  | { readonly kind: 'istruc'; readonly name: string; readonly span: Span }
  | { readonly kind: 'at'; readonly offset: Expr; readonly body: Body }
  | { readonly kind: 'iend' }
  | { readonly kind: 'default'; readonly relative: boolean }
  /** How `align` without a filling pads: `alignmode` of the smartalign package. */
  | { readonly kind: 'alignmode'; readonly mode: PaddingMode; readonly threshold: number };

export interface SectionAttribute {
  readonly name: string;
  /** `name=value` as an expression, or a name for follows= and vfollows=. */
  readonly value: Expr | string | undefined;
  readonly span: Span;
}

export interface Statement {
  readonly label: LabelDefinition | undefined;
  readonly times: Expr | undefined;
  readonly body: Body;
  readonly span: Span;
  /** The span of the mnemonic, for messages about it. */
  readonly bodySpan: Span;
  /** The file and line that the debugger shows: the call site where the line comes out of a macro. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The line of a macro's body that it came from. */
  readonly definition?: { readonly file: string; readonly line: number };
}
