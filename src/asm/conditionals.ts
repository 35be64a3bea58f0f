import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import type { MacroTable } from './macros';
import { splitParameters } from './macros';
import type { MultiMacroTable } from './multiline';

/** One `%if` and what belongs to it. */
interface Conditional {
  readonly opened: Token;
  /** Lines are taken now. */
  taking: boolean;
  /** A branch was taken, so no later one is. */
  done: boolean;
  /** Stands inside a branch that is not taken. */
  readonly dead: boolean;
  sawElse: boolean;
}

/** What conditions are about. */
export interface ConditionContext {
  readonly sink: DiagnosticSink;
  readonly macros: MacroTable;
  readonly multi: MultiMacroTable;
  /** The number that tokens come to; undefined where they are wrong (and the sink knows). */
  evaluate(tokens: readonly Token[], first: Token): bigint | undefined;
}

/** The open conditionals of one file, macro body or repetition (NASM manual, 4.4). */
export class Conditionals {
  private readonly stack: Conditional[] = [];

  constructor(private readonly context: ConditionContext) {}

  get taking(): boolean {
    return this.stack.every((c) => c.taking);
  }

  /** Reports those that the end leaves open. */
  finish(): void {
    for (const c of this.stack) this.context.sink.error('preprocessor', `this ${c.opened.text} has no %endif`, tokenSpan(c.opened));
  }

  /** @returns whether the line was a conditional */
  handle(first: Token, tokens: readonly Token[]): boolean {
    const word = first.text;
    if (word.startsWith('%if')) {
      const dead = !this.taking;
      const holds = !dead && this.test(word.slice(3), tokens, first);
      this.stack.push({ opened: first, taking: holds, done: holds || dead, dead, sawElse: false });
      return true;
    }
    const top = this.stack[this.stack.length - 1];
    if (word.startsWith('%elif')) {
      if (!top) this.orphan(first);
      else if (top.sawElse) this.context.sink.error('preprocessor', '%elif stands behind %else', tokenSpan(first));
      else if (top.done) top.taking = false;
      else top.taking = top.done = this.test(word.slice(5), tokens, first);
      return true;
    }
    if (word === '%else') {
      if (!top) this.orphan(first);
      else {
        if (top.sawElse) this.context.sink.error('preprocessor', 'a second %else for one %if', tokenSpan(first));
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

  private orphan(first: Token): void {
    this.context.sink.error('preprocessor', `${first.text} without %if before it`, tokenSpan(first));
  }

  /** `kind` is what follows %if or %elif: empty, def, ndef, idn, num … */
  private test(kind: string, tokens: readonly Token[], first: Token): boolean {
    const negative = kind.startsWith('n') && kind !== 'num';
    const rest = splitParameters(tokens.slice(1));
    const name = rest[0];
    const plain = negative ? kind.slice(1) : kind;
    const answer = (yes: boolean): boolean => yes !== negative;
    const expanded = plain === 'def' || plain === 'macro' ? rest : this.context.macros.expand(rest);
    const lead = expanded[0];
    switch (plain) {
      case '':
        return answer((this.context.evaluate(rest, first) ?? 0n) !== 0n);
      case 'def':
        if (!name) this.context.sink.error('preprocessor', `${first.text} takes a name`, tokenSpan(first));
        return answer(rest.some((t) => t.kind === 'word' && this.context.macros.has(t.text)));
      case 'macro':
        return answer(name !== undefined && this.context.multi.has(name.text));
      case 'empty':
        return answer(expanded.length === 0);
      case 'num':
        return answer(expanded.length > 0 && expanded[expanded.length - 1]?.kind === 'number' && expanded.length <= 2);
      case 'id':
        return answer(expanded.length === 1 && lead?.kind === 'word');
      case 'str':
        return answer(expanded.length === 1 && lead?.kind === 'string');
      case 'token':
        return answer(expanded.length === 1);
      case 'idn':
      case 'idni': {
        const comma = expanded.findIndex((t) => t.text === ',' && t.kind === 'punctuation');
        const text = (ts: readonly Token[]): string => ts.map((t) => (plain === 'idni' ? t.text.toLowerCase() : t.text)).join(' ');
        if (comma < 0) this.context.sink.error('preprocessor', `${first.text} compares two texts with a comma between them`, tokenSpan(first));
        return answer(comma >= 0 && text(expanded.slice(0, comma)) === text(expanded.slice(comma + 1)));
      }
      default:
        this.context.sink.error('preprocessor', `${first.text} is not known; there are %if, %ifdef, %ifmacro, %ifidn, %ifidni, %ifnum, %ifid, %ifstr, %ifempty and their %ifn forms`, tokenSpan(first));
        return false;
    }
  }
}
