import type { Diagnostic } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { evaluate, formatLog, parseCondition, parseLogMessage } from '../expr/index';
import type { Condition, Env, Expr, LogMessage } from '../expr/index';
import { sessionError } from './diagnostics';
import type { Facts, Names } from './names';
import { namesIn } from './names';
import { didYouMean } from './nearest';
import type { BreakClauses } from './types';

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
  for (const name of expressions.flatMap(namesIn)) {
    if (names.knows(name.name, facts)) continue;
    const hint =
      didYouMean(name.name, names.all(facts)) ||
      `; known here are registers, flags, labels${facts.length > 0 ? `, and ${facts.join(', ')}` : ''}`;
    problems.push(sessionError('unknownName', `\`${name.name}\` is not known${hint}`, name.span.file, name.span));
  }
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
 * Whether a condition holds. A comparison with a fact that this exit has not (`gpa` of a CPUID) does not hold, without making an error of the whole:
 * `reason == CPUID || gpa >= 0x5000` is a sensible thing to ask.
 */
export function conditionHolds(condition: Condition, env: Env): boolean {
  return condition.test === undefined || truth(condition.test, env);
}

function truth(e: Expr, env: Env): boolean {
  if (e.kind === 'binary' && e.op === '&&') return truth(e.left, env) && truth(e.right, env);
  if (e.kind === 'binary' && e.op === '||') return truth(e.left, env) || truth(e.right, env);
  if (e.kind === 'unary' && e.op === '!') return !truth(e.operand, env);
  const value = evaluate(e, env);
  return value.ok && value.value !== false && value.value !== 0n;
}

export const logText = (log: LogMessage, env: Env): string => formatLog(log, env);
export type { Facts };
