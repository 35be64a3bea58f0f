import type { Diagnostic, Span } from '../base/diagnostic';

/** The session's error numbers. PW3xx belongs to src/session; each number means one thing for ever. */
export const SESSION_CODES = {
  unknownOption: 'PW300',
  badValue: 'PW301',
  notBuiltYet: 'PW302',
  notAllowedHere: 'PW303',
  duplicateOption: 'PW304',
  conflictingOptions: 'PW305',
  unreadableFile: 'PW310',
  emptyFile: 'PW311',
  badStart: 'PW312',
  badImage: 'PW313',
  machine: 'PW314',
  tooLong: 'PW315',
  unknownName: 'PW320',
  badExpression: 'PW321',
  notAnAddress: 'PW322',
  noMemory: 'PW323',
  unknownCommand: 'PW324',
  notWritable: 'PW325',
  running: 'PW326',
  ended: 'PW327',
  unknownView: 'PW328',
  badPlace: 'PW329',
  badHitCondition: 'PW330',
} as const;
export type SessionCode = keyof typeof SESSION_CODES;

/** An error that names a file, a field or nothing but the program. */
export function sessionError(code: SessionCode, message: string, file: string, span?: Span): Diagnostic {
  const common = { severity: 'error', code: SESSION_CODES[code], message, file } as const;
  return span ? { ...common, span } : common;
}
