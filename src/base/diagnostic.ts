/** A user's mistake: where it is, its number, what is wrong and how to fix it. */
export interface Position {
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units. */
  readonly column: number;
}
export interface Span {
  readonly file: string;
  readonly start: Position;
  readonly end: Position;
}
export interface Diagnostic {
  readonly severity: 'error' | 'warning' | 'info';
  /** `PW` and three digits; ARCHITECTURE.md lists the ranges. */
  readonly code: string;
  readonly message: string;
  readonly file: string;
  /** Absent when the diagnostic concerns the whole file or the configuration. */
  readonly span?: Span;
}

/** `file:line:column: error PWnnn: what is wrong, and what to do` (the command-line form). */
export function formatDiagnostic(d: Diagnostic): string {
  const at = d.span ? `${d.span.file}:${d.span.start.line}:${d.span.start.column}` : d.file;
  return `${at}: ${d.severity} ${d.code}: ${d.message}`;
}
