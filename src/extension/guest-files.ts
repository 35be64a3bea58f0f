/** Which files are guests, and which document a command means. */
import * as vscode from 'vscode';
import { GUEST_LANGUAGES } from './guest-languages';

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
