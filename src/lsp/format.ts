/**
 * Formatting of columns. Only white space outside strings and comments changes; a line whose tokens would not come out the same
 * stays as it is.
 *
 *   0       8       16              32
 *   label:  mov     rax, [rbx]      ; comment
 */
import type { FormattingOptions, Range, TextEdit } from 'vscode-languageserver';
import { isMnemonic, lexLine, type LogicalLine, type Token } from '../asm/index';
import { DIRECTIVES } from '../asm/directive-parser';
import { macroNames } from './names';
import { shapeOf } from './shape';
import type { SourceFile } from './workspace';

const INSTRUCTION_COLUMN = 8;
const OPERAND_WIDTH = 8;
const COMMENT_COLUMN = 32;
/** A comment further right than this does not move the comments of its neighbours. */
const LAST_COMMENT_COLUMN = 56;

interface Row {
  readonly before: string;
  readonly line: LogicalLine;
  /** Label and code without the comment; undefined where the row stays as it is. */
  code: string | undefined;
  readonly comment: string | undefined;
}

export function formatEdits({ path, text, lines }: SourceFile, options: FormattingOptions, range?: Range): TextEdit[] {
  const isMacro = new Set(macroNames(lines));
  const rows = text.split('\n').map((raw) => raw.replace(/\r$/, ''));
  const laidOut = rows.map((before, index) =>
    layOut(before, lexLine(before, path, index + 1), (name) => isMacro.has(name)),
  );
  rows.forEach((before, index) => {
    const row = laidOut[index];
    // a line continued with a backslash keeps its own layout
    if (row && (before.endsWith('\\') || rows[index - 1]?.endsWith('\\'))) row.code = undefined;
  });
  const edits: TextEdit[] = [];
  for (const block of blocksOf(laidOut)) {
    const column = commentColumn(block.map(({ row }) => row));
    for (const { row, index } of block) {
      if (range && (index < range.start.line || index > range.end.line)) continue;
      const after = withTabs(compose(row, column), options);
      if (after === row.before || !sameTokens(row, after)) continue;
      const end = { line: index, character: row.before.length };
      edits.push({ range: { start: { line: index, character: 0 }, end }, newText: after });
    }
  }
  return edits;
}

/** Rows up to a blank one align their comments together. */
function blocksOf(rows: readonly Row[]): { row: Row; index: number }[][] {
  const blocks: { row: Row; index: number }[][] = [[]];
  rows.forEach((row, index) => {
    if (row.before.trim() === '' && blocks.at(-1)?.length) blocks.push([]);
    blocks.at(-1)?.push({ row, index });
  });
  return blocks;
}

function commentColumn(rows: readonly Row[]): number {
  const lengths = rows.flatMap(({ code, comment }) => (code && comment !== undefined ? [code.length + 1] : []));
  return Math.max(COMMENT_COLUMN, ...lengths.filter((length) => length <= LAST_COMMENT_COLUMN));
}

function layOut(before: string, line: LogicalLine, isMacro: (name: string) => boolean): Row {
  const [note] = line.comments;
  const comment = note && `;${note.text.trimEnd()}`;
  const row = { before, line, comment };
  const { tokens } = line;
  const [first] = tokens;
  if (!first)
    return { ...row, code: comment !== undefined && /^\s/.test(before) ? ' '.repeat(INSTRUCTION_COLUMN) : '' };
  if (first.kind === 'preprocessor') {
    const end = note ? note.column - 2 : before.length;
    return { ...row, code: before.slice(0, end).trimEnd() };
  }
  const { label, head } = shapeOf(tokens, isMacro);
  const from = label ? (tokens[1]?.text === ':' ? 2 : 1) : 0;
  const labelText = label ? join(tokens.slice(0, from)) : '';
  const rest = tokens.slice(from);
  if (rest.length === 0) return { ...row, code: labelText };
  const word = head?.text.toLowerCase() ?? '';
  const isDirective =
    first.text === '[' || (!label && DIRECTIVES.has(word) && word !== 'align' && word !== 'alignb' && word !== 'at');
  const headAt = rest.findIndex((token) => token === head);
  const lead = isDirective ? '' : labelText.padEnd(INSTRUCTION_COLUMN - 1) + ' ';
  if (head && headAt === 0 && isMnemonic(word) && rest.length > 1)
    return { ...row, code: lead + head.text.padEnd(OPERAND_WIDTH - 1) + ' ' + join(rest.slice(1)) };
  return { ...row, code: lead + join(rest) };
}

/** Tokens with one space where there was white space, none before a comma and one after it. */
function join(tokens: readonly Token[]): string {
  return tokens
    .map((token, index) => {
      const before = tokens[index - 1];
      const space = index > 0 && token.text !== ',' && (token.spaced || before?.text === ',');
      return (space ? ' ' : '') + token.text;
    })
    .join('');
}

function compose({ before, code, comment }: Row, column: number): string {
  if (code === undefined) return before;
  if (comment === undefined) return code.trimEnd();
  if (code.trim() === '') return code + comment;
  return `${code.padEnd(column - 1).slice(0, Math.max(column - 1, code.length))} ${comment}`;
}

/** Where the editor indents with tabs, the white space at the start of a line is tabs. */
function withTabs(text: string, { insertSpaces, tabSize }: FormattingOptions): string {
  if (insertSpaces || tabSize < 1) return text;
  return text.replace(
    /^ +/,
    (space) => '\t'.repeat(Math.floor(space.length / tabSize)) + ' '.repeat(space.length % tabSize),
  );
}

function sameTokens({ line }: Row, after: string): boolean {
  const other = lexLine(after, line.file, line.line);
  const texts = (each: LogicalLine): string =>
    JSON.stringify([each.tokens.map(({ text }) => text), each.comments.map(({ text }) => text.trimEnd())]);
  return texts(line) === texts(other);
}
