import type { SourceLine } from './parser';
import type { LogicalLine } from './lexer';

/** Passes lines through. */
export function preprocess(lines: readonly LogicalLine[]): SourceLine[] {
  return lines.filter((l) => l.tokens.length > 0).map((l) => ({ tokens: l.tokens, file: l.file, line: l.line, column: l.tokens[0]?.column ?? 1 }));
}
