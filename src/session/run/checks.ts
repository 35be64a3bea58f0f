/** `; @assert`, `; @log` and `; @break` of a guest file: what they ask for, and what became of them. */
import type { Span } from '../../base/diagnostic';
import { check } from '../../expr/index';
import type { Checked, Env, Expr, LogMessage } from '../../expr/index';
import type { Clauses } from './conditions';
import { conditionHolds, logText } from './conditions';
import type { Output, StopInfo } from '../types';

/** As `GuestDirectives` has them. */
export type CheckDirective =
  | {
      readonly kind: 'assert';
      readonly text: string;
      readonly expr: Expr;
      readonly atEnd: boolean;
      readonly span: Span;
    }
  | {
      readonly kind: 'log';
      readonly text: string;
      readonly message: LogMessage;
      readonly atEnd: boolean;
      readonly span: Span;
    }
  /** `exit`: at VM exits of that name, `*` at any; `filter`: one of the exception filters; `line`: where it stands. */
  | {
      readonly kind: 'break';
      readonly text: string;
      readonly at: 'line' | 'exit' | 'filter';
      readonly name: string;
      readonly condition: string;
      readonly span: Span;
    };

/** Whether a directive acts where it stands, so that there must be code there. */
export const actsAtLine = (d: CheckDirective): boolean => (d.kind === 'break' ? d.at === 'line' : !d.atEnd);

/** Of an assertion, as the report has it. A run that never came to it says so. */
export interface AssertResult extends Checked {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly reached: boolean;
}

/** A directive that is due where the guest stands: what it says, and whether the run is to stop for it. */
export interface Due {
  readonly span: Span;
  act(): StopInfo | undefined;
}

interface Assertion {
  readonly directive: Extract<CheckDirective, { kind: 'assert' }>;
  /** The first failure, else the last success. */
  result: Checked | undefined;
}

/** What the directives' actions need of the session. */
export interface CheckHost {
  env(): Env;
  output(o: Output): void;
  /** `before` of the place where the guest stands, in words. */
  place(): string;
}

export class Checks {
  private readonly assertions: Assertion[];
  /** A debugger stops at a failed check and at a breakpoint; a run of the command line reports them and goes on. */
  stops = false;

  constructor(
    private readonly directives: readonly CheckDirective[],
    private readonly clauses: ReadonlyMap<CheckDirective, Clauses>,
    private readonly host: CheckHost,
  ) {
    this.assertions = directives.flatMap((directive) =>
      directive.kind === 'assert' ? [{ directive, result: undefined }] : [],
    );
  }

  /** Those that act when the guest reaches their line. */
  get atLines(): readonly Due[] {
    return this.directives.filter(actsAtLine).map((d) => ({ span: d.span, act: () => this.act(d) }));
  }

  /** The run is over: those of the end, and those that were never reached. Called once. */
  finish(): StopInfo | undefined {
    let stop: StopInfo | undefined;
    for (const d of this.directives) if (d.kind !== 'break' && d.atEnd) stop = this.act(d) ?? stop;
    for (const { directive: d, result } of this.assertions)
      if (result === undefined) this.say(d, `@assert ${d.text}: its line was never reached\n`);
    return stop;
  }

  get results(): readonly AssertResult[] {
    return this.assertions.map(({ directive: { span, text }, result }) => ({
      file: span.file,
      line: span.start.line,
      text,
      ...(result ?? { ok: false, left: '', right: '' }),
      reached: result !== undefined,
    }));
  }

  private act(d: CheckDirective): StopInfo | undefined {
    const env = this.host.env();
    switch (d.kind) {
      case 'log':
        this.say(d, logText(d.message, env) + '\n');
        return undefined;
      case 'assert': {
        const result = check(d.expr, env);
        const kept = this.assertions.find((a) => a.directive === d);
        if (kept && kept.result?.ok !== false) kept.result = result;
        if (result.ok) return undefined;
        const sides =
          result.right === '' ? `it is ${result.left}` : `the left side is ${result.left}, the right ${result.right}`;
        const why = `@assert ${d.text} does not hold: ${sides}`;
        this.say(d, `${why}\n`);
        return this.stop('assert', 'a check failed', `${why}. ${this.host.place()}`);
      }
      case 'break': {
        const clauses = this.clauses.get(d);
        const holds = clauses && conditionHolds(clauses.condition, env);
        if (holds?.ok === false) this.say(d, `${breakName(d)}: ${holds.error.message}\n`);
        else if (holds?.value === false) return undefined;
        if (clauses?.log) {
          this.say(d, logText(clauses.log, env) + '\n');
          return undefined;
        }
        if (!this.stops) this.say(d, `${breakName(d)}: ${this.host.place()}\n`);
        return this.stop('breakpoint', breakName(d), this.host.place());
      }
    }
  }

  private stop(kind: 'assert' | 'breakpoint', title: string, why: string): StopInfo | undefined {
    return this.stops ? { kind, title, why, breakpoints: [], final: false } : undefined;
  }

  private say(d: CheckDirective, text: string): void {
    this.host.output({ channel: 'log', text, location: { file: d.span.file, line: d.span.start.line } });
  }
}

export const breakName = (d: { readonly text: string }): string => `@break ${d.text}`.trim();
