import { counted } from '../base/plural';
import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';
import type { CallArguments } from './token-text';
import {
  callArguments,
  closingBracket,
  glue,
  isLocal,
  isPaste,
  numberTokens,
  paste,
  quotedText,
  relocate,
  spell,
  unbraced,
} from './token-text';

/** One parameter of a single-line macro. `(=n)` evaluates its argument, `(&s)` makes it a string, `(&&s)` unless it is one, `(rest+)` takes all that is left. */
export interface MacroParameter {
  readonly name: string;
  readonly evaluated: boolean;
  readonly quoted: 'never' | 'always' | 'unlessString';
  readonly greedy: boolean;
}

/** What a function or a macro of NASM's own turns its arguments into. */
export type MacroFunction = (args: readonly (readonly Token[])[], call: Token) => readonly Token[];

/** A single-line macro: `%define name(parameters) body`, or one of NASM's own. */
export interface SingleMacro {
  readonly name: string;
  /** Undefined for an object-like macro. */
  readonly parameters: readonly MacroParameter[] | undefined;
  readonly body: readonly Token[] | MacroFunction;
  /** Arguments that may be missing at the end, or may come more than once; both are 0 for what a source defines. */
  readonly optional?: number;
  readonly variadic?: boolean;
}

/** What macros ask of the preprocessor. */
export interface MacroHost {
  readonly sink: DiagnosticSink;
  /** A number; undefined where the tokens are wrong (and the sink knows). */
  evaluate(tokens: readonly Token[], at: Token): bigint | undefined;
  /** The source asks for more than is carried out; nothing of it is used. */
  refuse(why: string, at: Token): void;
  /** The full name of `%$x`; undefined where no such context is open. */
  resolveLocal(text: string): string | undefined;
}

/** Limit on the tokens of a line; a person's macros stay far below. */
const MAX_TOKENS = 100_000;
/** What macros put in, in all lines together: a file of short lines, each of which grows to MAX_TOKENS, would not end. */
const MAX_INSERTED = 4_000_000;
const MAX_DEPTH = 100;
/** `a %+ b` may make a macro's name, whose body pastes again. */
const MAX_PASTES = 100;

const NOTHING: ReadonlySet<string> = new Set();

/** The single-line macros in force, and their expansion (NASM manual, 4.1). */
export class MacroTable {
  /** By name, or by lower-case name for %idefine; several where they differ in the number of parameters. */
  private readonly exact = new Map<string, SingleMacro[]>();
  private readonly folded = new Map<string, SingleMacro[]>();
  /** `%defalias`: another name for a macro, followed whenever either is defined or used. */
  private readonly aliases = new Map<string, string>();
  private budget = MAX_TOKENS;
  /** Tokens of macros' bodies and arguments that were gone through so far. */
  private inserted = 0;
  aliasesOn = true;

  constructor(private readonly host: MacroHost) {}

  /** @param at where a source defines it; absent for NASM's own */
  define(macro: SingleMacro, ignoreCase: boolean, at?: Token): void {
    const name = this.followed(macro.name);
    if (at) this.checkRedefinition(name, macro.parameters !== undefined, ignoreCase, at);
    const table = ignoreCase ? this.folded : this.exact;
    const key = ignoreCase ? name.toLowerCase() : name;
    const others = (table.get(key) ?? []).filter(
      (m) =>
        macro.parameters !== undefined && m.parameters !== undefined && m.parameters.length !== macro.parameters.length,
    );
    table.set(key, [...others, { ...macro, name }]);
  }

  private checkRedefinition(name: string, hasParameters: boolean, ignoreCase: boolean, at: Token): void {
    const warn = (kind: 'pp-macro-def-param-single' | 'pp-macro-def-case-single', message: string): void =>
      this.host.sink.warning(kind, 'preprocessor', message, tokenSpan(at));
    const same = ignoreCase ? this.folded.get(name.toLowerCase()) : this.exact.get(name);
    if (same?.some((m) => (m.parameters !== undefined) !== hasParameters))
      warn('pp-macro-def-param-single', `the macro ${name} is defined with and without parameters; %undef it first`);
    const shadowed = ignoreCase
      ? [...this.exact.keys()].find((k) => k.toLowerCase() === name.toLowerCase())
      : this.folded.get(name.toLowerCase())?.[0]?.name;
    if (shadowed !== undefined)
      warn(
        'pp-macro-def-case-single',
        `the macros ${name} and ${shadowed} hide each other: one ignores case and the other does not`,
      );
  }

  defineAlias(name: string, target: string): void {
    this.aliases.set(name, target);
  }

  undefineAlias(name: string): void {
    this.aliases.delete(name);
  }

  isAlias(name: string): boolean {
    return this.aliases.has(name);
  }

  undefine(name: string): void {
    const real = this.followed(name);
    this.exact.delete(real);
    this.folded.delete(real.toLowerCase());
  }

  /** Forgets what is local to a context. */
  undefineWithPrefix(prefix: string): void {
    for (const table of [this.exact, this.folded, this.aliases])
      for (const key of table.keys()) if (key.startsWith(prefix.toLowerCase())) table.delete(key);
  }

