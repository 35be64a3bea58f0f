import type { Diagnostic } from '../base/diagnostic';
import { formatDiagnostic } from '../base/diagnostic';

/** The command line's error numbers. PW4xx belongs to src/cli. */
export const CLI_CODES = {
  unknownCommand: 'PW400',
  missingOperand: 'PW401',
  unexpectedOperand: 'PW402',
  unknownOption: 'PW403',
  missingValue: 'PW404',
  badValue: 'PW405',
  missingOption: 'PW406',
  unreadable: 'PW407',
  unwritable: 'PW408',
  notBuiltYet: 'PW409',
  duplicateOption: 'PW410',
  neverReached: 'PW411',
} as const;
export type CliCode = keyof typeof CLI_CODES;

/** What errors about options and operands are located by. */
export const COMMAND_LINE = 'command line';

export function cliError(code: CliCode, message: string, file: string = COMMAND_LINE): Diagnostic {
  return { severity: 'error', code: CLI_CODES[code], message, file };
}

export const formatAll = (list: readonly Diagnostic[]): string => list.map((d) => formatDiagnostic(d) + '\n').join('');
