/** The assembler's spans and diagnostics as the Language Server Protocol has them (0-based, end exclusive). */
import { type Diagnostic as LspDiagnostic, DiagnosticSeverity, type Position, type Range } from 'vscode-languageserver';
import type { Span } from '../base/diagnostic';
import type { Host } from './host';
import type { Occurrence } from './names';
import { isInclude } from './shape';
import { includedFile, type Program } from './workspace';

const SEVERITY = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  info: DiagnosticSeverity.Information,
} as const;

function toRange({ start, end }: Span): Range {
  return {
    start: { line: start.line - 1, character: start.column - 1 },
    end: { line: end.line - 1, character: end.column - 1 },
  };
}

/** The range of a token, or of a name. */
export function rangeOf({ line, column, end }: { line: number; column: number; end: number }): Range {
  return { start: { line: line - 1, character: column - 1 }, end: { line: line - 1, character: end - 1 } };
}

export const locationOf = (host: Host, at: Occurrence): { uri: string; range: Range } => ({
  uri: host.uriOf(at.file),
  range: rangeOf(at),
});

export const isWithin = (position: Position, { start, end }: Range): boolean =>
  (start.line < position.line || (start.line === position.line && start.character <= position.character)) &&
  (position.line < end.line || (position.line === end.line && position.character <= end.character));

const HEAD: Range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };

/**
 * The diagnostics shown in one file of a program. An error in an included file is shown there and also at the
 * %include: the file may not be open, and the including file does not assemble.
 */
export function diagnosticsOf(program: Program, path: string, host: Host): LspDiagnostic[] {
  const out: LspDiagnostic[] = [];
  const includes = new Set<string>();
  for (const { severity, code, message, span, file } of program.diagnostics) {
    const place = span?.file ?? file;
    if (place === path || place === '') {
      out.push({ severity: SEVERITY[severity], code, source: 'pagewalk', message, range: span ? toRange(span) : HEAD });
      continue;
    }
    const at = span && includeOf(program, path, place, host);
    const key = `${at?.start.line}:${severity}`;
    if (!at || includes.has(key)) continue;
    includes.add(key);
    out.push({
      severity: SEVERITY[severity],
      code,
      source: 'pagewalk',
      message: `in ${place.replace(/^.*[\\/]/, '')}, line ${span.start.line}: ${message}`,
      range: at,
      relatedInformation: [{ location: { uri: host.uriOf(place), range: toRange(span) }, message }],
    });
  }
  return out;
}

/** The file name in the %include of `path` that leads, perhaps through others, to `target`. */
function includeOf(
  program: Program,
  path: string,
  target: string,
  host: Host,
  seen = new Set<string>(),
): Range | undefined {
  if (seen.has(path)) return undefined;
  seen.add(path);
  for (const { tokens } of program.files.get(path)?.lines ?? []) {
    const [word, name] = tokens;
    if (!isInclude(word) || name?.kind !== 'string') continue;
    const file = includedFile(program, name.text.slice(1, -1), path, host);
    if (file !== undefined && (file === target || includeOf(program, file, target, host, seen))) return rangeOf(name);
  }
  return undefined;
}
