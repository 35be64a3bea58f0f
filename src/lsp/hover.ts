/** The hover: instructions, directives, names, numbers, control registers. */
import type { Hover, Position } from 'vscode-languageserver';
import type { AsmSymbol, Token } from '../asm/index';
import { gasBits } from '../asm/gas-output';
import { hex } from '../base/hex';
import { counted } from '../base/plural';
import { parseNumber } from '../expr/numbers';
import { CR0, CR4 } from '../isa/flags';
import { rangeOf } from './convert';
import { COMMENT_HELP, directiveMarkdown } from './directive-help';
import type { Host } from './host';
import { instructionMarkdown } from './instruction-card';
import type { Occurrence } from './names';
import { logicalLineAt } from './shape';
import { bitsAt, type Program, type SourceFile } from './workspace';

const REGISTER_BITS: Readonly<Record<string, Readonly<Record<string, number>>>> = { cr0: CR0, cr4: CR4 };
/** The definition of a macro is shown up to so many lines. */
const MAX_BODY_LINES = 12;

export function hoverAt(program: Program, file: SourceFile, { line, character }: Position, host: Host): Hover | null {
  const [row, column] = [line + 1, character + 1];
  if (program.syntax === 'gnu') return gnuHover(program, file, row, column);
  const logical = logicalLineAt(file.lines, row);
  const token = logical?.tokens.find((each) => each.line === row && each.column <= column && column <= each.end);
  const hover = (markdown: string | undefined, at: { line: number; column: number; end: number }): Hover | null =>
    markdown === undefined ? null : { contents: { kind: 'markdown', value: markdown }, range: rangeOf(at) };
  if (!token) {
    const comment = logical?.comments.find((each) => each.line === row && each.column <= column);
    return comment ? commentHover(comment.text, comment.column, row, column, host, hover) : null;
  }
  const name = program.names.at(file.path, row, column);
  if (name) return hover(nameMarkdown(program, name), name);
  const word = token.text.toLowerCase();
  if (token.kind === 'number') return hover(numberMarkdown(token), token);
  if (token.kind !== 'word' && token.kind !== 'preprocessor') return null;
  const bits = bitsAt(program, file, row);
  return hover(directiveMarkdown(word) ?? instructionMarkdown(word, bits) ?? registerMarkdown(word), token);
}

/** In a source for GNU as: what a name is, and an instruction, whose name may end in its operand size (`movl`). */
function gnuHover(program: Program, { path, text }: SourceFile, line: number, column: number): Hover | null {
  const name = program.names.at(path, line, column);
  if (name) return { contents: { kind: 'markdown', value: nameMarkdown(program, name) ?? '' }, range: rangeOf(name) };
  const row = text.split('\n')[line - 1] ?? '';
  for (const { 0: written, index } of row.replace(/(#|\/\/).*/, '').matchAll(/(?<![%$.\w])[a-z]\w*/gi)) {
    const at = { line, column: index + 1, end: index + 1 + written.length };
    if (column < at.column || column > at.end) continue;
    const word = written.toLowerCase();
    const bits = gasBits(text);
    const value = instructionMarkdown(word, bits) ?? instructionMarkdown(word.replace(/[bwlq]$/, ''), bits);
    return value === undefined ? null : { contents: { kind: 'markdown', value }, range: rangeOf(at) };
  }
  return null;
}

function commentHover(
  text: string,
  start: number,
  line: number,
  column: number,
  host: Host,
  hover: (markdown: string | undefined, at: { line: number; column: number; end: number }) => Hover | null,
): Hover | null {
  const directive = /^\s*@(guest|host|break|assert|log)\b/.exec(text);
  if (!directive) return null;
  for (const match of text.matchAll(/@?[a-z][\w-]*/gi)) {
    const at = { line, column: start + match.index, end: start + match.index + match[0].length };
    if (column < at.column || column > at.end) continue;
    if (match[0].startsWith('@')) return hover(`**${match[0]}**\n\n${COMMENT_HELP[match[0].slice(1)] ?? ''}`, at);
    const option = directive[1] === 'guest' ? host.options.find(({ key }) => key === match[0]) : undefined;
    return hover(option && optionMarkdown(option), at);
  }
  return null;
}

export function optionMarkdown({ key, doc, values }: Host['options'][number]): string {
  const rows = Object.entries(values ?? {}).map(([value, means]) => `- \`${value}\`${means ? `: ${means}` : ''}`);
  return [`**${key}**`, doc, rows.join('\n')].filter(Boolean).join('\n\n');
}

function numberMarkdown(token: Token): string | undefined {
  const value = parseNumber(token.text);
  if (value === undefined) return undefined;
  const character = value >= 0x20n && value < 0x7fn ? ` = \`'${String.fromCharCode(Number(value))}'\`` : '';
  const binary = value < 0x10000n ? ` = \`0b${value.toString(2)}\`` : '';
  return `\`${hex(value)}\` = \`${value}\`${binary}${character}`;
}

function registerMarkdown(word: string): string | undefined {
  const bits = REGISTER_BITS[word];
  if (!bits) return undefined;
  const names = Object.entries(bits).map(([name, bit]) => `${name} ${bit}`);
  return `**${word}** control register\n\n${names.join(' · ')}`;
}

/** The value of a name. */
function nameMarkdown(program: Program, { key }: Occurrence): string | undefined {
  const [definition] = program.names.definitions(key);
  const symbol = program.assembled.symbols.find(({ name }) => name === key);
  switch (definition?.defines) {
    case 'define':
    case 'macro':
      return `**${definition.text}** macro\n\n${source(program, definition)}`;
    case 'parameter':
      return `**${definition.text}** macro parameter`;
    case 'structure': {
      const size = program.assembled.symbols.find(({ name }) => name === `${key}_size`);
      return `**${key}** structure${size ? `, ${counted(size.value, 'byte')}` : ''}\n\n${source(program, definition)}`;
    }
    case 'label':
    case 'constant':
    case undefined:
      return symbol ? symbolMarkdown(symbol) : definition && `**${definition.text}** ${definition.defines}`;
  }
}

function symbolMarkdown(symbol: AsmSymbol): string {
  if (symbol.kind === 'constant') {
    const signed = BigInt.asIntN(64, symbol.value);
    const decimal = signed < 0n ? `${symbol.value} = ${signed}` : String(symbol.value);
    return `**${symbol.name}** constant\n\n\`${hex(symbol.value)} = ${decimal}\``;
  }
  const section = symbol.section === undefined ? '' : ` in \`${symbol.section}\``;
  return `**${symbol.name}** ${symbol.followedBy === 'data' ? 'data' : 'label'}${section}\n\n\`${hex(symbol.value)}\``;
}

/** The lines of a macro or structure as they are written. */
function source(program: Program, { file, line }: Occurrence): string {
  const lines = program.files.get(file)?.text.split(/\r?\n/) ?? [];
  const first = lines[line - 1] ?? '';
  const isBlock = /^\s*(%\s*i?macro|struc)\b/i.test(first);
  const length = isBlock ? lines.slice(line - 1).findIndex((text) => /^\s*(%\s*endm|endstruc)/i.test(text)) + 1 : 1;
  const shown = lines.slice(line - 1, line - 1 + Math.min(Math.max(length, 1), MAX_BODY_LINES));
  if (length > MAX_BODY_LINES) shown.push(`; … ${counted(length - MAX_BODY_LINES, 'more line')}`);
  return `\`\`\`pagewalk-asm\n${shown.join('\n').replace(/`{3,}/g, '``')}\n\`\`\``;
}
