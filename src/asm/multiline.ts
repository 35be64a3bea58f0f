import type { DiagnosticSink } from './diagnostics';
import type { LogicalLine, Token } from './lexer';
import { tokenSpan } from './lexer';
import { CONDITION_SYNONYMS } from './names';
import { glue, relocate, unbraced } from './token-text';

/** `%macro … %endmacro` or `%rep … %endrep` with the lines between. */
export interface Block {
  readonly kind: 'macro' | 'rep';
  readonly header: LogicalLine;
  readonly body: readonly LogicalLine[];
}

const BEGIN: Readonly<Record<string, Block['kind']>> = {
  '%macro': 'macro',
  '%imacro': 'macro',
  '%rmacro': 'macro',
  '%irmacro': 'macro',
  '%rep': 'rep',
};
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

  /** Reports a block that is still open at the end of the file. */
  finish(): void {
    const first = this.current?.header.tokens[0];
    if (this.current && first)
      this.sink.error('preprocessor', `this ${first.text} has no %end${this.current.kind}`, tokenSpan(first));
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
  /** Made by %rmacro: may call itself. */
  readonly recursive: boolean;
  /** The body names %00: it places the label before the call itself. */
  readonly takesLabel: boolean;
  /** How many expansions are under way. */
  inProgress: number;
}

export interface MacroCall {
  readonly name: Token;
  /** A label before the call, to be placed first. */
  readonly label: readonly Token[];
  /** The body as written; `MultiMacroTable.fill` puts the arguments in, line by line. */
  readonly body: readonly LogicalLine[];
  readonly frame: CallFrame;
  /** To be called when the body has been expanded. */
  done(): void;
}

/** One call of a multi-line macro: its arguments (which %rotate turns) and the number that makes its %%labels unique. */
export class CallFrame {
  constructor(
    public args: readonly (readonly Token[])[],
    readonly unique: number,
    readonly at: Token,
    /** The macro's name as its definition has it. */
    readonly macro: string,
    readonly label: readonly Token[],
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

  /** `%unmacro name parameters`; without a number of parameters, all of that name. */
  remove(tokens: readonly Token[]): void {
    const [name, ...rest] = tokens;
    if (!name) return;
    const count = parseCount(rest.map((t) => t.text).join(''));
    for (const key of [name.text, name.text.toLowerCase()]) {
      const left = (this.byName.get(key) ?? []).filter(
        (m) =>
          count !== undefined &&
          (m.minimum !== count.minimum || m.maximum !== count.maximum || m.greedy !== count.greedy),
      );
      if (left.length > 0) this.byName.set(key, left);
      else this.byName.delete(key);
    }
  }

  clear(): void {
    this.byName.clear();
  }

  /** Whether `%ifmacro name parameters` holds: a call with such a number would be one of the macro's. */
  matches(tokens: readonly Token[]): boolean {
    const [name, ...rest] = tokens;
    const macros = name === undefined ? undefined : this.named(name.text);
    const count = parseCount(rest.map((t) => t.text).join(''));
    if (!macros) return false;
    return (
      count === undefined ||
      macros.some((m) => (m.minimum <= count.maximum || count.greedy) && (m.maximum >= count.minimum || m.greedy))
    );
  }

  private named(name: string): readonly MultiMacro[] | undefined {
    return this.byName.get(name) ?? this.byName.get(name.toLowerCase())?.filter((m) => m.ignoreCase);
  }

  /** `%macro name min[-max|-*][+] [defaults]` */
  define(block: Block, expand: (tokens: readonly Token[]) => readonly Token[]): void {
    const [first, name, ...written] = block.header.tokens;
    const rest = expand(written);
    if (!first) return;
    if (name?.kind !== 'word') {
      this.sink.error(
        'preprocessor',
        `${first.text} takes a name and a number of parameters: %macro name 2`,
        tokenSpan(name ?? first),
      );
      return;
    }
    const text = rest.filter((t) => !t.spaced || t === rest[0]).map((t) => t.text);
    const count = parseCount(text.join(''));
    if (!count) {
      this.sink.error(
        'preprocessor',
        'the number of parameters is missing: %macro name 2, or 1-3, or 1-*',
        tokenSpan(rest[0] ?? name),
      );
      return;
    }
    const { minimum, maximum, greedy } = count;
    const countEnd = rest.findIndex((t, i) => i > 0 && t.spaced);
    const defaults = countEnd < 0 ? [] : splitArguments(rest.slice(countEnd), Infinity);
    const ignoreCase = first.text.startsWith('%i');
    const key = ignoreCase ? name.text.toLowerCase() : name.text;
    const takesLabel = block.body.some((l) => l.tokens.some((t) => t.kind === 'parameter' && t.text === '%00'));
    const macro: MultiMacro = {
      name: name.text,
      minimum,
      maximum,
      greedy,
      defaults,
      body: block.body,
      ignoreCase,
      takesLabel,
      recursive: first.text.endsWith('rmacro'),
      inProgress: 0,
    };
    if (defaults.length > maximum - minimum) {
      const message = `${name.text} has more defaults than parameters that may be left out`;
      this.sink.warning('pp-macro-defaults', 'preprocessor', message, tokenSpan(name));
    }
    if (this.byName.get(key)?.some((o) => o.minimum <= maximum && minimum <= o.maximum)) {
      const message = `the macro ${name.text} is already defined for this number of parameters`;
      this.sink.warning('pp-macro-redef-multi', 'preprocessor', message, tokenSpan(name));
    }
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
      const macros = this.named(name.text);
      if (!macros || macros.length === 0) continue;
      const rest = tokens.slice(at + 1);
      const label = tokens.slice(0, at);
      const chosen = this.choose(macros, rest);
      if (!chosen) {
        const counts = macros.map(arity).join(' or ');
        // As in NASM, a macro may take over some uses of a name and leave the others alone.
        const message = `the macro ${name.text} takes ${counts === '1' ? '1 argument' : `${counts} arguments`}, so this is not a call of it`;
        this.sink.warning('pp-macro-params-multi', 'preprocessor', message, tokenSpan(name));
        return undefined;
      }
      const { macro, args } = chosen;
      if (macro.inProgress > (macro.recursive ? MAX_RECURSION : 0)) return undefined;
      macro.inProgress++;
      const frame = new CallFrame(args, ++this.calls, name, macro.name, label.slice(0, 1));
      return { name, label: macro.takesLabel ? [] : label, body: macro.body, frame, done: () => macro.inProgress-- };
    }
    return undefined;
  }

