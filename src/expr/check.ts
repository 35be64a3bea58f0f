import type { Expr } from './ast';
import type { Env, ExprValue } from './evaluate';
import { evaluate } from './evaluate';

/** The outcome of a check. */
export interface Checked {
  readonly ok: boolean;
  /**
   * The values of the two sides of the deciding comparison; without a comparison only the left one, the expression's
   * value.
   */
  readonly left: string;
  readonly right: string;
}

const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);

const shown = (v: ExprValue): string => (typeof v === 'boolean' ? String(v) : `0x${v.toString(16)}`);

/**
 * Whether an expression holds, with the sides of the comparison that decided it. An expression without a value does
 * not hold.
 */
export function check(expr: Expr, env: Env): Checked {
  if (expr.kind === 'binary' && (expr.op === '&&' || expr.op === '||')) {
    const left = check(expr.left, env);
    return left.ok === (expr.op === '||') ? left : check(expr.right, env);
  }
  const value = evaluate(expr, env);
  if (!value.ok) return { ok: false, left: value.error.message, right: '' };
  const ok = value.value !== false && value.value !== 0n;
  if (expr.kind !== 'binary' || !COMPARISONS.has(expr.op)) return { ok, left: shown(value.value), right: '' };
  const [left, right] = [evaluate(expr.left, env), evaluate(expr.right, env)];
  return { ok, left: left.ok ? shown(left.value) : '', right: right.ok ? shown(right.value) : '' };
}
