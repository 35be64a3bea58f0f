/** What can be folded: macros, conditions, repetitions, structures, labels, runs of comments, regions. */
import { FoldingRangeKind, type FoldingRange } from 'vscode-languageserver';
import { shapeOf } from './shape';
import type { SourceFile } from './workspace';

const OPEN = /^(%i?macro|%rep|%if\w*|struc|istruc)$/;
const CLOSE = /^(%endm(acro)?|%endrep|%endif|endstruc|iend)$/;
const BETWEEN = /^%(else|elif\w*)$/;

export function foldingRanges({ lines, text }: SourceFile): FoldingRange[] {
  const out: FoldingRange[] = [];
  const add = (startLine: number, endLine: number, kind?: FoldingRangeKind): void => {
    if (endLine > startLine) out.push({ startLine, endLine, ...(kind === undefined ? {} : { kind }) });
  };
  const open: number[] = [];
  const regions: number[] = [];
  let label: number | undefined;
  let comments: { from: number; to: number } | undefined;
  const endComments = (): void => {
    if (comments) add(comments.from, comments.to, FoldingRangeKind.Comment);
    comments = undefined;
  };
  let lastCode = 0;
  for (const { tokens, comments: notes, line } of lines) {
    const row = line - 1;
    const [note] = notes;
    if (tokens.length === 0 && note) {
      if (/^\s*#?region\b/.test(note.text)) regions.push(row);
      else if (/^\s*#?endregion\b/.test(note.text)) add(regions.pop() ?? row, row, FoldingRangeKind.Region);
      else if (comments && comments.to === row - 1) comments.to = row;
      else {
        endComments();
        comments = { from: row, to: row };
      }
      continue;
    }
    endComments();
    const { label: named, head } = shapeOf(tokens, () => false);
    const word = head?.text.toLowerCase() ?? '';
    if (named && !named.text.startsWith('.') && word !== 'equ' && open.length === 0) {
      if (label !== undefined) add(label, lastCode);
      label = row;
    } else if (/^(section|segment)$/.test(word) && label !== undefined) {
      add(label, lastCode);
      label = undefined;
    }
    if (OPEN.test(word)) open.push(row);
    else if (CLOSE.test(word)) add(open.pop() ?? row, row - 1);
    else if (BETWEEN.test(word)) {
      add(open.pop() ?? row, row - 1);
      open.push(row);
    }
    lastCode = Math.max(row, (tokens.at(-1)?.line ?? line) - 1);
  }
  endComments();
  if (label !== undefined) add(label, lastCode);
  const last = text.split('\n').length - 1;
  return out.filter(({ endLine }) => endLine <= last);
}
