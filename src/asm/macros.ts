import type { DiagnosticSink } from './diagnostics';
import type { Token } from './lexer';
import { tokenSpan } from './lexer';

/** A single-line macro: `%define name(parameters) body`. */
export interface SingleMacro {
  readonly name: string;
  /** Undefined for an object-like macro. */
  readonly parameters: readonly string[] | undefined;
  readonly body: readonly Token[];
}

/** A line may not grow past this; a person's macros stay far below. */
const MAX_TOKENS = 100_000;
const MAX_DEPTH = 100;

/** The single-line macros in force, and their expansion (NASM manual, 4.1). */
export class MacroTable {
  /** By name, or by lower-case name for %idefine; several where they differ in the number of parameters. */
  private readonly exact = new Map<string, SingleMacro[]>();
  private readonly folded = new Map<string, SingleMacro[]>();
  private budget = MAX_TOKENS;

  constructor(private readonly sink: DiagnosticSink) {}

  define(macro: SingleMacro, ignoreCase: boolean): void {
    const table = ignoreCase ? this.folded : this.exact;
    const key = ignoreCase ? macro.name.toLowerCase() : macro.name;
    const others = (table.get(key) ?? []).filter((m) => macro.parameters !== undefined && m.parameters !== undefined && m.parameters.length !== macro.parameters.length);
    table.set(key, [...others, macro]);
  }

  undefine(name: string): void {
    this.exact.delete(name);
    this.folded.delete(name.toLowerCase());
  }

  has(name: string): boolean {
    return this.exact.has(name) || this.folded.has(name.toLowerCase());
  }

  /** Replaces macros in a line. Tokens that come out of a macro carry the place of its call. */
  expand(tokens: readonly Token[]): readonly Token[] {
    const pastes = tokens.some((t, i) => t.text === '%' && tokens[i + 1]?.text === '+');
    if (!pastes && !tokens.some((t) => t.kind === 'word' && this.has(t.text))) return tokens;
    this.budget = MAX_TOKENS;
    let out = this.expandInto(tokens, new Set(), 0);
    // A pasted name may be a macro again.
    if (pastes) out = this.expandInto(paste(out), new Set(), 0);
    const first = tokens[0];
    if (this.budget <= 0 && first) this.sink.error('preprocessor', `the macros of this line expand to more than ${MAX_TOKENS} tokens`, tokenSpan(first));
    return out;
  }

  private expandInto(tokens: readonly Token[], active: ReadonlySet<string>, depth: number): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const t = tokens[i];
      if (!t || this.budget-- <= 0) break;
      const candidates = t.kind === 'word' && !active.has(t.text) && depth < MAX_DEPTH ? (this.exact.get(t.text) ?? this.folded.get(t.text.toLowerCase())) : undefined;
      if (!candidates) {
        out.push(t);
        continue;
      }
      const call = callArguments(tokens, i + 1);
      const macro = candidates.find((m) => m.parameters !== undefined && call !== undefined && fits(m.parameters.length, call.args)) ?? candidates.find((m) => m.parameters === undefined);
      if (!macro) {
        out.push(t);
        continue;
      }
      const inner = new Set(active).add(t.text);
      if (macro.parameters === undefined || call === undefined) {
        out.push(...this.expandInto(paste(relocate(macro.body, t)), inner, depth + 1));
      } else {
        const args = call.args.map((a) => this.expandInto(a, active, depth + 1));
        const body = substitute(macro.body, macro.parameters, args, t);
        out.push(...this.expandInto(paste(body), inner, depth + 1));
        i = call.end;
      }
    }
    return out;
  }
}

const fits = (parameters: number, args: readonly (readonly Token[])[]): boolean =>
  parameters === args.length || (parameters === 0 && args.length === 1 && args[0]?.length === 0);

/** The same tokens at the place of a call. */
export const relocate = (body: readonly Token[], at: Token): Token[] =>
  body.map((t, i) => ({ ...t, file: at.file, line: at.line, column: at.column, end: at.end, spaced: i === 0 ? at.spaced : t.spaced }));

function substitute(body: readonly Token[], parameters: readonly string[], args: readonly (readonly Token[])[], at: Token): Token[] {
  const out: Token[] = [];
  for (const t of body) {
    const index = t.kind === 'word' ? parameters.indexOf(t.text) : -1;
    if (index >= 0) out.push(...(args[index] ?? []));
    else out.push(...relocate([t], at).map((x) => ({ ...x, spaced: t.spaced })));
  }
  return out;
}

/** `(a, b)` behind a function-like macro's name: the arguments, split at commas outside brackets, and the index of `)`. */
function callArguments(tokens: readonly Token[], from: number): { args: Token[][]; end: number } | undefined {
  if (tokens[from]?.text !== '(' || tokens[from]?.kind !== 'punctuation') return undefined;
  const args: Token[][] = [[]];
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    const t = tokens[i];
    if (!t) break;
    const punctuation = t.kind === 'punctuation' ? t.text : '';
    if (punctuation === '(' || punctuation === '[' || punctuation === '{') depth++;
    if (punctuation === ')' || punctuation === ']' || punctuation === '}') {
      depth--;
      if (depth === 0) return { args, end: i };
    }
    if (punctuation === ',' && depth === 1) args.push([]);
    else if (i > from) args[args.length - 1]?.push(t);
  }
  return undefined;
}

/** `a %+ b` makes one token of two. */
export function paste(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const t = tokens[i];
    const plus = tokens[i + 1];
    const right = tokens[i + 2];
    const left = out[out.length - 1];
    if (t && left && right && plus && t.text === '%' && plus.text === '+' && !plus.spaced && t.kind === 'punctuation') {
      const text = left.text + right.text;
      const kind = /^[0-9]/.test(text) ? 'number' : /^[\p{L}_.?@$]/u.test(text) ? 'word' : left.kind;
      out[out.length - 1] = { ...left, text, kind };
      i += 2;
    } else if (t) {
      out.push(t);
    }
  }
  return out;
}

/** Outside a macro body `%1` is the operator and a number, `%%x` the operator and a name. */
export function splitParameters(tokens: readonly Token[]): readonly Token[] {
  if (!tokens.some((t) => t.kind === 'parameter')) return tokens;
  return tokens.flatMap((t): Token[] => {
    if (t.kind !== 'parameter') return [t];
    const operator = t.text.startsWith('%%') ? '%%' : '%';
    let column = t.column + operator.length;
    const out: Token[] = [{ ...t, kind: 'punctuation', text: operator, end: column }];
    let rest = t.text.slice(operator.length);
    if (rest.startsWith('+') || rest.startsWith('-')) {
      out.push({ ...t, kind: 'punctuation', text: rest[0] ?? '', column, end: column + 1, spaced: false });
      rest = rest.slice(1);
      column++;
    }
    if (rest !== '') out.push({ ...t, kind: /^[0-9]/.test(rest) ? 'number' : /^[\p{L}_.?@]/u.test(rest) ? 'word' : 'bad', text: rest, column, spaced: false });
    return out;
  });
}
