import type { Span } from '../base/diagnostic';
import type { Expr, BinaryOp } from './expression';
import { stringValue } from './expression';
import type { RegisterInfo } from './registers';

/**
 * What an expression comes to: a 64-bit number plus multiples of things whose size is not ours to fold, the start
 * addresses of sections (a label is its offset plus one times its section) and, inside an effective address, registers.
 * `label - other` in one section cancels to a plain number, which is why it may choose a short encoding and `label` may not.
 */
export interface Value {
  /** Signed, 64 bits. */
  readonly number: bigint;
  readonly terms: readonly Term[];
  /** Depends on a symbol that this pass has not yet seen a value for. */
  readonly unknown: boolean;
  /** For effective addresses: which register was named first, alone or multiplied. */
  readonly hint?: AddressHint | undefined;
}
export type Term =
  | { readonly kind: 'section'; readonly section: number; readonly times: bigint }
  | { readonly kind: 'register'; readonly register: RegisterInfo; readonly times: bigint };

/** NASM's rule for choosing base and index: the first register is the base, unless it was written multiplied. */
export interface AddressHint {
  readonly register: RegisterInfo;
  readonly kind: 'base' | 'notBase' | 'summed';
}

export const constant = (number: bigint): Value => ({ number: BigInt.asIntN(64, number), terms: [], unknown: false });
export const UNKNOWN: Value = { number: 0n, terms: [], unknown: true };
const truth = (x: boolean): Value => constant(x ? 1n : 0n);

/** A plain number, known in this pass. */
export const isSimple = (v: Value): boolean => v.terms.length === 0 && !v.unknown;

/** What evaluation asks of the layout. */
export interface Scope {
  /** Undefined where no such symbol exists at all; UNKNOWN where it is met later in the first pass. */
  symbol(name: string): Value | undefined;
  here(): Value;
  sectionStart(): Value;
  /** Whether the source declares the name `extern`. */
  isExternal?(name: string): boolean;
}

/** What was wrong with an expression. Thrown by `evaluate`, caught by the layout. */
export class EvaluationFault extends Error {
  constructor(
    readonly code: 'undefinedSymbol' | 'notConstant' | 'divisionByZero' | 'badAddress' | 'tooLarge',
    message: string,
    readonly span: Span,
  ) {
    super(message);
  }
}

const sameTerm = (a: Term, b: Term): boolean =>
  a.kind === 'section'
    ? b.kind === 'section' && a.section === b.section
    : b.kind === 'register' && a.register === b.register;

function addTerms(a: readonly Term[], b: readonly Term[], sign: bigint): Term[] {
  const out = [...a];
  for (const t of b) {
    const at = out.findIndex((x) => sameTerm(x, t));
    const old = out[at];
    if (old === undefined) out.push({ ...t, times: t.times * sign });
    else if (old.times + t.times * sign === 0n) out.splice(at, 1);
    else out[at] = { ...old, times: old.times + t.times * sign };
  }
  return out;
}

function sumHint(a: Value, b: Value): AddressHint | undefined {
  const repeated = a.terms.some((t) => t.kind === 'register' && b.terms.some((u) => sameTerm(t, u)));
  if (repeated) {
    const r = a.terms.find((t) => t.kind === 'register');
    if (r?.kind === 'register') return { register: r.register, kind: 'summed' };
  }
  return a.hint ?? b.hint;
}

function add(a: Value, b: Value, sign: bigint): Value {
  const hint = sumHint(a, b);
  const number = BigInt.asIntN(64, a.number + b.number * sign);
  if (a.terms.length === 0 && b.terms.length === 0) return { number, terms: [], unknown: a.unknown || b.unknown };
  return {
    number,
    terms: addTerms(a.terms, b.terms, sign),
    unknown: a.unknown || b.unknown,
    ...(hint ? { hint } : {}),
  };
}

function scale(v: Value, by: bigint, written: boolean): Value {
  const terms = by === 0n ? [] : v.terms.map((t): Term => ({ ...t, times: t.times * by }));
  const register = v.terms.find((t) => t.kind === 'register');
  const hint: AddressHint | undefined =
    written && register?.kind === 'register' && v.hint?.kind !== 'summed'
      ? { register: register.register, kind: 'notBase' }
      : v.hint;
  return { number: BigInt.asIntN(64, v.number * by), terms, unknown: v.unknown, ...(hint ? { hint } : {}) };
}

