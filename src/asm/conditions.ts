import type { ContextStack } from './contexts';
import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import { stringText } from './macro-functions';
import type { MacroTable } from './macros';
import type { MultiMacroTable } from './multiline';
import { packageSource } from './packages';
import { splitParameters } from './token-text';

/** What conditions can query. */
export interface ConditionHost {
  readonly sink: DiagnosticSink;
  readonly macros: MacroTable;
  readonly multi: MultiMacroTable;
  readonly contexts: ContextStack;
  /** The packages that %use has read. */
  readonly used: ReadonlySet<string>;
  /** The value of the tokens; undefined if they are wrong (already reported to the sink). */
  evaluate(tokens: readonly Token[], first: Token): bigint | undefined;
}

/** The conditions of %if and of the functions `%is…()` (NASM manual, 4.4). */
export class Conditions {
  constructor(private readonly host: ConditionHost) {}

  /** `kind` is what follows %if or %elif: empty, def, ndef, idn, num … */
  holds(kind: string, written: readonly Token[], first: Token): boolean {
    const negative = kind.startsWith('n') && kind !== 'num';
    return this.test(negative ? kind.slice(1) : kind, splitParameters(written), first) !== negative;
  }

  private test(kind: string, rest: readonly Token[], first: Token): boolean {
    const { macros, multi, contexts, used, sink } = this.host;
    const name = rest[0];
    const local = (t: Token): string => (t.kind === 'parameter' ? (contexts.resolve(t.text) ?? '') : t.text);
    switch (kind) {
      case '':
        // As in NASM, an empty %elif is false, though an empty %if is an error.
        if (first.text.startsWith('%elif') && macros.expand(rest).length === 0) return false;
        return (this.host.evaluate(rest, first) ?? 0n) !== 0n;
      case 'def':
      case 'defalias':
        if (!name) sink.error('preprocessor', `${first.text} takes a name`, tokenSpan(first));
        return rest.some((t) => (kind === 'defalias' ? macros.isAlias(local(t)) : macros.has(local(t))));
      case 'macro':
        return name !== undefined && multi.matches([name, ...macros.expand(rest.slice(1))]);
      case 'ctx':
        return rest.some((t) => contexts.top?.name?.toLowerCase() === t.text.toLowerCase());
      // The assembler sees no environment: the result depends only on a source's files and options.
      case 'env':
      case 'difi':
        return false;
      case 'using':
      case 'usable': {
        const t = macros.expand(rest)[0];
        const of = t?.kind === 'string' ? stringText(t) : (t?.text ?? '');
        return kind === 'using' ? used.has(of.toLowerCase()) : packageSource(of) !== undefined;
      }
      default:
        return this.testTokens(kind, macros.expand(rest), first);
    }
  }

  private testTokens(kind: string, tokens: readonly Token[], first: Token): boolean {
    switch (kind) {
      case 'empty':
        return tokens.length === 0;
      case 'num':
        return tokens.find((t) => t.text !== '-' && t.text !== '+')?.kind === 'number';
      case 'id':
        return tokens[0]?.kind === 'word';
      case 'str':
        return tokens[0]?.kind === 'string';
      case 'token':
        return tokens.length === 1;
      case 'idn':
      case 'idni': {
        const comma = tokens.findIndex((t) => t.text === ',' && t.kind === 'punctuation');
        if (comma < 0)
          this.host.sink.error(
            'preprocessor',
            `${first.text} compares two strings separated by a comma`,
            tokenSpan(first),
          );
        return comma >= 0 && identical(tokens.slice(0, comma), tokens.slice(comma + 1), kind === 'idni');
      }
      default:
        this.host.sink.error(
          'preprocessor',
          `${first.text} is not a condition; the conditions are %if, %ifdef, %ifmacro, %ifctx, %ifidn, %ifidni, %ifnum, %ifid, %ifstr, %iftoken, %ifempty and their %ifn forms`,
          tokenSpan(first),
        );
        return false;
    }
  }
}

function identical(a: readonly Token[], b: readonly Token[], ignoreCase: boolean): boolean {
  const text = (t: Token): string => {
    const plain = t.kind === 'string' ? stringText(t) : t.text;
    return ignoreCase ? plain.toLowerCase() : plain;
  };
  return (
    a.length === b.length && a.every((t, i) => t.kind === b[i]?.kind && b[i] !== undefined && text(t) === text(b[i]))
  );
}
