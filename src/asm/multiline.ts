import type { DiagnosticSink } from './diagnostics';
import type { LogicalLine, Token } from './lexer';
import { tokenSpan } from './lexer';
import { relocate } from './macros';

/** `%macro … %endmacro` or `%rep … %endrep` with the lines between. */
export interface Block {
  readonly kind: 'macro' | 'rep';
  readonly header: LogicalLine;
  readonly body: readonly LogicalLine[];
}

const BEGIN: Readonly<Record<string, Block['kind']>> = { '%macro': 'macro', '%imacro': 'macro', '%rep': 'rep' };
const END: Readonly<Record<string, Block['kind']>> = { '%endmacro': 'macro', '%endm': 'macro', '%endrep': 'rep' };

/** Collects the lines of a block; blocks of the same kind nest. */
export class BlockReader {
  private current: { kind: Block['kind']; header: LogicalLine; body: LogicalLine[]; depth: number } | undefined;

  constructor(private readonly sink: DiagnosticSink) {}

  get open(): boolean {
    return this.current !== undefined;
  }

  begins(first: Token): boolean {
    return first.kind === 'preprocessor' && BEGIN[first.text] !== undefined;
  }

  /** @returns the block where this line ends it */
  take(line: LogicalLine): Block | undefined {
    const first = line.tokens[0];
    const word = first?.kind === 'preprocessor' ? first.text : '';
    if (!this.current) {
      this.current = { kind: BEGIN[word] ?? 'rep', header: line, body: [], depth: 0 };
      return undefined;
    }
    const c = this.current;
    if (BEGIN[word] === c.kind) c.depth++;
    if (END[word] === c.kind && c.depth-- === 0) {
      this.current = undefined;
      return { kind: c.kind, header: c.header, body: c.body };
    }
    c.body.push(line);
    return undefined;
  }

  /** Reports a block that the file's end leaves open. */
  finish(): void {
    const first = this.current?.header.tokens[0];
    if (this.current && first) this.sink.error('preprocessor', `this ${first.text} has no %end${this.current.kind}`, tokenSpan(first));
    this.current = undefined;
  }
}

interface MultiMacro {
  readonly name: string;
  readonly minimum: number;
  readonly maximum: number;
  /** The last parameter takes the rest of the line, commas and all. */
  readonly greedy: boolean;
  readonly defaults: readonly (readonly Token[])[];
  readonly body: readonly LogicalLine[];
  readonly ignoreCase: boolean;
}

export interface MacroCall {
  readonly name: Token;
  /** A label before the call, to be placed first. */
  readonly label: readonly Token[];
  /** The body as written; `MultiMacroTable.fill` puts the arguments in, line by line. */
  readonly body: readonly LogicalLine[];
  readonly frame: CallFrame;
}

/** One call of a multi-line macro: its arguments (which %rotate turns) and the number that makes its %%labels unique. */
export class CallFrame {
  constructor(
    public args: readonly (readonly Token[])[],
    readonly unique: number,
    readonly at: Token,
  ) {}

  rotate(by: number): void {
    const n = this.args.length;
    if (n === 0) return;
    const k = ((by % n) + n) % n;
    this.args = [...this.args.slice(k), ...this.args.slice(0, k)];
  }
}

/** The multi-line macros in force (NASM manual, 4.3). */
export class MultiMacroTable {
  private readonly byName = new Map<string, MultiMacro[]>();
  private calls = 0;

  constructor(private readonly sink: DiagnosticSink) {}

  has(name: string): boolean {
    return this.byName.has(name) || this.byName.has(name.toLowerCase());
  }

  remove(name: string): void {
    this.byName.delete(name);
  }

  /** `%macro name min[-max|-*][+] [defaults]` */
  define(block: Block): void {
    const [first, name, ...rest] = block.header.tokens;
    if (!first) return;
    if (name?.kind !== 'word') {
      this.sink.error('preprocessor', `${first.text} takes a name and a number of parameters: %macro name 2`, tokenSpan(name ?? first));
      return;
    }
    const text = rest.filter((t) => !t.spaced || t === rest[0]).map((t) => t.text);
    const m = /^(\d+)(?:-(\d+|\*))?(\+)?(?:\.nolist)?/.exec(text.join(''));
    if (!m) {
      this.sink.error('preprocessor', 'the number of parameters is missing: %macro name 2, or 1-3, or 1-*', tokenSpan(rest[0] ?? name));
      return;
    }
    const minimum = Number(m[1]);
    const maximum = m[2] === undefined ? minimum : m[2] === '*' ? Infinity : Number(m[2]);
    const countEnd = rest.findIndex((t, i) => i > 0 && t.spaced);
    const defaults = countEnd < 0 ? [] : splitArguments(rest.slice(countEnd), Infinity);
    const ignoreCase = first.text === '%imacro';
    const key = ignoreCase ? name.text.toLowerCase() : name.text;
    const macro: MultiMacro = { name: key, minimum, maximum, greedy: m[3] !== undefined, defaults, body: block.body, ignoreCase };
    const others = (this.byName.get(key) ?? []).filter((o) => o.minimum !== minimum || o.maximum !== maximum);
    this.byName.set(key, [...others, macro]);
  }