  has(name: string): boolean {
    const real = this.followed(name);
    return this.exact.has(real) || this.folded.has(real.toLowerCase());
  }

  /** The name that aliases lead to; a cycle ends where it began. */
  private followed(name: string): string {
    let at = name;
    if (this.aliasesOn) for (let i = 0; i < MAX_DEPTH && this.aliases.has(at); i++) at = this.aliases.get(at) ?? at;
    return at;
  }

  clear(): void {
    for (const table of [this.exact, this.folded, this.aliases]) table.clear();
  }

  /** Replaces only `%[…]`, as in the lines of directives. */
  expandIndirect(tokens: readonly Token[]): readonly Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const t = tokens[i];
      if (t?.kind === 'parameter' && t.text === '%[') {
        const end = closingBracket(tokens, i);
        out.push(...this.expand(tokens.slice(i + 1, end)).map((x, k) => (k === 0 ? { ...x, spaced: t.spaced } : x)));
        i = end;
      } else if (t) out.push(t);
    }
    return glue(out);
  }

  /**
   * Replaces macros in a line. Tokens that come out of a macro carry the place of its call.
   * @param except names that stay, as the parameters of the macro being defined
   */
  expand(tokens: readonly Token[], except: ReadonlySet<string> = NOTHING): readonly Token[] {
    if (!tokens.some((t) => t.kind === 'parameter' || isPaste(t) || (t.kind === 'word' && this.has(t.text))))
      return tokens;
    this.budget = MAX_TOKENS;
    const out = this.expandFully(tokens, except, 0).map((t) => (isLocal(t) ? this.named(t) : t));
    const first = tokens[0];
    if (this.budget <= 0 && first)
      this.host.sink.error(
        'preprocessor',
        `the macros of this line expand to more than ${MAX_TOKENS} tokens`,
        tokenSpan(first),
      );
    if (this.inserted > MAX_INSERTED && first)
      this.host.refuse(`the macros of this file expand to more than ${MAX_INSERTED} tokens`, first);
    return out;
  }

  /** A name such as `%$x` in a directive, as formed by `%$x%[n]`. @returns it and what follows it */
  takeName(tokens: readonly Token[]): readonly Token[] {
    let n = 1;
    while (tokens[n]?.kind === 'parameter' && tokens[n]?.spaced === false) n++;
    if (n === 1) return tokens;
    return [
      ...glue([...tokens.slice(0, 1), ...this.expandInto(tokens.slice(1, n), new Set(), 0)], true),
      ...tokens.slice(n),
    ];
  }

  private expandFully(tokens: readonly Token[], active: ReadonlySet<string>, depth: number): readonly Token[] {
    let out: readonly Token[] = this.expandInto(tokens, active, depth);
    for (let i = 0; i < MAX_PASTES; i++) {
      const joined = glue(paste(out), true);
      // A pasted name may be a macro again.
      if (joined === out) break;
      out = this.expandInto(joined, active, depth);
    }
    return out;
  }

  private expandInto(tokens: readonly Token[], active: ReadonlySet<string>, depth: number): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const t = tokens[i];
      if (!t || this.budget-- <= 0 || this.inserted > MAX_INSERTED) break;
      if (depth > 0) this.inserted++;
      if (t.text === '%[' && t.kind === 'parameter') {
        const end = closingBracket(tokens, i);
        const inner = this.expandFully(tokens.slice(i + 1, end), active, depth + 1);
        out.push(...inner.map((x, k) => (k === 0 ? { ...x, spaced: t.spaced } : x)));
        i = end;
        continue;
      }
      const taken = this.call(tokens, i, t, active, depth);
      if (!taken) {
        out.push(t);
        continue;
      }
      const last = taken.tokens[taken.tokens.length - 1];
      i = taken.end;
      // a body may end in the name of a macro whose arguments follow the call
      if (last && last.text !== t.text && tokens[i + 1]?.text === '(') {
        const joined = this.call([last, ...tokens.slice(i + 1)], 0, last, active, depth + 1);
        if (joined) {
          out.push(...taken.tokens.slice(0, -1), ...joined.tokens);
          i += joined.end;
          continue;
        }
      }
      out.push(...taken.tokens);
    }
    return out;
  }

  /** A `%$x` that is not a macro, as the label it stands for. */
  private named(t: Token): Token {
    const name = this.host.resolveLocal(t.text);
    if (name === undefined)
      this.host.sink.error(
        'preprocessor',
        `${t.text} belongs to a context that is not open here; open it with %push`,
        tokenSpan(t),
      );
    return { ...t, kind: 'word', text: name ?? t.text.replace(/^%\$+/, '..@0.') };
  }

  /** The expansion of the macro that token `i` names, and the index of the call's last token. */
  private call(
    tokens: readonly Token[],
    i: number,
    t: Token,
    active: ReadonlySet<string>,
    depth: number,
  ): { tokens: readonly Token[]; end: number } | undefined {
    if ((t.kind !== 'word' && t.kind !== 'parameter') || depth >= MAX_DEPTH) return undefined;
    const isFunction = t.kind === 'parameter' && !isLocal(t);
    const written = isLocal(t) ? this.host.resolveLocal(t.text) : t.text;
    if (written === undefined) return undefined;
    const real = this.followed(isFunction ? written.toLowerCase() : written);
    if (active.has(real) && !isFunction) return undefined;
    const candidates = this.exact.get(real) ?? this.folded.get(real.toLowerCase());
    if (!candidates) return undefined;
    const call = callArguments(tokens, i + 1);
    const macro =
      candidates.find((m) => m.parameters !== undefined && call !== undefined && fits(m, call.raw)) ??
      candidates.find((m) => m.parameters === undefined);
    if (!macro) {
      if (call && call.raw.length > 0 && !isFunction) {
        const message = `the macro ${written} does not take ${counted(call.raw.length, 'argument')}, so this is not a call of it`;
        this.host.sink.warning('pp-macro-params-single', 'preprocessor', message, tokenSpan(t));
      }
      return undefined;
    }
    const inner = isFunction ? active : new Set(active).add(real);
    const args =
      macro.parameters === undefined || call === undefined
        ? []
        : this.arguments(macro, macro.parameters, call, t, active, depth);
    const body =
      typeof macro.body === 'function'
        ? macro.body(args, t)
        : substitute(macro.body, macro.parameters ?? [], args, t, macro.name);
    return {
      tokens: this.expandInto(glue(relocate(body, t)), inner, depth + 1),
      end: macro.parameters === undefined || call === undefined ? i : call.end,
    };
  }

  private arguments(
    macro: SingleMacro,
    parameters: readonly MacroParameter[],
    call: CallArguments,
    at: Token,
    active: ReadonlySet<string>,
    depth: number,
  ): (readonly Token[])[] {
    const raw = greedily(call.raw, parameters);
    const out: (readonly Token[])[] = [];
    for (let i = 0; i < Math.max(raw.length, parameters.length); i++) {
      const p = parameters[Math.min(i, parameters.length - 1)];
      const arg = unbraced(raw[i] ?? []);
      const expanded = (): readonly Token[] => this.expandFully(arg, active, depth + 1);
      if (p?.evaluated) {
        const value =
          arg.length === 0 && i >= parameters.length - (macro.optional ?? 0) ? undefined : this.host.evaluate(arg, at);
        out.push(value === undefined ? [] : numberTokens(value, at));
      } else if (p && p.quoted !== 'never') {
        const text = expanded();
        const isString = text.length === 1 && text[0]?.kind === 'string';
        out.push(p.quoted === 'unlessString' && isString ? text : [quotedText(spell(text), at)]);
      } else {
        out.push(expanded());
      }
    }
    return out;
  }
}

