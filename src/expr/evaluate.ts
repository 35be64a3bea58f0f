import type { Space } from '../base/address';
import { assertUnreachable } from '../base/assert';
import { M64 } from '../base/bits';
import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { gprPart } from '../isa/registers';
import type { SegmentName } from '../isa/registers';
import type { BinaryOp, Condition, Expr, LoadSize, LogMessage, MemoryExpr } from './ast';
import { ExprFault } from './scanner';

export type ExprValue = bigint | boolean;

/** A load required by an expression. */
export interface MemoryRequest {
  readonly space: Space;
  /** In the guest's virtual space: the segment whose base is added, and whether it was written explicitly. */
  readonly segment: SegmentName;
  readonly segmentWritten: boolean;
  /** Before the segment base is added. */
  readonly offset: bigint;
  readonly size: LoadSize;
}

/** A function's answer, or why there is none now. */
export type CallAnswer = ExprValue | { readonly problem: string };

/** Gives names and memory their meaning. Reading must change nothing. */
export interface Env {
  /** Registers and flags, spelled as written; the environment ignores case. */
  lookup(name: string): ExprValue | undefined;
  readMemory?(request: MemoryRequest): bigint | undefined;
  /**
   * A function of the environment, such as `walk(…)` in an assertion; undefined: no function of this name, or its
   * answer has no such part.
   */
  call?(name: string, args: readonly ExprValue[], member: string | undefined): CallAnswer | undefined;
  /** Bytes of a load without a size; 8 if absent. */
  readonly wordSize?: LoadSize;
}

/**
 * The value of an expression. Numbers wrap at 64 bits; comparison, division and shifts are unsigned; a truth value
 * counts as 0 or 1 where a number is needed, and a number other than 0 as true. `&&` and `||` evaluate their right
 * side only if needed. Errors: PW151 unknown name, PW152 division by zero, PW153 unreadable memory, PW154 nothing
 * here answers that.
 */
export function evaluate(expr: Expr, env: Env): Result<ExprValue, Diagnostic> {
  try {
    return ok(valueOf(expr, env));
  } catch (e) {
    if (e instanceof ExprFault) return err(e.toDiagnostic());
    throw e;
  }
}

/** Whether the condition holds (ignoring its log clause). */
export function holds(condition: Condition, env: Env): Result<boolean, Diagnostic> {
  if (condition.test === undefined) return ok(true);
  const v = evaluate(condition.test, env);
  return v.ok ? ok(truth(v.value)) : v;
}

/** The text of a log message; a value that is unavailable appears as `<why>`. */
export function formatLog(message: LogMessage, env: Env): string {
  return message.parts
    .map((p) => {
      if (p.kind === 'text') return p.text;
      const v = evaluate(p.expr, env);
      if (!v.ok) return `<${v.error.message}>`;
      if (typeof v.value === 'boolean') return String(v.value);
      return p.format === 'd'
        ? v.value.toString()
        : p.format === 'b'
          ? `0b${v.value.toString(2)}`
          : `0x${v.value.toString(16)}`;
    })
    .join('');
}

/** The address of a memory operand, without loading: for hover and for "show this address". */
export function locate(expr: MemoryExpr, env: Env): Result<MemoryRequest, Diagnostic> {
  try {
    return ok(requestOf(expr, env));
  } catch (e) {
    if (e instanceof ExprFault) return err(e.toDiagnostic());
    throw e;
  }
}

const truth = (v: ExprValue): boolean => (typeof v === 'boolean' ? v : v !== 0n);
const number = (v: ExprValue): bigint => (typeof v === 'boolean' ? (v ? 1n : 0n) : BigInt.asUintN(64, v));

