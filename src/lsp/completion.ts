/** Completion: what can be inserted at the cursor. */
import { CompletionItemKind, InsertTextFormat, type CompletionItem, type Position } from 'vscode-languageserver';
import { DIRECTIVES, lexLine, mnemonics, registerByName, registerNames, type Bits } from '../asm/index';
import { instructionReference } from '../asm/reference';
import { VECTOR } from '../isa/exceptions';
import { VMX_EXIT } from '../isa/exits';
import { COMMENT_HELP, DIRECTIVE_HELP, PREPROCESSOR_HELP, SIZE_HELP } from './directive-help';
import { optionMarkdown } from './hover';
import type { Host } from './host';
import { instructionMarkdown, instructionTitle } from './instruction-card';
import { prefixDoc, prefixWords } from './instructions/index';
import { shapeOf, type LineShape } from './shape';
import { bitsAt, type Program, type SourceFile } from './workspace';

const KIND = CompletionItemKind;
/** What may begin a file name in an %include. */
const INCLUDE = /^\s*%\s*(?:include|require)\s+(["'`])([^"'`]*)$/i;
const SYMBOL_KIND = {
  label: KIND.Function,
  constant: KIND.Constant,
  define: KIND.Constant,
  macro: KIND.Snippet,
  structure: KIND.Struct,
  parameter: KIND.Variable,
} as const;

export function completionAt(
  program: Program,
  file: SourceFile,
  at: Position,
  host: Host,
  files: readonly string[],
): CompletionItem[] {
  const before = (file.text.split('\n', at.line + 1)[at.line] ?? '').slice(0, at.character);
  const include = INCLUDE.exec(before);
  if (include) return includeItems(file, files);
  const line = lexLine(before, file.path, at.line + 1);
  const [comment] = line.comments;
  if (comment) return commentItems(comment.text, host);
  const last = line.tokens.at(-1);
  if (last?.kind === 'string' || /["'`]/.test(last?.text ?? '')) return [];
  // exclude the word being typed
  const typed =
    last && last.end === at.character + 1 && last.kind !== 'punctuation' ? line.tokens.slice(0, -1) : line.tokens;
  const macros = new Set(
    [...program.names.defined()].flatMap(({ defines, key }) => (defines === 'macro' ? [key] : [])),
  );
  if (typed.length === 0 && /^\s*%\w*$/.test(before)) return preprocessorItems(before, at);
  const shape = shapeOf(typed, (name) => macros.has(name));
  const bits = bitsAt(program, file, at.line + 1);
  const startsStatement =
    shape.head === undefined && (typed.length === 0 || shape.label !== undefined || isPrefixOnly(typed));
  if (startsStatement) return [...statementItems(bits), ...nameItems(program, file, at, true)];
  return [...operandItems(shape, bits), ...nameItems(program, file, at, false)];
}

/** What the list shows beside an item only when it is selected. */
export function resolveCompletion(item: CompletionItem): CompletionItem {
  const data: unknown = item.data;
  if (data !== 16 && data !== 32 && data !== 64) return item;
  const value = instructionMarkdown(item.label, data);
  return value === undefined ? item : { ...item, documentation: { kind: 'markdown', value } };
}

const isPrefixOnly = (tokens: readonly { readonly text: string }[]): boolean =>
  tokens.every(({ text }) => prefixDoc(text.toLowerCase()) !== undefined || text.toLowerCase() === 'times');

const mnemonicsByMode = new Map<Bits, readonly CompletionItem[]>();

function statementItems(bits: Bits): CompletionItem[] {
  let instructions = mnemonicsByMode.get(bits);
  if (!instructions) {
    const valid = [...new Set(mnemonics())].filter((name) =>
      instructionReference(name)?.encodings.some(({ modes }) => modes.includes(bits)),
    );
    instructions = valid.map((label) => ({ label, kind: KIND.Keyword, detail: instructionTitle(label), data: bits }));
    mnemonicsByMode.set(bits, instructions);
  }
  const words = new Set([...DIRECTIVES, ...Object.keys(DIRECTIVE_HELP)]);
  return [
    ...instructions,
    ...[...words].map((label) => ({ label, kind: KIND.Property, detail: DIRECTIVE_HELP[label] ?? 'directive' })),
    ...prefixWords().map((label) => ({
      label,
      kind: KIND.Keyword,
      detail: 'prefix',
      documentation: prefixDoc(label) ?? '',
    })),
  ];
}

/** Registers that some form of the mnemonic accepts here, or in an address; sizes. */
function operandItems({ head, operands }: LineShape, bits: Bits): CompletionItem[] {
  const mnemonic = head?.text.toLowerCase() ?? '';
  if (mnemonic === 'bits') return ['16', '32', '64'].map((label) => ({ label, kind: KIND.Value }));
  if (mnemonic === 'default') return ['rel', 'abs'].map((label) => ({ label, kind: KIND.Value }));
  const index = operands.length - 1;
  const current = operands[index] ?? [];
  const inAddress = current.some(({ text }) => text === '[') && !current.some(({ text }) => text === ']');
  const patterns = instructionReference(mnemonic)?.encodings.flatMap((each) =>
    each.modes.includes(bits) ? [(each.operands[index] ?? '').toLowerCase()] : [],
  );
  const fits = (name: string): boolean => {
    const register = registerByName(name);
    if (!register) return false;
    if (inAddress)
      return (
        ['r16', 'r32', 'r64', 'segment', 'xmm', 'ymm', 'zmm'].includes(register.class) &&
        (bits === 64) >= (register.width === 64)
      );
    if (
      bits !== 64 &&
      (register.class === 'r64' ||
        (register.number > 7 && register.class !== 'control') ||
        /^(spl|bpl|sil|dil)$/.test(name))
    )
      return false;
    return !patterns || patterns.some((pattern) => takes(pattern, register.class, name));
  };
  const rank: Readonly<Record<string, string>> = { r64: '1', r32: '2', r16: '3', r8: '4' };
  const registers = registerNames()
    .filter(fits)
    .map((label) => {
      const { class: kind = 'r64' } = registerByName(label) ?? {};
      const own = kind === `r${bits}` ? '0' : (rank[kind] ?? '5');
      return { label, kind: KIND.Variable, detail: 'register', sortText: `${own}${label.padStart(6)}` };
    });
  const sizes = Object.entries(SIZE_HELP).map(([label, detail]) => ({
    label,
    kind: KIND.Keyword,
    detail,
    sortText: `8${label}`,
  }));
  return [...registers, ...(inAddress ? [] : sizes)];
}

/** Whether an operand as the manual writes it, such as `r/m64`, `xmm2/m128`, `CL` or `CR0-CR15`, takes a register. */
function takes(pattern: string, kind: string, name: string): boolean {
  if (pattern === name) return true;
  switch (kind) {
    case 'r8':
    case 'r16':
    case 'r32':
    case 'r64':
      return (
        new RegExp(`(^|/)r(/m)?${kind.slice(1)}`).test(pattern) ||
        (kind !== 'r8' && /^r(16|32|64)?\/|^reg/.test(pattern) && pattern.includes(kind))
      );
    case 'segment':
      return /^sreg/.test(pattern);
    case 'control':
      return /^cr/.test(pattern);
    case 'debug':
      return /^dr/.test(pattern);
    case 'test':
      return /^tr/.test(pattern);
    case 'st':
      return /^st\(?i?/.test(pattern);
    case 'mask':
      return /^k\d/.test(pattern);
    case 'bound':
      return /^bnd/.test(pattern);
    case 'tile':
      return /^tmm/.test(pattern);
    default:
      return pattern.startsWith(kind);
  }
}

/** At the start of a line only macros apply; local labels of other labels are offered by their full name. */
function nameItems(program: Program, file: SourceFile, at: Position, startsStatement: boolean): CompletionItem[] {
  const out: CompletionItem[] = [];
  const owner = ownerAt(program, file, at.line + 1);
  for (const { key, defines, text, file: where } of program.names.defined()) {
    if (defines === undefined || defines === 'parameter' || key.includes('@')) continue;
    if (startsStatement !== (defines === 'macro') && !(startsStatement && defines === 'define')) continue;
    const local = text.startsWith('.') && key.startsWith(`${owner}.`);
    const detail = where === file.path ? defines : `${defines} in ${where.replace(/^.*[\\/]/, '')}`;
    out.push({ label: local ? text : key, kind: SYMBOL_KIND[defines], detail, sortText: `6${key}` });
  }
  return out;
}

/** The ordinary label that a line's local names belong to. */
function ownerAt(program: Program, { path }: SourceFile, line: number): string {
  for (let at = line; at > 0; at--) {
    const label = program.names.onLine(path, at).find((each) => each.defines === 'label' && !each.text.startsWith('.'));
    if (label) return label.key;
  }
  return '';
}

function preprocessorItems(before: string, { line, character }: Position): CompletionItem[] {
  const start = before.indexOf('%');
  const range = { start: { line, character: start }, end: { line, character } };
  return Object.entries(PREPROCESSOR_HELP).map(([label, documentation]) => {
    const end =
      label === '%macro' ? '%endmacro' : label === '%rep' ? '%endrep' : /^%if/.test(label) ? '%endif' : undefined;
    return {
      label,
      kind: KIND.Property,
      documentation: { kind: 'markdown', value: documentation },
      insertTextFormat: end ? InsertTextFormat.Snippet : InsertTextFormat.PlainText,
      textEdit: { range, newText: end ? `${label} $1\n$0\n${end}` : label },
    };
  });
}

function commentItems(text: string, host: Host): CompletionItem[] {
  const verb = /^\s*@(\w*)$/.exec(text);
  if (verb)
    return Object.entries(COMMENT_HELP).map(([label, documentation]) => ({
      label: `@${label}`,
      insertText: label,
      filterText: label,
      kind: KIND.Property,
      documentation: { kind: 'markdown', value: documentation },
    }));
  if (/^\s*@guest\s/.test(text)) {
    const value = /([a-z][a-z-]*)=[^\s=]*$/.exec(text);
    if (value) {
      const option = host.options.find(({ key }) => key === value[1]);
      return Object.entries(option?.values ?? {}).map(([label, detail]) => ({ label, kind: KIND.EnumMember, detail }));
    }
    return host.options.map((option) => ({
      label: option.key,
      kind: KIND.Property,
      insertText: `${option.key}=`,
      documentation: { kind: 'markdown', value: optionMarkdown(option) },
      ...(option.values ? { command: { title: 'Values', command: 'editor.action.triggerSuggest' } } : {}),
    }));
  }
  if (/^\s*@host\s+(memslot\s+)?[\w-]*$/.test(text)) return hostItems(/@host\s+memslot\s/.test(text), host);
  if (/^\s*@break\s+\w*$/.test(text))
    return [{ label: 'exit', kind: KIND.Method, detail: 'exit REASON [if condition]' }];
  if (/^\s*@break\s+exit\s+\w*$/.test(text))
    return Object.keys(VMX_EXIT).map((label) => ({ label, kind: KIND.EnumMember, detail: 'VM exit' }));
  if (/^\s*@(break|assert|log)\s/.test(text))
    return [...registerNames(), ...Object.keys(VECTOR).map((name) => `#${name}`)].map((label) => ({
      label,
      kind: KIND.Variable,
    }));
  return [];
}

/** After `@host memslot`, only the words that can follow it: they replace the text from there. */
function hostItems(afterMemslot: boolean, { hostWords }: Host): CompletionItem[] {
  const shown = hostWords.filter(({ words }) => !afterMemslot || words.startsWith('memslot '));
  return shown.map(({ words, usage, doc }) => {
    const label = afterMemslot ? words.slice('memslot '.length) : words;
    return { label, kind: KIND.Method, detail: `${words} ${usage}`, documentation: { kind: 'markdown', value: doc } };
  });
}

/** The files that this one could include, as seen from its folder. */
function includeItems({ path }: SourceFile, files: readonly string[]): CompletionItem[] {
  const folder = path.replace(/[^\\/]*$/, '');
  return files
    .filter((each) => each !== path && each.startsWith(folder))
    .map((each) => ({ label: each.slice(folder.length), kind: KIND.File }));
}
