/** The line under the cursor, for panels that follow it. */
import * as vscode from 'vscode';
import type { Cursor } from '../../protocol/panels';
import { isGuest } from '../guest-files';

export function cursorNow(): Cursor | undefined {
  const editor = vscode.window.activeTextEditor;
  if (!editor || !isGuest(editor.document)) return undefined;
  const { document, selection } = editor;
  const { line, character } = selection.active;
  const lineText = document.lineAt(line).text;
  return { lineText, columns: columnsToTry(lineText, character + 1), path: document.fileName, line: line + 1 };
}

/** The cursor's own column, then the inside of the line's first memory operand (the current line's cursor is at its start). */
function columnsToTry(lineText: string, column: number): number[] {
  const code = lineText.replace(/;.*$/, '');
  const bracket = code.indexOf('[');
  return bracket < 0 ? [column] : [column, bracket + 2];
}
