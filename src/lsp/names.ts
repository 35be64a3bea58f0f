/**
 * Definitions and uses of each name, from the lines of a program as written: also in macro bodies and in untaken
 * branches of %if, so a rename misses none.
 *
 * Names have keys. A label, constant or macro: its name; a local label: `owner.name`; a name of one macro body, `%%again`: with the
 * place of the body; a parameter of a single-line macro: with the place of its definition.
 */
import { registerByName, type LogicalLine, type Token } from '../asm/index';
import { isReservedWord } from '../asm/parser';
import { shapeOf } from './shape';

export type NameKind = 'label' | 'constant' | 'define' | 'macro' | 'structure' | 'parameter';

/** A place that holds a name: a token or, in `owner.local`, a part of one. */
export interface Occurrence {
  readonly key: string;
  /** Where the name is defined: what it names. */
  readonly defines: NameKind | undefined;
  readonly file: string;
  readonly line: number;
  /** 1-based, the end exclusive. */
  readonly column: number;
  readonly end: number;
  readonly text: string;
}

/** Preprocessor words that define the name after them. */
const DEFINERS = /^%(i?(x?define|defalias|assign|x?defstr|deftok|strlen|substr|strcat|pathsearch))$/;
const MACRO_BEGIN = /^%i?macro$/;
const MACRO_END = /^%endm(acro)?$/;

/** The names of the multi-line macros that some lines define. */
export function macroNames(lines: readonly LogicalLine[]): string[] {
  return lines.flatMap(({ tokens: [first, name] }) =>
    first?.kind === 'preprocessor' && MACRO_BEGIN.test(first.text) && name?.kind === 'word' ? [name.text] : [],
  );
}

/** The names, in lower case, of case-insensitive macros: those of %idefine and similar. */
function foldedNames(lines: readonly LogicalLine[]): string[] {
  return lines.flatMap(({ tokens: [first, name] }) =>
    first?.kind === 'preprocessor' &&
    /^%i(x?define|defalias|assign|x?defstr|deftok|strlen|substr|strcat|macro)$/.test(first.text) &&
    name
      ? [name.text.toLowerCase()]
      : [],
  );
}

export class Names {
  private readonly byKey = new Map<string, Occurrence[]>();
  private readonly byLine = new Map<string, Occurrence[]>();

  /** @param found all that hold a name; those that nothing defines are left out */
  constructor(found: readonly Occurrence[]) {
    const defined = new Set(found.flatMap((each) => (each.defines ? [each.key] : [])));
    for (const each of found) {
      if (!defined.has(each.key)) continue;
      push(this.byKey, each.key, each);
      push(this.byLine, `${each.file}:${each.line}`, each);
    }
  }

  /** Of NASM sources. */
  static of(files: Iterable<readonly LogicalLine[]>): Names {
    const all = [...files];
    const macros = new Set(all.flatMap(macroNames));
    const found: Occurrence[] = [];
    for (const lines of all) new Scanner(macros, found).file(lines);
    const folded = new Set(all.flatMap(foldedNames));
    const keyOf = ({ key }: Occurrence): string => (folded.has(key.toLowerCase()) ? key.toLowerCase() : key);
    return new Names(found.map((raw) => ({ ...raw, key: keyOf(raw) })));
  }

  /** The name at a 1-based column; of `owner.local` the part that the column is in. */
  at(file: string, line: number, column: number): Occurrence | undefined {
    const here = this.onLine(file, line).filter((each) => each.column <= column && column <= each.end);
    return here.sort((a, b) => a.end - a.column - (b.end - b.column))[0];
  }

  onLine(file: string, line: number): readonly Occurrence[] {
    return this.byLine.get(`${file}:${line}`) ?? [];
  }

  all(key: string): readonly Occurrence[] {
    return this.byKey.get(key) ?? [];
  }

  definitions(key: string): readonly Occurrence[] {
    return this.all(key).filter(({ defines }) => defines);
  }

  /** Every defined name, each with its first definition. */
  *defined(): Generator<Occurrence> {
    for (const each of this.byKey.values()) {
      const first = each.find(({ defines }) => defines);
      if (first) yield first;
    }
  }

