import type { Diagnostic } from '../../base/diagnostic';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import { EXPR_CODES, evaluate, formatLog, parseCondition, parseLogMessage } from '../../expr/index';
import type { Condition, Env, Expr, LogMessage } from '../../expr/index';
import { sessionError } from '../diagnostics';
import type { Names } from '../console/names';
import { namesIn } from '../console/names';
import { didYouMean } from '../../base/nearest';
import { wrongCalls } from '../console/run-facts';
import type { BreakClauses } from '../types';

/** The clauses of a breakpoint, parsed and checked. */
export interface Clauses {
  readonly condition: Condition;
  readonly hits: HitTest | undefined;
  readonly log: LogMessage | undefined;
}
type HitTest = (count: number) => boolean;

/** `5`, `== 5`, `> 5`, `>= 5`, `< 5`, `<= 5`, `% 5`. */
function parseHits(text: string): HitTest | undefined {
  const match = /^\s*(==?|>=?|<=?|%)?\s*(\d{1,15})\s*$/.exec(text);
  if (!match) return undefined;
  const n = Number(match[2]);
  switch (match[1]) {
    case '>':
      return (c) => c > n;
    case '>=':
      return (c) => c >= n;
    case '<':
      return (c) => c < n;
    case '<=':
      return (c) => c <= n;
    case '%':
      return n === 0 ? undefined : (c) => c % n === 0;
    default:
      return (c) => c === n;
  }
}

/** The names and functions in expressions that nobody knows, each as an error where it stands. */
export function unknownNames(expressions: readonly Expr[], names: Names, facts: readonly string[]): Diagnostic[] {
  const problems: Diagnostic[] = [];
  for (const name of expressions.flatMap(namesIn)) {
    if (names.knows(name.name, facts)) continue;
    const hint =
      didYouMean(name.name, names.all(facts)) ||
      `; known here are registers, flags, labels${facts.length > 0 ? `, and ${facts.join(', ')}` : ''}`;
    problems.push(sessionError('unknownName', `\`${name.name}\` is not known${hint}`, name.span.file, name.span));
  }
  for (const { message, span } of expressions.flatMap(wrongCalls))
    problems.push(sessionError('unknownName', message, span.file, span));
  return problems;
}

/**
 * Parses the clauses of a breakpoint and checks every name in them, so that a misspelt register is an error now and not a breakpoint that never stops.
 * @param facts the names that the exit or fault will supply
 */
export function parseClauses(
  written: BreakClauses,
  names: Names,
  facts: readonly string[],
): Result<Clauses, readonly Diagnostic[]> {
  const condition = parseCondition(written.condition ?? '');
  if (!condition.ok) return condition;
  const message =
    written.logMessage === undefined || written.logMessage === '' ? undefined : parseLogMessage(written.logMessage);
  if (message && !message.ok) return message;
  const log = condition.value.log ?? message?.value;
  const problems: Diagnostic[] = [];

  const expressions = [
    ...(condition.value.test ? [condition.value.test] : []),
    ...(log?.parts ?? []).flatMap((p) => (p.kind === 'value' ? [p.expr] : [])),
  ];
  problems.push(...unknownNames(expressions, names, facts));
  const wantsHits = written.hitCondition !== undefined && written.hitCondition.trim() !== '';
  const hits = wantsHits ? parseHits(written.hitCondition ?? '') : undefined;
  if (wantsHits && hits === undefined) {
    problems.push(
      sessionError(
        'badHitCondition',
        `\`${written.hitCondition}\` is no hit count; write 5, > 5, >= 5, < 5, <= 5 or % 5`,
        'hit condition',
      ),
    );
  }
  return problems.length > 0 ? err(problems) : ok({ condition: condition.value, hits, log });
}

/**
 * Whether a condition holds, or why that cannot be said. A comparison with a fact that this exit has not (`gpa` of a CPUID) does not hold, without making an error of the whole:
 * `reason == CPUID || gpa >= 0x5000` is a sensible thing to ask.
 */
export function conditionHolds(condition: Condition, env: Env): Result<boolean, Diagnostic> {
  return condition.test === undefined ? ok(true) : truth(condition.test, env);
}

function truth(e: Expr, env: Env): Result<boolean, Diagnostic> {
  if (e.kind === 'binary' && (e.op === '&&' || e.op === '||')) {
    const left = truth(e.left, env);
    return !left.ok || left.value === (e.op === '||') ? left : truth(e.right, env);
  }
  if (e.kind === 'unary' && e.op === '!') {
    const inner = truth(e.operand, env);
    return inner.ok ? ok(!inner.value) : inner;
  }
  const value = evaluate(e, env);
  if (value.ok) return ok(value.value !== false && value.value !== 0n);
  // every name was known when the condition was set: what has no value now is a fact that this exit lacks
  return value.error.code === EXPR_CODES.unknownName ? ok(false) : value;
}

export const logText = (log: LogMessage, env: Env): string => formatLog(log, env);
