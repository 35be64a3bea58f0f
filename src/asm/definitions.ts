import type { ContextStack } from './contexts';
import { prefixOf } from './contexts';
import type { DiagnosticSink } from './diagnostics';
import type { LogicalLine, Token } from './lexer';
import { tokenSpan } from './lexer';
import { stringText, substring } from './macro-functions';
import type { MacroParameter, MacroTable } from './macros';
import type { StackName } from './stack-frames';
import { StackFrames } from './stack-frames';
import { lexed, numberTokens, quoted, quotedText, spell, splitParameters } from './token-text';

/** What the directives that define names need from the preprocessor. */
export interface DefinitionHost {
  readonly sink: DiagnosticSink;
  readonly macros: MacroTable;
  readonly contexts: ContextStack;
  evaluate(tokens: readonly Token[], at: Token): bigint | undefined;
  /** Two consecutive values, as for `%substr`: the first expression, and the tokens after it. */
  evaluateFirst(
    tokens: readonly Token[],
    at: Token,
  ): { readonly value: bigint; readonly rest: readonly Token[] } | undefined;
  /** The file that %include or incbin would find by a name. */
  pathOf(name: string, from: string): string | undefined;
}

/** Bytes of a string that %strcat makes: it may double in each repetition. */
const MAX_STRING = 1 << 20;

/** The directives that give single-line macros their values, and the context stack (NASM manual, 4.1, 4.2, 4.7, 4.8). */
export class Definitions {
  private readonly frames = new StackFrames();

  constructor(private readonly host: DefinitionHost) {}

  /** @returns whether the line was one of these directives */
  handle(first: Token, line: LogicalLine): boolean {
    const { macros } = this.host;
    const rest = macros.takeName(line.tokens.slice(1));
    const word = first.text.replace(
      /^%i(?=define|xdefine|assign|defstr|deftok|defalias|strlen|strcat|substr|pathsearch)/,
      '%',
    );
    const ignoreCase = word !== first.text;
    switch (word) {
      case '%define':
      case '%xdefine':
        this.define(first, rest, word === '%xdefine', ignoreCase);
        return true;
      case '%undef':
        for (const t of rest.slice(0, 1)) macros.undefine(this.nameOf(t) ?? '');
        this.nothingBehind(first, rest.slice(1));
        return true;
      case '%undefalias':
        for (const t of rest) macros.undefineAlias(this.nameOf(t) ?? '');
        return true;
      case '%aliases':
        macros.aliasesOn = rest[0]?.text.toLowerCase() !== 'off';
        return true;
      case '%push':
      case '%pop':
      case '%repl':
        this.context(first, rest);
        return true;
      case '%stacksize':
        if (!this.frames.setModel(rest[0]?.text ?? ''))
          this.error(first, '%stacksize takes flat, flat64, large or small');
        return true;
      case '%arg':
      case '%local':
        this.frame(first, macros.expand(rest));
        return true;
      case '%assign':
      case '%defstr':
      case '%deftok':
      case '%defalias':
      case '%strlen':
      case '%strcat':
      case '%substr':
      case '%pathsearch':
        this.value(word, first, rest, ignoreCase);
        return true;
      default:
        return false;
    }
  }

  private nothingBehind(first: Token, rest: readonly Token[]): void {
    const message = `the text after the name of ${first.text} is ignored`;
    if (rest[0]) this.host.sink.warning('pp-trailing', 'preprocessor', message, tokenSpan(rest[0]));
  }

  private error(at: Token, message: string): void {
    this.host.sink.error('preprocessor', message, tokenSpan(at));
  }

  /** The full name that a token defines; undefined if it is not a name. */
  private nameOf(t: Token | undefined): string | undefined {
    if (t?.kind === 'word') return t.text;
    if (t?.kind !== 'parameter' || !t.text.startsWith('%$')) return undefined;
    const name = this.host.contexts.resolve(t.text);
    if (name === undefined) this.error(t, `${t.text} belongs to a context that is not open here; open it with %push`);
    return name;
  }

  private value(word: string, first: Token, rest: readonly Token[], ignoreCase: boolean): void {
    const { macros } = this.host;
    const name = this.nameOf(rest[0]);
    if (name === undefined) {
      this.error(rest[0] ?? first, `${first.text} takes a name and a value`);
      return;
    }
    const body = this.valueOf(word, first, rest.slice(1), name);
    if (body) macros.define({ name, parameters: undefined, body }, ignoreCase);
  }

