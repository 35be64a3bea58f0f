import type { Diagnostic } from '../base/diagnostic';
import { formatDiagnostic } from '../base/diagnostic';

/** The adapter's own error numbers. PW5xx belongs to src/dap; a number never changes its meaning. */
export const DAP_CODES = {
  noProgram: 'PW500',
  unreadable: 'PW501',
  wrongType: 'PW502',
  unwritable: 'PW503',
  unknownField: 'PW504',
  badSecret: 'PW505',
  notLaunched: 'PW510',
  running: 'PW511',
  ended: 'PW512',
  unknownRequest: 'PW513',
  badReference: 'PW514',
  tooMuch: 'PW515',
  badArgument: 'PW516',
  outermost: 'PW517',
  badMessage: 'PW518',
  alreadyRunning: 'PW519',
  internal: 'PW590',
} as const;
export type DapCode = keyof typeof DAP_CODES;

/**
 * A request that cannot be answered because of its content. Becomes an error response; the session continues.
 * `showUser`: VS Code shows it in its own dialog; otherwise only the requesting view shows it.
 */
export class RequestError extends Error {
  constructor(
    /** The number after PW. */
    readonly id: number,
    message: string,
    readonly showUser: boolean,
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

const numberOf = (code: string): number => Number(/\d+/.exec(code)?.[0] ?? 0);

export function requestError(code: DapCode, message: string, showUser = false): RequestError {
  return new RequestError(numberOf(DAP_CODES[code]), `${DAP_CODES[code]}: ${message}`, showUser);
}

/** An error that names a field of the launch configuration, or a file. */
export function dapDiagnostic(code: DapCode, message: string, file: string): Diagnostic {
  return { severity: 'error', code: DAP_CODES[code], message, file };
}

/** How many diagnostics one message shows; all of them go to the Debug Console. */
const SHOWN = 5;

/** Errors in what was launched: a list of `file:line:column: error PWnnn: …`. `showUser`: as of RequestError. */
export function launchError(diagnostics: readonly Diagnostic[], showUser: boolean): RequestError {
  const lines = diagnostics.slice(0, SHOWN).map(formatDiagnostic);
  const left = diagnostics.length - lines.length;
  if (left > 0) lines.push(`… and ${left} more in the Debug Console`);
  return new RequestError(numberOf(diagnostics[0]?.code ?? ''), lines.join('\n'), showUser);
}

/** Errors in a typed expression, value or address: there is no file to name, but a column. */
export function inputError(diagnostics: readonly Diagnostic[]): RequestError {
  const text = diagnostics.map((d) => `${d.code}: ${d.message}${d.span ? ` (column ${d.span.start.column})` : ''}`);
  return new RequestError(numberOf(diagnostics[0]?.code ?? ''), text.join('\n'), false);
}
