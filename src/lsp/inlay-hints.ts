/** Inlay hints: the address and the bytes of each line, after its text. */
import type { InlayHint, Range } from 'vscode-languageserver';
import { lineHints } from '../asm/line-hints';
import type { Program, SourceFile } from './workspace';

export function inlayHints({ assembled }: Program, { path, text }: SourceFile, range: Range): InlayHint[] {
  if (!assembled.ok) return [];
  const rows = text.split('\n');
  const own = assembled.lines.filter(
    ({ file, line }) => file === path && line > range.start.line && line <= range.end.line + 1,
  );
  return lineHints(own, assembled.image, assembled.origin, assembled.hasOrg).flatMap(
    ({ line, label, tooltip }): InlayHint[] => {
      const row = rows[line - 1]?.replace(/\s+$/, '');
      if (row === undefined) return [];
      return [{ position: { line: line - 1, character: row.length }, label, paddingLeft: true, tooltip }];
    },
  );
}
