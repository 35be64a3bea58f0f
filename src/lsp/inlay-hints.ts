/** Inlay hints: the address and the bytes of each line, behind it. */
import { counted } from '../base/plural';
import type { InlayHint, Range } from 'vscode-languageserver';
import type { LineEntry } from '../asm/index';
import type { Program, SourceFile } from './workspace';

/** More bytes than this are counted. */
const MAX_BYTES = 8;

export function inlayHints({ assembled }: Program, { path, text }: SourceFile, range: Range): InlayHint[] {
  if (!assembled.ok) return [];
  const rows = text.split('\n');
  const byLine = new Map<number, LineEntry[]>();
  for (const entry of assembled.lines) {
    if (entry.file !== path || entry.length === 0 || entry.line <= range.start.line || entry.line > range.end.line + 1)
      continue;
    const list = byLine.get(entry.line);
    if (list) list.push(entry);
    else byLine.set(entry.line, [entry]);
  }
  return [...byLine].flatMap(([line, entries]): InlayHint[] => {
    const [first] = entries;
    const row = rows[line - 1]?.replace(/\s+$/, '');
    if (!first || row === undefined) return [];
    const total = entries.reduce((sum, { length }) => sum + length, 0);
    const bytes = entries.flatMap((each) => bytesOf(assembled.image, assembled.origin, each));
    const shown = bytes.slice(0, MAX_BYTES).map((byte) => byte.toString(16).padStart(2, '0'));
    const more = total > shown.length ? ` … ${counted(total, 'byte')}` : '';
    return [
      {
        position: { line: line - 1, character: row.length },
        label: `${first.address.toString(16)}: ${shown.join(' ')}${more}`,
        paddingLeft: true,
        tooltip: `${total} byte${total === 1 ? '' : 's'} at 0x${first.address.toString(16)}${assembled.hasOrg ? '' : ', where the guest is placed when it starts'}`,
      },
    ];
  });
}

/** The bytes of an entry; none where it lies outside the image (reserved space, a section with its own vstart). */
function bytesOf(image: Uint8Array, origin: bigint, { address, length }: LineEntry): number[] {
  const at = address - origin;
  return at >= 0n && at + BigInt(length) <= BigInt(image.length)
    ? [...image.subarray(Number(at), Number(at) + Math.min(length, MAX_BYTES))]
    : [];
}