function fits(macro: SingleMacro, args: readonly (readonly Token[])[]): boolean {
  const count = macro.parameters?.length ?? 0;
  if (count === 0) return args.length === 1 && args[0]?.length === 0;
  const greedy = macro.parameters?.[count - 1]?.greedy === true;
  if (macro.variadic || greedy) return args.length >= count - (macro.optional ?? 0) - (greedy && count > 1 ? 1 : 0);
  return args.length <= count && args.length >= count - (macro.optional ?? 0);
}

/** The arguments with those that a greedy last parameter takes joined by their commas. */
function greedily(
  raw: readonly (readonly Token[])[],
  parameters: readonly MacroParameter[],
): readonly (readonly Token[])[] {
  const n = parameters.length;
  if (!parameters[n - 1]?.greedy || raw.length <= n) return raw;
  const rest = raw.slice(n - 1).flatMap((a, i): readonly Token[] => {
    const first = a[0] ?? raw[0]?.[0];
    return i === 0 || !first ? a : [{ ...first, kind: 'punctuation', text: ',', spaced: false }, ...a];
  });
  return [...raw.slice(0, n - 1), rest];
}

function substitute(
  body: readonly Token[],
  parameters: readonly MacroParameter[],
  args: readonly (readonly Token[])[],
  at: Token,
  name: string,
): Token[] {
  const out: Token[] = [];
  let comma: Token | undefined;
  const put = (tokens: readonly Token[]): void => {
    if (tokens.length > 0 && comma) out.push({ ...comma, text: ',' });
    if (tokens.length > 0) comma = undefined;
    out.push(...tokens);
  };
  for (const t of body) {
    const index = t.kind === 'word' ? parameters.findIndex((p) => p.name === t.text) : -1;
    // `%,` is a comma where anything follows it.
    if (t.kind === 'punctuation' && t.text === '%,') comma = t;
    else if (index >= 0) put((args[index] ?? []).map((x, i) => (i === 0 ? { ...x, spaced: t.spaced } : x)));
    else if (t.kind === 'parameter' && /^%\*?\?\??$/.test(t.text))
      put([{ ...at, text: t.text.endsWith('??') ? name : at.text, spaced: t.spaced }]);
    else put([t]);
  }
  return out;
}
