/** Which files are guests, and which document a command means. */
import * as vscode from 'vscode';

/** Our own language and the common ids that other extensions give to assembly; package.json lists the same. */
export const GUEST_LANGUAGES = [
  'pagewalk-asm',
  'asm',
  'asm-collection',
  'asm-intel-x86-generic',
  'assembly',
  'gas',
  'nasm',
  'x86_64assembly',
  'x86asm',
] as const;

/** Languages of sources that a compiler makes an ELF guest of, and that compiler: breakpoints may be set in them. */
export const COMPILED_LANGUAGES: ReadonlyMap<string, string> = new Map([
  ['c', 'gcc'],
  ['cpp', 'g++'],
]);

export function isGuest(document: vscode.TextDocument): boolean {
  return (
    GUEST_LANGUAGES.some((language) => language === document.languageId) || /\.(asm|nasm|s)$/i.test(document.fileName)
  );
}

/** The file that a command was invoked on: a menu passes its resource, the palette means the active editor. */
export function guestFile(resource?: vscode.Uri): vscode.Uri | undefined {
  if (resource) return resource;
  const document = vscode.window.activeTextEditor?.document;
  return document && isGuest(document) ? document.uri : undefined;
}
