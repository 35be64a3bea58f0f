import type { Conditions } from './conditions';
import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';

/** One `%if` and its branches. */
interface Conditional {
  readonly opened: Token;
  /** Lines are being assembled. */
  taking: boolean;
  /** A branch was taken, so later ones are skipped. */
  done: boolean;
  /** Inside a branch that is not taken. */
  readonly dead: boolean;
  sawElse: boolean;
}

/** Evaluates the condition after %if and %elif. */
export interface ConditionContext {
  readonly sink: DiagnosticSink;
  readonly conditions: Conditions;
}

/** The open conditionals of one file, macro body or repetition (NASM manual, 4.4). */
export class Conditionals {
  private readonly stack: Conditional[] = [];

  constructor(private readonly context: ConditionContext) {}

  get taking(): boolean {
    return this.stack.every((c) => c.taking);
  }

  /** Reports conditionals that are still open at the end. */
  finish(): void {
    for (const c of this.stack)
      this.context.sink.error('preprocessor', `this ${c.opened.text} has no %endif`, tokenSpan(c.opened));
  }

  /** @returns whether the line was a conditional */
  handle(first: Token, tokens: readonly Token[]): boolean {
    const word = first.text;
    if (word.startsWith('%if')) {
      const dead = !this.taking;
      const holds = !dead && this.context.conditions.holds(word.slice(3), tokens.slice(1), first);
      this.stack.push({ opened: first, taking: holds, done: holds || dead, dead, sawElse: false });
      return true;
    }
    const top = this.stack[this.stack.length - 1];
    if (word.startsWith('%elif')) {
      if (!top) this.orphan(first);
      else if (top.sawElse) this.misplaced(top, first);
      else if (top.done) top.taking = false;
      else top.taking = top.done = this.context.conditions.holds(word.slice(5), tokens.slice(1), first);
      return true;
    }
    if (word === '%else' || word === '%endif') this.nothingBehind(tokens);
    if (word === '%else') {
      if (!top) this.orphan(first);
      else {
        if (top.sawElse) this.misplaced(top, first);
        top.taking = !top.done;
        top.done = true;
        top.sawElse = true;
      }
      return true;
    }
    if (word === '%endif') {
      if (!this.stack.pop()) this.orphan(first);
      return true;
    }
    return false;
  }

  private nothingBehind(tokens: readonly Token[]): void {
    const extra = tokens[1];
    if (extra)
      this.context.sink.warning(
        'pp-trailing',
        'preprocessor',
        `the text after ${tokens[0]?.text ?? ''} is ignored`,
        tokenSpan(extra),
      );
  }

  /** NASM warns, and skips everything that follows. */
  private misplaced(top: Conditional, first: Token): void {
    top.done = true;
    top.taking = false;
    const name = first.text === '%else' ? 'pp-else-else' : 'pp-else-elif';
    const message = `${first.text} comes after %else and is ignored`;
    this.context.sink.warning(name, 'preprocessor', message, tokenSpan(first));
  }

  private orphan(first: Token): void {
    this.context.sink.error('preprocessor', `${first.text} without %if before it`, tokenSpan(first));
  }
}