  private choose(
    macros: readonly MultiMacro[],
    rest: readonly Token[],
  ): { macro: MultiMacro; args: (readonly Token[])[] } | undefined {
    for (const macro of macros) {
      const args = splitArguments(rest, macro.greedy ? Math.max(macro.maximum, 1) : Infinity);
      if (args.length < macro.minimum || args.length > macro.maximum) continue;
      const filled: (readonly Token[])[] = [...args];
      for (let i = args.length; i < macro.maximum && i - macro.minimum < macro.defaults.length; i++)
        filled.push(macro.defaults[i - macro.minimum] ?? []);
      return { macro, args: filled };
    }
    return undefined;
  }

  /** A line of a macro's body with the arguments of a call in place. */
  fill(tokens: readonly Token[], frame: CallFrame): readonly Token[] {
    const { at } = frame;
    const before = this.placed.get(tokens);
    if (before && before.at.line === at.line && before.at.column === at.column && before.at.file === at.file)
      if (before.at.end === at.end) return before.filled;
    const filled = this.fillAnew(tokens, frame);
    // a line without parameters is the same in every call of one line, as when macros call macros
    if (!tokens.some((t) => t.kind === 'parameter')) this.placed.set(tokens, { at, filled });
    return filled;
  }
  private readonly placed = new WeakMap<readonly Token[], { readonly at: Token; readonly filled: readonly Token[] }>();

  private fillAnew(tokens: readonly Token[], frame: CallFrame): readonly Token[] {
    const filled = tokens.flatMap((t) =>
      this.parameter(t, frame).map((p, i) => (i === 0 ? { ...p, spaced: t.spaced } : p)),
    );
    // `j%1` and `%1_end` make one word: a parameter grows together with what touches it.
    return glue(filled);
  }

