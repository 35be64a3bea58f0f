import type { Diagnostic, Span } from '../base/diagnostic';
import { counted } from '../base/plural';
import type { WarningClass } from './warnings';
import { Warnings } from './warnings';

/**
 * The assembler's error numbers. PW1xx belongs to src/asm; a number never changes its meaning, so users can look it
 * up.
 */
export const ASM_CODES = {
  syntax: 'PW100',
  undefinedSymbol: 'PW101',
  duplicateSymbol: 'PW102',
  unknownInstruction: 'PW103',
  badOperands: 'PW104',
  operandSize: 'PW105',
  outOfRange: 'PW106',
  notConstant: 'PW107',
  divisionByZero: 'PW108',
  badDirective: 'PW109',
  badAddress: 'PW110',
  tooLarge: 'PW111',
  fileNotFound: 'PW112',
  includeDepth: 'PW113',
  preprocessor: 'PW114',
  unstable: 'PW115',
  truncated: 'PW116',
  sections: 'PW117',
  badPrefix: 'PW118',
  wrongMode: 'PW119',
  userMessage: 'PW120',
  orphanLabel: 'PW121',
  cpuLevel: 'PW122',
  obsolete: 'PW123',
  ignored: 'PW124',
} as const;
export type AsmCode = keyof typeof ASM_CODES;

/** Limit on the diagnostics per file; the rest is counted in a last one. */
const MAX_DIAGNOSTICS = 500;

/** Where reading came to a file that is not there. */
export interface MissingInclude {
  /** The line of the %include in each file that is open then. */
  readonly at: ReadonlyMap<string, number>;
  /** Files that were read to their end before. */
  readonly readBefore: ReadonlySet<string>;
}

/** Collects the diagnostics of a source, one per position and message. */
export class DiagnosticSink {
  private readonly seen = new Set<string>();
  private readonly list: Diagnostic[] = [];
  private dropped = 0;
  private errors = 0;
  private missing: MissingInclude | undefined;

  constructor(readonly warnings = new Warnings([])) {}

  /** Obeys a `[warning …]` line. */
  setWarning(text: string, span: Span): void {
    const wrong = this.warnings.apply(text);
    if (wrong === 'unknown-warning') this.warning(wrong, 'badDirective', `\`${text}\` is not a warning class`, span);
    else if (wrong) this.warning(wrong, 'badDirective', 'there is no [warning push] for this pop', span);
  }

  error(code: AsmCode, message: string, span: Span): void {
    this.add('error', code, message, span);
  }

  /** As the class of the warning is set at this point of the source: nothing, a warning or an error. */
  warning(name: WarningClass, code: AsmCode, message: string, span: Span): void {
    const state = this.warnings.stateOf(name);
    if (state === 'on') this.add('warning', code, `${message} [-w+${name}]`, span);
    else if (state === 'error') this.add('error', code, `${message} [-w+error=${name}]`, span);
  }

  /** Number of errors so far, including those beyond the limit. */
  get errorCount(): number {
    return this.errors;
  }

  /** An included file is missing: errors that follow from that are suppressed. Of several, the first counts. */
  includeMissing(missing: MissingInclude): void {
    this.missing ??= missing;
  }

  /** Whether a message may be about what a missing file would have defined: a name anywhere, anything after its %include. */
  private followsFromMissing(code: AsmCode, span: Span): boolean {
    if (this.missing === undefined || code === 'fileNotFound') return false;
    if (code === 'undefinedSymbol') return true;
    const line = this.missing.at.get(span.file);
    return line === undefined ? !this.missing.readBefore.has(span.file) : span.start.line >= line;
  }

  /** In source order: file, line, column; a missing file before all. */
  sorted(file: string): Diagnostic[] {
    const out = [...this.list].sort((a, b) => {
      const lacks = (d: Diagnostic): number => (this.missing && d.code === ASM_CODES.fileNotFound ? 0 : 1);
      if (lacks(a) !== lacks(b)) return lacks(a) - lacks(b);
      if (a.file !== b.file) return a.file === file ? -1 : b.file === file ? 1 : a.file < b.file ? -1 : 1;
      const p = a.span?.start;
      const q = b.span?.start;
      return (p?.line ?? 0) - (q?.line ?? 0) || (p?.column ?? 0) - (q?.column ?? 0);
    });
    if (this.dropped > 0) {
      out.push({
        severity: 'info',
        code: ASM_CODES.syntax,
        message: `${counted(this.dropped, 'more message')} not shown; fix these first`,
        file,
      });
    }
    return out;
  }

  private add(severity: 'error' | 'warning', code: AsmCode, message: string, span: Span): void {
    if (this.followsFromMissing(code, span)) return;
    const key = `${span.file}:${span.start.line}:${span.start.column}:${message}`;
    if (this.seen.has(key)) return;
    if (severity === 'error') this.errors++;
    if (this.list.length >= MAX_DIAGNOSTICS) {
      this.dropped++;
      return;
    }
    this.seen.add(key);
    this.list.push({ severity, code: ASM_CODES[code], message, file: span.file, span });
  }
}
