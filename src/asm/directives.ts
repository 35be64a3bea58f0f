import type { Span } from '../base/diagnostic';
import type { LogicalLine } from './lexer';

/** A comment that speaks to the debugger: `; @guest memory=64M`, `; @host place HVA HPA`, `; @break …`, `; @assert …`. */
export interface Directive {
  /** The word after the @. */
  readonly verb: string;
  /** What follows, trimmed. */
  readonly text: string;
  /** From the @ to the end of the comment. */
  readonly span: Span;
  /** Where `text` begins. */
  readonly textStart: { readonly line: number; readonly column: number };
  /** Stands before the file's first instruction or data. */
  readonly beforeCode: boolean;
}

const DIRECTIVE = /^(\s*)@([A-Za-z][\w-]*)(\s*)(.*?)\s*$/;

export function collectDirectives(lines: readonly LogicalLine[]): Directive[] {
  const out: Directive[] = [];
  let beforeCode = true;
  for (const line of lines) {
    if (line.tokens.length > 0 && !isHarmless(line)) beforeCode = false;
    for (const c of line.comments) {
      const m = DIRECTIVE.exec(c.text);
      if (!m) continue;
      const at = c.column + (m[1] ?? '').length;
      const verb = m[2] ?? '';
      const textColumn = at + 1 + verb.length + (m[3] ?? '').length;
      const text = m[4] ?? '';
      out.push({
        verb: verb.toLowerCase(), text, beforeCode,
        span: { file: c.file, start: { line: c.line, column: at }, end: { line: c.line, column: textColumn + text.length } },
        textStart: { line: c.line, column: textColumn },
      });
    }
  }
  return out;
}

/** Lines that come before a program's first instruction without being one. */
function isHarmless(line: LogicalLine): boolean {
  const first = line.tokens[0];
  if (first?.kind === 'preprocessor') return true;
  const words = line.tokens.filter((t) => t.kind === 'word').map((t) => t.text.toLowerCase());
  return words.some((w) => w === 'equ' || w === 'bits' || w === 'org' || w === 'section' || w === 'segment' || w === 'default' || w === 'global' || w === 'cpu' || w.startsWith('use'));
}