function valueOf(e: Expr, env: Env): ExprValue {
  switch (e.kind) {
    case 'number':
      return e.value;
    case 'name': {
      const v = env.lookup(e.name);
      if (v === undefined)
        throw new ExprFault('unknownName', `\`${e.name}\` is not a register, flag, label or value known here`, e.span);
      return typeof v === 'bigint' ? BigInt.asUintN(64, v) : v;
    }
    case 'address':
      return number(valueOf(e.value, env));
    case 'memory': {
      const request = requestOf(e, env);
      const v = env.readMemory?.(request);
      if (v === undefined)
        throw new ExprFault(
          'unreadable',
          `nothing can be read at 0x${request.offset.toString(16)} (${request.space})`,
          e.span,
        );
      return BigInt.asUintN(request.size * 8, v);
    }
    case 'call': {
      const v = env.call?.(
        e.name,
        e.args.map((a) => valueOf(a, env)),
        e.member,
      );
      if (v === undefined) throw new ExprFault('unsupported', `there is no function \`${e.name}\` here`, e.span);
      if (typeof v === 'object') throw new ExprFault('unsupported', v.problem, e.span);
      return v;
    }
    case 'unary': {
      const v = valueOf(e.operand, env);
      switch (e.op) {
        case '!':
          return !truth(v);
        case '~':
          return number(v) ^ M64;
        case '-':
          return -number(v) & M64;
        case '+':
          return number(v);
      }
      return assertUnreachable(e);
    }
    case 'binary':
      return binary(e.op, e.left, e.right, env);
    default:
      return assertUnreachable(e);
  }
}

function binary(op: BinaryOp, left: Expr, right: Expr, env: Env): ExprValue {
  const l = valueOf(left, env);
  if (op === '&&') return truth(l) && truth(valueOf(right, env));
  if (op === '||') return truth(l) || truth(valueOf(right, env));
  const a = number(l);
  const b = number(valueOf(right, env));
  switch (op) {
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '==':
      return a === b;
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
    case '<<':
      return b > 63n ? 0n : (a << b) & M64;
    case '>>':
      return b > 63n ? 0n : a >> b;
    case '+':
      return (a + b) & M64;
    case '-':
      return (a - b) & M64;
    case '*':
      return (a * b) & M64;
    case '/':
    case '%':
      if (b === 0n) throw new ExprFault('divisionByZero', 'division by zero', right.span);
      return op === '/' ? a / b : a % b;
    default:
      return assertUnreachable(op);
  }
}

function requestOf(e: MemoryExpr, env: Env): MemoryRequest {
  let offset = number(valueOf(e.address, env));
  const width = addressWidth(e.address);
  if (width !== undefined && width < 64) offset = BigInt.asUintN(width, offset);
  return {
    space: e.space ?? 'gva',
    segment: e.segment ?? (usesStack(e.address) ? 'ss' : 'ds'),
    segmentWritten: e.segment !== undefined,
    offset,
    size: e.size ?? env.wordSize ?? 8,
  };
}

/** The address size is that of the registers used: `[bx+si]` wraps at 16 bits (SDM vol. 1, 3.7.5). */
function addressWidth(e: Expr): number | undefined {
  switch (e.kind) {
    case 'name':
      return gprPart(e.name.toLowerCase())?.width;
    case 'binary':
      return addressWidth(e.left) ?? addressWidth(e.right);
    case 'unary':
      return addressWidth(e.operand);
    default:
      return undefined;
  }
}

const STACK_REGISTERS: ReadonlySet<string> = new Set(['sp', 'bp', 'esp', 'ebp', 'rsp', 'rbp']);

/**
 * An unscaled SP or BP as base implies the stack segment (SDM vol. 1, 3.7.4). The base is the first register that
 * stands alone.
 */
function usesStack(e: Expr): boolean {
  const base = firstRegister(e);
  return base !== undefined && STACK_REGISTERS.has(base);
}

function firstRegister(e: Expr): string | undefined {
  if (e.kind === 'name') {
    const name = e.name.toLowerCase();
    return gprPart(name) ? name : undefined;
  }
  if (e.kind === 'binary' && (e.op === '+' || e.op === '-')) return firstRegister(e.left) ?? firstRegister(e.right);
  return undefined;
}