  /** The call that a line is, if it is one: `[label:] name arguments`. */
  call(tokens: readonly Token[]): MacroCall | undefined {
    if (this.byName.size === 0) return undefined;
    for (const at of [0, 1, 2]) {
      const name = tokens[at];
      if (name?.kind !== 'word') continue;
      if (at === 1 && tokens[0]?.kind !== 'word') return undefined;
      if (at === 2 && tokens[1]?.text !== ':') return undefined;
      const macros = this.byName.get(name.text) ?? this.byName.get(name.text.toLowerCase())?.filter((m) => m.ignoreCase);
      if (!macros || macros.length === 0) continue;
      const rest = tokens.slice(at + 1);
      const chosen = this.choose(macros, rest);
      if (!chosen) {
        this.sink.error('preprocessor', `${name.text} takes ${macros.map(arity).join(' or ')} arguments here`, tokenSpan(name));
        return { name, label: [], body: [], frame: new CallFrame([], 0, name) };
      }
      const { macro, args } = chosen;
      return { name, label: tokens.slice(0, at), body: macro.body, frame: new CallFrame(args, ++this.calls, name) };
    }
    return undefined;
  }

  private choose(macros: readonly MultiMacro[], rest: readonly Token[]): { macro: MultiMacro; args: (readonly Token[])[] } | undefined {
    for (const macro of macros) {
      const args = splitArguments(rest, macro.greedy ? Math.max(macro.maximum, 1) : Infinity);
      if (args.length < macro.minimum || args.length > macro.maximum) continue;
      const filled: (readonly Token[])[] = [...args];
      for (let i = args.length; i < macro.maximum && i - macro.minimum < macro.defaults.length; i++) filled.push(macro.defaults[i - macro.minimum] ?? []);
      return { macro, args: filled };
    }
    return undefined;
  }

  /** A line of a macro's body with the arguments of a call in place. */
  fill(tokens: readonly Token[], frame: CallFrame): readonly Token[] {
    const out: Token[] = [];
    let afterParameter = false;
    for (const t of tokens) {
      const produced = this.parameter(t, frame);
      const isParameter = t.kind === 'parameter';
      const left = out[out.length - 1];
      const [first, ...rest] = produced;
      // `j%1` and `%1_end` make one word: a parameter grows together with what touches it.
      const touches = !t.spaced && (isParameter || afterParameter) && left?.kind === 'word' && (first?.kind === 'word' || first?.kind === 'number');
      if (touches && left && first) out.splice(-1, 1, { ...left, text: left.text + first.text }, ...rest);
      else out.push(...produced.map((p, i) => (i === 0 ? { ...p, spaced: t.spaced } : p)));
      afterParameter = isParameter && t.text !== '%0';
    }
    return out;
  }

  private parameter(t: Token, { args, unique, at }: CallFrame): readonly Token[] {
    const placed = (text: string, kind: Token['kind']): Token[] => relocate([{ ...t, text, kind }], at).map((x) => ({ ...x, spaced: t.spaced }));
    if (t.kind !== 'parameter') return placed(t.text, t.kind);
    const name = t.text.replace(/^%\{(.*)\}$/, '%$1');
    if (name.startsWith('%%')) return placed(`..@${unique}.${name.slice(2)}`, 'word');
    if (name === '%0') return placed(String(args.length), 'number');
    const range = /^%(-?\d+):(-?\d+)$/.exec(name);
    const index = (text: string | undefined): number => (Number(text) < 0 ? args.length + Number(text) : Number(text) - 1);
    if (range) {
      const picked = args.slice(index(range[1]), index(range[2]) + 1);
      return picked.flatMap((a, i) => (i > 0 ? [...placed(',', 'punctuation'), ...a] : a));
    }
    const number = /^%([+-]?)(\d+)$/.exec(name);
    if (!number) {
      this.sink.error('preprocessor', `${t.text} is not known inside a macro; there are %1, %0, %%label and %{1:3}`, tokenSpan(t));
      return [];
    }
    const argument = args[Number(number[2]) - 1] ?? [];
    return number[1] === '-' ? argument.map((a) => ({ ...a, text: invertCondition(a.text) })) : argument;
  }
}

const arity = (m: MultiMacro): string => (m.minimum === m.maximum ? String(m.minimum) : m.maximum === Infinity ? `${m.minimum} or more` : `${m.minimum} to ${m.maximum}`);

/** `%-1` of a condition code is its opposite. */
function invertCondition(code: string): string {
  const table: Readonly<Record<string, string>> = { pe: 'po', po: 'pe', cxz: 'cxz', ecxz: 'ecxz' };
  const known = table[code];
  if (known !== undefined) return known;
  return code.startsWith('n') ? code.slice(1) : `n${code}`;
}

/** Splits at commas outside brackets and braces; braces around an argument keep its commas and go. The last of `limit` takes the rest. */
function splitArguments(tokens: readonly Token[], limit: number): Token[][] {
  if (tokens.length === 0) return [];
  const out: Token[][] = [[]];
  let depth = 0;
  for (const t of tokens) {
    const p = t.kind === 'punctuation' ? t.text : '';
    if (p === '(' || p === '[' || p === '{') depth++;
    if (p === ')' || p === ']' || p === '}') depth--;
    if (p === ',' && depth <= 0 && out.length < limit) out.push([]);
    else out[out.length - 1]?.push(t);
  }
  return out.map((a) => (a.length >= 2 && a[0]?.text === '{' && a[a.length - 1]?.text === '}' ? a.slice(1, -1) : a));
}