/** @throws EvaluationFault */
export function evaluate(e: Expr, scope: Scope): Value {
  switch (e.kind) {
    case 'number':
      return constant(e.value);
    case 'string':
      return constant(stringValue(e.bytes));
    case 'float':
      throw new EvaluationFault('notConstant', 'a floating-point number is allowed in dd, dq and dt only', e.span);
    case 'symbol': {
      const v = scope.symbol(e.name);
      if (v === undefined) {
        throw new EvaluationFault(
          'undefinedSymbol',
          scope.isExternal?.(e.name)
            ? `\`${e.name}\` is declared extern, but a flat image is not linked and has no externals; define it here, or include its source`
            : `\`${e.name}\` is not defined; define a label or an equ of this name, or check its spelling`,
          e.span,
        );
      }
      return v;
    }
    case 'here':
      return scope.here();
    case 'sectionStart':
      return scope.sectionStart();
    case 'register':
      return {
        number: 0n,
        terms: [{ kind: 'register', register: e.register, times: 1n }],
        unknown: false,
        hint: { register: e.register, kind: 'base' },
      };
    case 'conditional': {
      const test = evaluate(e.test, scope);
      if (test.unknown) return UNKNOWN;
      if (test.terms.length > 0)
        throw new EvaluationFault('notConstant', 'the left side of `?` must be a plain number', e.test.span);
      return evaluate(test.number !== 0n ? e.then : e.otherwise, scope);
    }
    case 'unary': {
      const v = evaluate(e.operand, scope);
      switch (e.op) {
        case '+':
          return v;
        case '-':
          return scale(v, -1n, false);
        case '~':
          return v.unknown ? UNKNOWN : constant(~scalar(v, '~', e.operand.span));
        case '!':
          return v.unknown ? UNKNOWN : truth(scalar(v, '!', e.operand.span) === 0n);
        case 'ilog2e':
        case 'ilog2w':
        case 'ilog2f':
        case 'ilog2c':
          return v.unknown ? UNKNOWN : constant(logarithm(e.op, scalar(v, e.op, e.operand.span), e.operand.span));
        case 'seg':
          throw new EvaluationFault(
            'notConstant',
            'a flat binary has no segments to take with `seg`; write the selector as a number',
            e.span,
          );
      }
    }
    // fallthrough: every unary operator returned
    case 'binary':
      return binary(e.op, evaluate(e.left, scope), evaluate(e.right, scope), e.left.span, e.right.span);
  }
}

/** The binary logarithm: exact (a power of two), wrong ones rounded down silently (w), rounded down (f) or up (c). */
function logarithm(op: 'ilog2e' | 'ilog2w' | 'ilog2f' | 'ilog2c', value: bigint, span: Span): bigint {
  const n = BigInt.asUintN(64, value);
  const floor = n === 0n ? (op === 'ilog2w' ? -1n : 0n) : BigInt(n.toString(2).length - 1);
  const isPower = n !== 0n && (n & (n - 1n)) === 0n;
  if (op === 'ilog2e' && !isPower)
    throw new EvaluationFault('notConstant', `ilog2e takes a power of two, not ${n}`, span);
  return op === 'ilog2c' && !isPower && n !== 0n ? floor + 1n : floor;
}

function scalar(v: Value, op: string, span: Span): bigint {
  if (v.terms.length === 0) return v.number;
  const what = v.terms.some((t) => t.kind === 'register') ? 'a register' : 'an address';
  throw new EvaluationFault(
    'notConstant',
    `\`${op}\` takes plain numbers, and this is ${what}; a difference of two labels would do`,
    span,
  );
}

const unsigned = (x: bigint): bigint => BigInt.asUintN(64, x);

function binary(op: BinaryOp, a: Value, b: Value, aSpan: Span, bSpan: Span): Value {
  switch (op) {
    case '+':
      return add(a, b, 1n);
    case '-':
      return add(a, b, -1n);
    case '*':
      if (isSimple(a)) return scale(b, a.number, true);
      if (isSimple(b)) return scale(a, b.number, true);
      if (a.unknown || b.unknown) return UNKNOWN;
      throw new EvaluationFault('notConstant', 'one side of `*` must be a plain number', bSpan);
    case '==':
    case '!=': {
      const d = add(a, b, -1n);
      if (d.unknown) return UNKNOWN;
      const equal = d.terms.length === 0 && d.number === 0n;
      return truth(equal === (op === '=='));
    }
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '<=>': {
      const d = add(a, b, -1n);
      if (d.unknown) return UNKNOWN;
      const n = scalar(d, op, bSpan);
      if (op === '<=>') return constant(n < 0n ? -1n : n > 0n ? 1n : 0n);
      return truth(op === '<' ? n < 0n : op === '<=' ? n <= 0n : op === '>' ? n > 0n : n >= 0n);
    }
    default:
      break;
  }
  if (a.unknown || b.unknown) return UNKNOWN;
  const x = scalar(a, op, aSpan);
  const y = scalar(b, op, bSpan);
  switch (op) {
    case '||':
      return truth(x !== 0n || y !== 0n);
    case '&&':
      return truth(x !== 0n && y !== 0n);
    case '^^':
      return truth((x === 0n) !== (y === 0n));
    case '|':
      return constant(x | y);
    case '&':
      return constant(x & y);
    case '^':
      return constant(x ^ y);
    // The shift count is taken modulo 64, as the host processor does for NASM.
    case '<<':
      return constant(x << (y & 63n));
    case '>>':
      return constant(unsigned(x) >> (y & 63n));
    case '>>>':
      return constant(x >> (y & 63n));
    case '/':
    case '%':
    case '//':
    case '%%':
      if (y === 0n) throw new EvaluationFault('divisionByZero', 'division by zero', bSpan);
      if (op === '/') return constant(unsigned(x) / unsigned(y));
      if (op === '%') return constant(unsigned(x) % unsigned(y));
      return constant(op === '//' ? x / y : x % y);
  }
}
