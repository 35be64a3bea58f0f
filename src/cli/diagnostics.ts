import type { Diagnostic } from '../base/diagnostic';
import { formatDiagnostic } from '../base/diagnostic';

/** The command line's error numbers. PW6xx belongs to src/cli. */
export const CLI_CODES = {
  unknownCommand: 'PW600',
  missingOperand: 'PW601',
  unexpectedOperand: 'PW602',
  unknownOption: 'PW603',
  missingValue: 'PW604',
  badValue: 'PW605',
  missingOption: 'PW606',
  unreadable: 'PW607',
  unwritable: 'PW608',
  notBuiltYet: 'PW609',
  duplicateOption: 'PW610',
  neverReached: 'PW611',
} as const;
export type CliCode = keyof typeof CLI_CODES;

/** What errors about options and operands are located by. */
export const COMMAND_LINE = 'command line';

export function cliError(code: CliCode, message: string, file: string = COMMAND_LINE): Diagnostic {
  return { severity: 'error', code: CLI_CODES[code], message, file };
}

export const formatAll = (list: readonly Diagnostic[]): string => list.map((d) => formatDiagnostic(d) + '\n').join('');
