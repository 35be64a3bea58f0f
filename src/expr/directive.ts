import type { Diagnostic, Position, Span } from '../base/diagnostic';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { Expr, LogMessage } from './ast';
import { EXPR_CODES } from './ast';
import { parseCondition, parseExpression, parseLogMessage } from './parse';

/** A word of a directive, and its position. */
export interface DirectiveWord {
  readonly text: string;
  readonly span: Span;
}

/**
 * What a comment directive tells the debugger:
 *
 *   @guest key=value …              defaults of this guest; checked against the one table of options
 *   @host verb argument …           a change on the host: `@host place HVA HPA`, `@host swap-out GPA`
 *   @break kind [name] [if condition]   a breakpoint: `@break exit EPT_VIOLATION if write && gpa >= 0x5000`
 *   @break [if condition]           a breakpoint at this line
 *   @assert expression [at end]     must hold when this line is reached, or at the end of the run
 *   @log "message {expression}" [at end]   writes the message then
 */
export type ParsedDirective =
  | {
      readonly kind: 'guest';
      readonly pairs: readonly { readonly key: DirectiveWord; readonly value: DirectiveWord }[];
      readonly span: Span;
    }
  | {
      readonly kind: 'host';
      readonly verb: DirectiveWord;
      readonly args: readonly DirectiveWord[];
      readonly span: Span;
    }
  | {
      readonly kind: 'break';
      /** Absent: the directive's own line. */
      readonly what: DirectiveWord | undefined;
      readonly args: readonly DirectiveWord[];
      /** The text after `if`; its syntax is valid. */
      readonly condition: string;
      readonly span: Span;
    }
  | { readonly kind: 'assert'; readonly expr: Expr; readonly atEnd: boolean; readonly span: Span }
  | { readonly kind: 'log'; readonly message: LogMessage; readonly atEnd: boolean; readonly span: Span };

/** A directive as the assembler collects it: the word after `@`, and the text after that word. */
export interface DirectiveText {
  readonly verb: string;
  readonly text: string;
  readonly span: Span;
  readonly textStart: Position;
}

/** The existing verbs. */
export const DIRECTIVE_VERBS: readonly string[] = ['guest', 'host', 'break', 'assert', 'log'];

/** Parses a directive. Errors: PW156, or those of the expression in it. */
export function parseDirective(d: DirectiveText): Result<ParsedDirective, Diagnostic[]> {
  const words = splitWords(d.text, d.span.file, d.textStart);
  switch (d.verb) {
    case 'guest':
      return parseGuest(d, words);
    case 'host': {
      const [verb, ...args] = words;
      if (!verb)
        return bad(d.span, '@host takes a verb and its arguments, such as `@host place 0x7f5a00000000 0x100000000`');
      return ok({ kind: 'host', verb, args, span: d.span });
    }
    case 'break':
      return parseBreak(d, words);
    case 'assert': {
      const { text, atEnd } = moment(d.text);
      const e = parseExpression(text, d.span.file, d.textStart);
      return e.ok ? ok({ kind: 'assert', expr: e.value, atEnd, span: d.span }) : e;
    }
    case 'log': {
      const { text, atEnd } = moment(d.text);
      const quoted = /^(["'])(.*)\1$/.exec(text)?.[2];
      if (text === '') return bad(d.span, '@log takes a message, such as `@log "rax is {rax}"`');
      const start = quoted === undefined ? d.textStart : { ...d.textStart, column: d.textStart.column + 1 };
      const message = parseLogMessage(quoted ?? text, d.span.file, start);
      return message.ok ? ok({ kind: 'log', message: message.value, atEnd, span: d.span }) : message;
    }
    default:
      return bad(
        d.span,
        `@${d.verb} is not a directive; the directives are ${DIRECTIVE_VERBS.map((k) => '@' + k).join(', ')}`,
      );
  }
}

/** A text, and whether it ends in `at end` (evaluated at the end of the run). */
function moment(text: string): { readonly text: string; readonly atEnd: boolean } {
  const before = /^(.*?)\s*\bat\s+end$/i.exec(text)?.[1];
  return { text: before ?? text, atEnd: before !== undefined };
}

const bad = (span: Span, message: string): Result<never, Diagnostic[]> =>
  err([{ severity: 'error', code: EXPR_CODES.badDirective, message, file: span.file, span }]);

function splitWords(text: string, file: string, start: Position): DirectiveWord[] {
  return [...text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map((m) => {
    const column = start.column + (m.index ?? 0);
    return {
      text: m[0],
      span: { file, start: { line: start.line, column }, end: { line: start.line, column: column + m[0].length } },
    };
  });
}

function parseGuest(d: DirectiveText, words: readonly DirectiveWord[]): Result<ParsedDirective, Diagnostic[]> {
  const problems: Diagnostic[] = [];
  const pairs: { key: DirectiveWord; value: DirectiveWord }[] = [];
  for (const w of words) {
    const at = w.text.indexOf('=');
    if (at <= 0 || at === w.text.length - 1) {
      const r = bad(w.span, `\`${w.text}\` is not key=value, such as memory=64M, without spaces around the =`);
      if (!r.ok) problems.push(...r.error);
      continue;
    }
    const middle = { line: w.span.start.line, column: w.span.start.column + at };
    const raw = w.text.slice(at + 1);
    const quoted = /^(["'])(.*)\1$/.exec(raw);
    pairs.push({
      key: { text: w.text.slice(0, at), span: { ...w.span, end: middle } },
      value: { text: quoted?.[2] ?? raw, span: { ...w.span, start: { line: middle.line, column: middle.column + 1 } } },
    });
  }
  if (words.length === 0) return bad(d.span, '@guest takes key=value pairs, such as `@guest start=flat64 memory=64M`');
  return problems.length > 0 ? err(problems) : ok({ kind: 'guest', pairs, span: d.span });
}

function parseBreak(d: DirectiveText, words: readonly DirectiveWord[]): Result<ParsedDirective, Diagnostic[]> {
  const at = words.findIndex((w) => w.text === 'if' || w.text === 'when');
  const [what, ...args] = at < 0 ? words : words.slice(0, at);
  const keyword = at < 0 ? undefined : words[at];
  const common = { kind: 'break', what, args, span: d.span } as const;
  if (!keyword) return ok({ ...common, condition: '' });
  const text = d.text.slice(keyword.span.end.column - d.textStart.column);
  if (text.trim() === '') return bad(keyword.span, 'a condition is missing after `if`');
  const condition = parseCondition(text, d.span.file, keyword.span.end);
  return condition.ok ? ok({ ...common, condition: text }) : condition;
}
