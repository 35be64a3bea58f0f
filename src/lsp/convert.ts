/** The assembler's spans and diagnostics as the Language Server Protocol has them (0-based, end exclusive). */
import {
  type Diagnostic as LspDiagnostic,
  DiagnosticSeverity,
  type DocumentSymbol,
  type Range,
  SymbolKind,
} from 'vscode-languageserver';
import type { Diagnostic, Span } from '../base/diagnostic';
import type { Analysis } from './analysis';

const SEVERITY = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  info: DiagnosticSeverity.Information,
} as const;

export function toRange({ start, end }: Span): Range {
  return {
    start: { line: start.line - 1, character: start.column - 1 },
    end: { line: end.line - 1, character: end.column - 1 },
  };
}

const WHOLE: Range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };

/** A diagnostic of an included file stands at the head of the document that includes it, and says where it is. */
export function toDiagnostic(d: Diagnostic, fileName: string): LspDiagnostic {
  const own = d.span !== undefined && d.span.file === fileName;
  const where = d.span && !own ? `${d.span.file}:${d.span.start.line}:${d.span.start.column}: ` : '';
  return {
    severity: SEVERITY[d.severity],
    code: d.code,
    source: 'pagewalk',
    message: where + d.message,
    range: d.span && own ? toRange(d.span) : WHOLE,
  };
}

/** The outline: labels with their local labels below them, and constants. */
export function outline({ assembled, fileName }: Analysis): DocumentSymbol[] {
  const roots: DocumentSymbol[] = [];
  const owners = new Map<string, DocumentSymbol>();
  const inOrder = assembled.symbols
    .filter(({ span }) => span.file === fileName)
    .sort((a, b) => a.span.start.line - b.span.start.line);
  for (const symbol of inOrder) {
    const range = toRange(symbol.span);
    const dot = symbol.name.indexOf('.');
    const owner = dot > 0 ? owners.get(symbol.name.slice(0, dot)) : undefined;
    const kind =
      symbol.kind === 'constant'
        ? SymbolKind.Constant
        : symbol.followedBy === 'data'
          ? SymbolKind.Variable
          : SymbolKind.Function;
    const item: DocumentSymbol = {
      name: owner ? symbol.name.slice(dot) : symbol.name,
      kind,
      range,
      selectionRange: range,
      children: [],
    };
    if (owner) owner.children?.push(item);
    else roots.push(item);
    owners.set(symbol.name, item);
  }
  // A label's range reaches to the next one, so that the editor knows in which the cursor stands.
  for (const [index, item] of roots.entries()) {
    const next = roots[index + 1];
    if (next && item.kind !== SymbolKind.Constant) item.range = { start: item.range.start, end: next.range.start };
  }
  return roots;
}
