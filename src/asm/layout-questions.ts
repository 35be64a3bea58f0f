import type { DiagnosticSink } from './diagnostics';
import type { QualifyName } from './expression';
import { parseExpression, SyntaxFault, TokenCursor } from './expression';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import { evaluate, EvaluationFault, UNKNOWN } from './value';
import type { Scope, Value } from './value';

/**
 * What a layout of an earlier run's output found: NASM's preprocessor may ask for `$` and for labels before it, as in
 * `%if $-$$ > 510`.
 */
export interface EarlierLayout {
  symbol(name: string): Value | undefined;
  marker(id: number): Value | undefined;
}

/** The preprocessor's expressions. Those that ask for the layout leave a mark in the output, and the caller runs again with the answer. */
export class LayoutQuestions {
  /** How many expressions asked. */
  asked = 0;
  /** The label that local names belong to here. */
  scope = '';
  private readonly qualify: QualifyName = (name) =>
    name.startsWith('.') && !name.startsWith('..') ? this.scope + name : name;
  private askedFor: 'nothing' | 'symbol' | 'place' = 'nothing';

  /** @param mark puts mark `id` into the output */
  constructor(
    private readonly sink: DiagnosticSink,
    private readonly earlier: EarlierLayout | undefined,
    private readonly expand: (tokens: readonly Token[]) => readonly Token[],
    private readonly mark: (id: number, at: Token) => void,
  ) {}

  /** The number that tokens come to; undefined where they are wrong (and the sink knows). */
  evaluate(tokens: readonly Token[], first: Token): bigint | undefined {
    const found = this.evaluateFirst(tokens, first);
    const extra = found?.rest[0];
    if (found === undefined || extra === undefined) return found?.value;
    const message = `\`${extra.text}\` is not expected here and is ignored`;
    this.sink.warning('pp-trailing', 'preprocessor', message, tokenSpan(extra));
    return found.value;
  }

  /** The first expression's value, and the tokens after it. */
  evaluateFirst(tokens: readonly Token[], first: Token): { value: bigint; rest: readonly Token[] } | undefined {
    const expanded = this.expand(tokens);
    const last = expanded[expanded.length - 1] ?? first;
    const end = { line: last.line, column: last.end };
    const cursor = new TokenCursor(expanded, { file: last.file, start: end, end });
    const id = this.asked;
    this.askedFor = 'nothing';
    try {
      const e = parseExpression(cursor, this.qualify);
      const v = evaluate(e, this.scopeAt(id));
      this.leaveMark(last);
      if (v.terms.length > 0 && !v.unknown)
        throw new EvaluationFault('notConstant', 'the preprocessor needs a plain number', e.span);
      return { value: v.unknown ? 0n : v.number, rest: expanded.slice(cursor.index) };
    } catch (e) {
      if (e instanceof EvaluationFault) this.leaveMark(last);
      else if (!(e instanceof SyntaxFault)) throw e;
      this.sink.error('preprocessor', e.message, e.span);
      return undefined;
    }
  }

  private scopeAt(id: number): Scope {
    const { earlier } = this;
    return {
      symbol: (name) => {
        if (this.askedFor === 'nothing') this.askedFor = 'symbol';
        return earlier === undefined ? UNKNOWN : earlier.symbol(name);
      },
      here: () => {
        this.askedFor = 'place';
        return earlier?.marker(id) ?? UNKNOWN;
      },
      sectionStart: () => {
        this.askedFor = 'place';
        const at = earlier?.marker(id);
        return at === undefined ? UNKNOWN : { ...at, number: 0n };
      },
    };
  }

  private leaveMark(at: Token): void {
    if (this.askedFor !== 'nothing') this.mark(this.asked++, at);
  }
}
