/**
 * The names in a source for GNU as, from the text alone: labels, `.set` and similar, macros, and where they are used.
 * Only as itself knows the meaning of a line; this is enough for navigation, and to locate the definition of a symbol
 * of the linked file.
 */

export type GasNameKind = 'label' | 'constant' | 'macro';

export interface GasName {
  readonly name: string;
  readonly defines: GasNameKind | undefined;
  /** 1-based; the end exclusive. */
  readonly line: number;
  readonly column: number;
  readonly end: number;
}

const NAME = /(?<![\w.$%])[A-Za-z_.][\w.$]*/g;
const LABEL = /^(\s*)([A-Za-z_.$][\w.$]*)\s*:/;
const SETTER = /^(\s*\.(?:set|equ|equiv|eqv|comm|lcomm)\s+)([A-Za-z_.$][\w.$]*)/i;
const ASSIGNMENT = /^(\s*)([A-Za-z_.$][\w.$]*)\s*=(?!=)/;
const MACRO = /^(\s*\.macro\s+)([A-Za-z_.$][\w.$]*)/i;
/** Longer lines are no assembly that a person reads. */
const MAX_LINE = 2000;

/** Every name that stands in the code of a source, comments and strings left out. */
export function gasNames(source: string): GasName[] {
  const out: GasName[] = [];
  const defined = new Set<string>();
  for (const [i, text] of withoutComments(source).split('\n').entries()) {
    if (text.length > MAX_LINE) continue;
    const definitions = new Map<number, GasNameKind>();
    let from = 0;
    for (let m = LABEL.exec(text); m; m = LABEL.exec(text.slice(from))) {
      definitions.set(from + (m[1] ?? '').length, 'label');
      from += m[0].length;
    }
    const rest = text.slice(from);
    const statement = SETTER.exec(rest) ?? ASSIGNMENT.exec(rest);
    if (statement)
      definitions.set(from + (statement[1] ?? '').length, /comm\b/i.test(statement[1] ?? '') ? 'label' : 'constant');
    const macro = MACRO.exec(rest);
    if (macro) definitions.set(from + (macro[1] ?? '').length, 'macro');
    for (const { 0: name, index } of text.matchAll(NAME)) {
      const defines = definitions.get(index);
      if (defines) defined.add(name);
      out.push({ name, defines, line: i + 1, column: index + 1, end: index + 1 + name.length });
    }
  }
  return out.filter(({ name }) => defined.has(name));
}

const GNU_DIRECTIVE =
  /^\s*(?:[\w.$]+:\s*)?\.(?:text|data|bss|globa?l|code(?:16|32|64)|section|(?:sub|push|pop)section|previous|byte|2byte|4byte|8byte|word|short|int|hword|long|quad|octa|float|double|ascii|asci[iz]|string|(?:p2|b)?align|balign|set|equ|equiv|type|size|(?:intel|att)_syntax|include|incbin|macro|endm|exitm|rept|irpc?|endr|org|fill|skip|space|zero|if\w*|else|endif|file|loc|l?comm|local|weak|hidden|ident|cfi_\w+|arch|intel_mnemonic)(?![\w.$:])/im;
const GNU_REGISTER =
  /%(?:[re]?(?:ax|bx|cx|dx|si|di|bp|sp)|[abcd][lh]|(?:si|di|bp|sp)l|r\d+[dwb]?|[c-gs]s|[cd]r\d|[xyz]?mm\d+|st(?:\(\d\))?)\b/i;

/** Whether a source is in the syntax of GNU as: a directive with a dot, or a register with a percent sign. */
function isGnuSource(source: string): boolean {
  const code = withoutComments(source).replace(/;.*/g, '');
  return GNU_DIRECTIVE.test(code) || GNU_REGISTER.test(code);
}

/** A statement of NASM that GNU as has not, or has with a dot: names of a structure's fields may look like directives of GNU as. */
const NASM_STATEMENT =
  /^\s*(?:[\w.$?@~]+:?[ \t]+)?\[?(?:bits|use(?:16|32|64)|org|section|segment|absolute|global|extern|default|cpu|struc|istruc|align|d[bwdqtoyz]|res[bwdqtoyz]|equ|times|incbin)(?![\w.$:])|^\s*%(?:i?x?define|i?assign|undef|i?macro|include|rep|if|use|push)/im;
/** A cheap test for GNU as syntax, since it runs on every source. */
const MAYBE_GNU = /^\s*(?:[\w.$]+:\s*)?\.[a-z]|%[a-z]/im;

/** Whether a file is for GNU as. One called `.s` or `.S` is by its syntax; any other only where nothing in it is of NASM alone. */
export function isGnuFile(source: string, file: string): boolean {
  if (/\.s$/i.test(file)) return isGnuSource(source);
  if (!MAYBE_GNU.test(source)) return false;
  if (!source.includes('/*') && NASM_STATEMENT.test(source)) return false;
  return isGnuSource(source) && !NASM_STATEMENT.test(withoutComments(source));
}

/** Comments and strings as spaces, so that every column stays. `#` begins a comment, except of the C preprocessor's lines. */
function withoutComments(source: string): string {
  const blank = (text: string): string => text.replace(/[^\n]/g, ' ');
  return source.replace(/\/\*[^]*?(?:\*\/|$)|"(?:[^"\\\n]|\\.)*"|(?:\/\/|#|;(?=\s*@)).*/g, blank);
}
