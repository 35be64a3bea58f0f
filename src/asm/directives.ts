import type { Span } from '../base/diagnostic';
import type { LogicalLine } from './lexer';
import { lexFile } from './lexer';

/**
 * A comment directive for the debugger: `; @guest memory=64M`, `; @host place HVA HPA`, `; @break …`, `; @assert …`.
 */
export interface Directive {
  /** The word after the @. */
  readonly verb: string;
  /** What follows, trimmed. */
  readonly text: string;
  /** From the @ to the end of the comment. */
  readonly span: Span;
  /** Where `text` begins. */
  readonly textStart: { readonly line: number; readonly column: number };
  /** Appears before the file's first instruction or data. */
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
        verb: verb.toLowerCase(),
        text,
        beforeCode,
        span: {
          file: c.file,
          start: { line: c.line, column: at },
          end: { line: c.line, column: textColumn + text.length },
        },
        textStart: { line: c.line, column: textColumn },
      });
    }
  }
  return out;
}

/** The directives of a source up to its last `@guest`, without assembling it: they may decide how it is assembled. */
export function leadingDirectives(source: string, fileName: string): Directive[] {
  const last = source.lastIndexOf('@guest');
  if (last < 0) return [];
  const end = source.indexOf('\n', last);
  return collectDirectives(lexFile(end < 0 ? source : source.slice(0, end), fileName));
}

const SETTINGS: ReadonlySet<string> = new Set([
  'bits',
  'use16',
  'use32',
  'use64',
  'org',
  'section',
  'segment',
  'default',
  'global',
  'extern',
  'cpu',
]);

/** Lines that may come before a program's first instruction or data: settings, constants, preprocessor lines, labels alone. */
function isHarmless({ tokens }: LogicalLine): boolean {
  const [first, second] = tokens;
  if (first?.kind === 'preprocessor') return true;
  if (tokens.length === 2 && first?.kind === 'word' && second?.text === ':') return true;
  const lead = first?.text === '[' ? second : first;
  return SETTINGS.has(lead?.text.toLowerCase() ?? '') || second?.text.toLowerCase() === 'equ';
}