  private valueOf(word: string, first: Token, written: readonly Token[], name: string): readonly Token[] | undefined {
    const { macros } = this.host;
    if (word === '%defalias') {
      const target = this.nameOf(written[0]);
      if (target === undefined) this.error(first, '%defalias takes a new name and the name it refers to');
      else macros.defineAlias(name, target);
      return undefined;
    }
    const at: Token = { ...first, spaced: true };
    if (word === '%assign') {
      const value = this.host.evaluate(written, first);
      return value === undefined ? undefined : numberTokens(value, at);
    }
    const rest = macros.expand(splitParameters(written));
    const lead = rest[0];
    const text = lead?.kind === 'string' ? stringText(lead) : undefined;
    switch (word) {
      case '%defstr':
        return [quotedText(spell(rest), at)];
      case '%strcat': {
        const parts = rest.filter((t) => t.text !== ',' || t.kind === 'string');
        const wrong = parts.find((t) => t.kind !== 'string');
        if (wrong) this.error(wrong, '%strcat joins strings; this is not one');
        const joined = parts.map((t) => (t.kind === 'string' ? stringText(t) : '')).join('');
        if (joined.length <= MAX_STRING) return [quoted(joined, at)];
        this.error(first, `the string becomes ${joined.length} bytes long; the maximum is ${MAX_STRING}`);
        return undefined;
      }
      default:
        break;
    }
    if (text === undefined) {
      this.error(lead ?? first, `${first.text} takes a name and a string`);
      return undefined;
    }
    if (word === '%deftok') return lexed(text, at);
    if (word === '%strlen') return numberTokens(BigInt(text.length), at);
    // As in NASM, the name as it stands where no file is found.
    if (word === '%pathsearch') return [quoted(this.host.pathOf(text, first.file) ?? text, at)];
    const start = this.host.evaluateFirst(rest.slice(rest[1]?.text === ',' ? 2 : 1), first);
    if (!start) return undefined;
    const count =
      start.rest.length === 0
        ? 1n
        : this.host.evaluate(start.rest[0]?.text === ',' ? start.rest.slice(1) : start.rest, first);
    return count === undefined ? undefined : [quoted(substring(text, start.value, count), at)];
  }

  private define(first: Token, rest: readonly Token[], expandNow: boolean, ignoreCase: boolean): void {
    const written = rest[0];
    const name = this.nameOf(written);
    if (written === undefined || name === undefined) {
      this.error(written ?? first, `${first.text} takes a name and its definition`);
      return;
    }
    const hasParameters = rest[1]?.text === '(' && !rest[1].spaced;
    const parsed = hasParameters ? parseParameters(rest) : undefined;
    if (hasParameters && parsed === undefined) {
      const wrong = rest.findIndex((t, i) => i > 1 && t.text === ')') < 0;
      this.error(
        written,
        wrong ? 'the list of parameters has no `)`' : 'the parameters of a macro are names separated by commas',
      );
      return;
    }
    const body = splitParameters(rest.slice(parsed?.end ?? 1));
    this.host.macros.define(
      {
        name,
        parameters: parsed?.parameters,
        body: expandNow ? this.host.macros.expand(body, new Set(parsed?.parameters.map((p) => p.name))) : body,
      },
      ignoreCase,
      written,
    );
  }

  private context(first: Token, rest: readonly Token[]): void {
    const { contexts, macros } = this.host;
    const name = rest[0]?.text;
    this.nothingBehind(first, rest.slice(1));
    if (first.text === '%push') {
      if (!contexts.push(name)) this.error(first, 'too many contexts are open; each %push needs its %pop');
      return;
    }
    const top = contexts.top;
    if (!top) this.error(first, `${first.text}: no context is open; %push opens one`);
    else if (first.text === '%repl') contexts.rename(name);
    else if (name !== undefined && top.name?.toLowerCase() !== name.toLowerCase())
      this.error(first, `the context that is open is ${top.name ?? 'without a name'}, not ${name}`);
    else {
      contexts.pop();
      macros.undefineWithPrefix(prefixOf(top));
    }
  }

  private frame(first: Token, rest: readonly Token[]): void {
    const { macros, contexts } = this.host;
    const locals = first.text === '%local' ? this.frames.locals(rest) : undefined;
    const names: readonly StackName[] | undefined = locals
      ? locals.names
      : first.text === '%arg'
        ? this.frames.arguments(rest)
        : undefined;
    if (!names) {
      this.error(first, `${first.text} takes names with sizes: ${first.text} count:dword, flags:word`);
      return;
    }
    for (const { name, body } of names) macros.define({ name, parameters: undefined, body }, false);
    const size = locals && contexts.resolve('%$localsize');
    if (!locals || size === undefined) return;
    const before = macros.has(size) ? this.host.evaluate([{ ...first, kind: 'word', text: size }], first) : 0n;
    macros.define(
      { name: size, parameters: undefined, body: numberTokens((before ?? 0n) + BigInt(locals.bytes), first) },
      false,
    );
  }
}

/** `(a, =b, &c, d+)` from the token after the name; `end` is the index after `)`. */
function parseParameters(tokens: readonly Token[]): { parameters: readonly MacroParameter[]; end: number } | undefined {
  const parameters: MacroParameter[] = [];
  let flags = '';
  let open = false;
  for (let i = 2; i < tokens.length; i++) {
    const t = tokens[i];
    if (t?.kind === 'word') {
      if (open) return undefined;
      parameters.push({
        name: t.text,
        evaluated: flags.includes('='),
        quoted: flags.includes('&&') ? 'unlessString' : flags.includes('&') ? 'always' : 'never',
        greedy: false,
      });
      open = true;
    } else if (t?.text === '+' && open) {
      const last = parameters.pop();
      if (last) parameters.push({ ...last, greedy: true });
    } else if (t?.text === ',' || t?.text === ')') {
      // A parameter without a name takes an argument that the body does not use.
      if (!open && (t.text === ',' || parameters.length > 0))
        parameters.push({ name: '', evaluated: false, quoted: 'never', greedy: false });
      flags = '';
      open = false;
      if (t.text === ',') continue;
      return { parameters, end: i + 1 };
    } else if (t && /^(=|&|&&|!|==)$/.test(t.text)) {
      flags += t.text;
    } else {
      return undefined;
    }
  }
  return undefined;
}