  private parameter(t: Token, frame: CallFrame): readonly Token[] {
    const { args, unique, at, label } = frame;
    const placed = (text: string, kind: Token['kind']): Token[] =>
      relocate([{ ...t, text, kind }], at).map((x) => ({ ...x, spaced: t.spaced }));
    if (t.kind !== 'parameter') return placed(t.text, t.kind);
    const name = t.text;
    if (name.startsWith('%%')) return placed(`..@${unique}.${name.slice(2)}`, 'word');
    if (name === '%0') return placed(String(args.length), 'number');
    if (name === '%00') return label;
    if (name === '%?') return placed(at.text, 'word');
    if (name === '%??') return placed(frame.macro, 'word');
    const range = /^%(-?\d+):(-?\d+)$/.exec(name);
    if (range) return this.range(frame, Number(range[1]), Number(range[2]), placed(',', 'punctuation'));
    const number = /^%([+-]?)(\d+)$/.exec(name);
    if (!number) return placed(name, 'parameter');
    const argument = args[Number(number[2]) - 1] ?? [];
    if (number[1] === '') return argument;
    const code = argument[0]?.text.toLowerCase() ?? '';
    if (argument.length !== 1 || !CONDITION_CODES.has(code)) {
      this.sink.error(
        'preprocessor',
        `${name} takes a condition code such as z or nz; the argument is not one`,
        tokenSpan(at),
      );
      return [];
    }
    return argument.map((a) => ({ ...a, text: number[1] === '-' ? invertCondition(code) : code }));
  }

  /** `%{2:4}`; negative numbers count from the last argument, and a range may run backwards. */
  private range({ args }: CallFrame, first: number, last: number, comma: readonly Token[]): readonly Token[] {
    const index = (n: number): number => (n < 0 ? args.length + n : n - 1);
    const from = index(first);
    const to = index(last);
    const step = from <= to ? 1 : -1;
    const out: Token[] = [];
    for (let i = from; ; i += step) {
      const arg = args[i];
      if (!arg) break;
      out.push(...(out.length > 0 ? comma : []), ...arg);
      if (i === to) break;
    }
    return out;
  }
}

const CONDITION_CODES: ReadonlySet<string> = new Set([
  ...CONDITION_SYNONYMS.filter(([name]) => name.startsWith('j')).flatMap((pair) => pair.map((n) => n.slice(1))),
  'cxz',
  'ecxz',
  'rcxz',
]);
/** Deeper recursion of an %rmacro is left unexpanded, so that it ends. */
const MAX_RECURSION = 100;

/** `2`, `1-3`, `1-*`, each followed by `+` for a greedy last parameter. */
function parseCount(text: string): { minimum: number; maximum: number; greedy: boolean } | undefined {
  const m = /^(\d+)(?:-(\d+|\*))?(\+)?(?:\.nolist)?/.exec(text);
  if (!m) return undefined;
  const minimum = Number(m[1]);
  return {
    minimum,
    maximum: m[2] === undefined ? minimum : m[2] === '*' ? Infinity : Number(m[2]),
    greedy: m[3] !== undefined,
  };
}

const arity = (m: MultiMacro): string =>
  m.minimum === m.maximum
    ? String(m.minimum)
    : m.maximum === Infinity
      ? `${m.minimum} or more`
      : `${m.minimum} to ${m.maximum}`;

/** `%-1` of a condition code is its opposite. */
function invertCondition(code: string): string {
  const table: Readonly<Record<string, string>> = { pe: 'po', po: 'pe', cxz: 'cxz', ecxz: 'ecxz' };
  const known = table[code];
  if (known !== undefined) return known;
  return code.startsWith('n') ? code.slice(1) : `n${code}`;
}

/** Splits at commas outside braces; braces around an argument keep its commas and go. The last of `limit` takes the rest. */
function splitArguments(tokens: readonly Token[], limit: number): (readonly Token[])[] {
  if (tokens.length === 0) return [];
  const out: Token[][] = [[]];
  let depth = 0;
  for (const t of tokens) {
    const p = t.kind === 'punctuation' ? t.text : '';
    if (p === '{') depth++;
    if (p === '}') depth--;
    if (p === ',' && depth <= 0 && out.length < limit) out.push([]);
    else out[out.length - 1]?.push(t);
  }
  return out.map(unbraced);
}