  inFile(file: string): Occurrence[] {
    return [...this.byLine.values()].flatMap((each) => (each[0]?.file === file ? each : []));
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** Reads one file; `scope` is the label that local names belong to. */
class Scanner {
  private scope = '';
  private macroBody: Token | undefined;

  constructor(
    private readonly macros: ReadonlySet<string>,
    private readonly out: Occurrence[],
  ) {}

  file(lines: readonly LogicalLine[]): void {
    for (const { tokens } of lines) {
      const first = tokens[0];
      if (!first) continue;
      if (first.kind === 'preprocessor') this.preprocessor(first, tokens);
      else this.statement(tokens);
    }
  }

  private preprocessor(first: Token, tokens: readonly Token[]): void {
    const name = tokens[1];
    if (MACRO_END.test(first.text)) this.macroBody = undefined;
    if (MACRO_BEGIN.test(first.text)) {
      this.macroBody = first;
      if (name?.kind === 'word') this.add(name, name.text, 'macro');
      this.references(tokens.slice(2));
    } else if (DEFINERS.test(first.text) && name) {
      if (name.kind === 'word') this.add(name, name.text, 'define');
      else if (name.kind === 'parameter') this.add(name, this.keyOf(name), 'define');
      this.definition(tokens.slice(2));
    } else if (/^%(arg|local)$/.test(first.text)) {
      tokens.forEach((token, index) => {
        if (token.kind === 'word' && tokens[index + 1]?.text === ':') this.add(token, this.keyOf(token), 'define');
      });
    } else if (
      !/^%(include|require|depend|use|pragma|line|error|warning|fatal|note|push|pop|repl|stacksize)$/.test(first.text)
    ) {
      this.references(tokens.slice(1));
    }
  }

  /** What follows the name of a %define: perhaps parameters, and the body, where they stand for themselves. */
  private definition(rest: readonly Token[]): void {
    const [open] = rest;
    const close = rest.findIndex(({ text }) => text === ')');
    if (open?.text !== '(' || open.spaced || close < 0) return this.references(rest);
    const place = `${open.file}:${open.line}`;
    const parameters = new Set<string>();
    for (const token of rest.slice(1, close)) {
      if (token.kind !== 'word') continue;
      parameters.add(token.text);
      this.add(token, `${token.text}@${place}`, 'parameter');
    }
    for (const token of rest.slice(close + 1)) {
      if (parameters.has(token.text)) this.add(token, `${token.text}@${place}`, undefined);
      else this.references([token]);
    }
  }

  private statement(tokens: readonly Token[]): void {
    const { label, head } = shapeOf(tokens, (name) => this.macros.has(name));
    const word = head?.text.toLowerCase();
    let rest = label ? tokens.slice(1) : tokens;
    if (label) {
      const key = this.keyOf(label);
      this.add(label, key, word === 'equ' ? 'constant' : 'label');
      const opensScope = label.kind === 'word' && !label.text.startsWith('.') && word !== 'equ';
      if (opensScope && !this.macroBody && !label.text.startsWith('..')) this.scope = key;
    }
    if (word === 'struc' || word === 'istruc') {
      const name = rest[rest.findIndex((t) => t === head) + 1];
      if (name?.kind === 'word') {
        this.add(name, name.text, word === 'struc' ? 'structure' : undefined);
        this.scope = name.text;
        rest = rest.filter((t) => t !== name);
      }
    }
    if (word === 'section' || word === 'segment' || word === 'cpu' || word === 'bits') return;
    this.references(rest);
  }

  private references(tokens: readonly Token[]): void {
    for (const token of tokens) {
      if (token.kind === 'parameter') this.add(token, this.keyOf(token), undefined);
      if (token.kind !== 'word') continue;
      const lower = token.text.toLowerCase();
      if ((isReservedWord(lower) || registerByName(lower)) && !this.macros.has(token.text)) continue;
      this.add(token, this.keyOf(token), undefined);
      const dot = token.text.indexOf('.', 1);
      if (dot > 0 && !token.text.startsWith('.')) {
        const owner = token.text.slice(0, dot);
        this.out.push({ ...place(token), key: owner, defines: undefined, end: token.column + dot, text: owner });
      }
    }
  }

  private add(token: Token, key: string, defines: NameKind | undefined): void {
    this.out.push({ ...place(token), key, defines });
  }

  private keyOf({ kind, text, file, line }: Token): string {
    if (kind === 'parameter') {
      const at = this.macroBody;
      return text.startsWith('%%') ? `${text}@${at ? `${at.file}:${at.line}` : `${file}:${line}`}` : text;
    }
    const name = text.startsWith('$') ? text.slice(1) : text;
    return name.startsWith('.') && !name.startsWith('..') ? this.scope + name : name;
  }
}

const place = ({ file, line, column, end, text }: Token) => ({ file, line, column, end, text });
