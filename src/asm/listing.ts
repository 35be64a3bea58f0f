import { counted } from '../base/plural';
import type { Assembled } from './assembled';

/** Bytes shown on one line of a listing, as NASM shows them. */
const BYTES_PER_LINE = 8;

/**
 * A listing in NASM's layout: line number, address, bytes, source. Longer stretches continue on lines of their own; long runs are cut
 * after a few lines and counted.
 */
export function formatListing(assembled: Assembled, source: string, fileName: string): string {
  const byLine = new Map<number, { address: bigint; length: number }[]>();
  for (const l of assembled.lines) {
    if (l.file !== fileName) continue;
    const list = byLine.get(l.line);
    if (list) list.push(l);
    else byLine.set(l.line, [l]);
  }
  const out: string[] = [];
  source.split('\n').forEach((text, i) => {
    const number = String(i + 1).padStart(6);
    const stretches = byLine.get(i + 1) ?? [];
    let first = true;
    for (const s of stretches) {
      for (let done = 0; done < s.length && (done === 0 || done < 4 * BYTES_PER_LINE); done += BYTES_PER_LINE) {
        const size = Math.min(BYTES_PER_LINE, s.length - done);
        const at = Number(s.address + BigInt(done) - assembled.origin);
        const inImage = at >= 0 && at + size <= assembled.image.length;
        const bytes = inImage
          ? hexUpper(assembled.image.subarray(at, at + size))
          : `<res ${s.length.toString(16).toUpperCase()}h>`;
        const more = done + size < s.length ? '-' : '';
        const address = (s.address + BigInt(done)).toString(16).toUpperCase().padStart(8, '0');
        out.push(`${number} ${address} ${(bytes + more).padEnd(BYTES_PER_LINE * 2 + 3)}${first ? text : ''}`.trimEnd());
        first = false;
        if (!inImage) break;
      }
      const hidden = s.length - 4 * BYTES_PER_LINE;
      if (hidden > 0) out.push(`${number} … ${counted(hidden, 'more byte')}`);
    }
    if (first) out.push(`${number} ${' '.repeat(BYTES_PER_LINE * 2 + 12)}${text}`.trimEnd());
  });
  return out.join('\n') + '\n';
}

const hexUpper = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => b.toString(16).toUpperCase().padStart(2, '0')).join('');
