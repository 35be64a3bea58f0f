/** One assembled document, and what stands where in it. Lines and columns are 1-based here, as the assembler counts. */
import { type Assembled, type AsmSymbol, type AssembleOptions, assemble } from '../asm/index';
import { lexFile, type LogicalLine, type Token } from '../asm/lexer';

export interface Analysis {
  readonly fileName: string;
  readonly assembled: Assembled;
  readonly lines: readonly LogicalLine[];
}

export function analyse(
  source: string,
  fileName: string,
  readFile: NonNullable<AssembleOptions['readFile']>,
): Analysis {
  return { fileName, assembled: assemble(source, { fileName, readFile }), lines: lexFile(source, fileName) };
}

/** The word under a column of a line. */
export function wordAt({ lines }: Analysis, line: number, column: number): Token | undefined {
  for (const { tokens } of lines)
    for (const token of tokens)
      if (token.kind === 'word' && token.line === line && token.column <= column && column <= token.end) return token;
  return undefined;
}

/** The symbol that a word names on its line: a local name (`.loop`) belongs to the last label before it that is none. */
export function symbolOf(analysis: Analysis, word: Token): AsmSymbol | undefined {
  const { symbols } = analysis.assembled;
  const name = word.text.startsWith('$') ? word.text.slice(1) : word.text;
  if (!name.startsWith('.') || name.startsWith('..')) return symbols.find((symbol) => symbol.name === name);
  const owner = lastOwner(analysis, word);
  return symbols.find((symbol) => symbol.name === `${owner?.name ?? ''}${name}`);
}

function lastOwner({ assembled, fileName }: Analysis, word: Token): AsmSymbol | undefined {
  let owner: AsmSymbol | undefined;
  for (const symbol of assembled.symbols) {
    const { span, name } = symbol;
    if (name.includes('.') || span.file !== fileName || span.start.line > word.line) continue;
    if (!owner || span.start.line > owner.span.start.line) owner = symbol;
  }
  return owner;
}
