/** The pagemap of a guest as a file: text for people, and words in the format of /proc/PID/pagemap, by GPA. */
import { hex } from '../../base/hex';
import type { PagemapRow } from './pagemap';

/**
 * One line per page of the host's that holds guest RAM, in the order of GPAs:
 *
 *    # GPA              HVA                WHERE              SIZE SLOT FLAGS
 *    0x0000000000100000 0x00007f5a00100000 0x101c9e000        0x1000 0 rw
 *
 * WHERE is a frame by its HPA, or `swap:N`; SIZE is the host's page, cut to the slot; FLAGS are r and w, `merged:N` where N pages share the frame, and -- in swap.
 */
export function pagemapText(rows: readonly PagemapRow[]): string {
  const lines = rows.map((r) => {
    const where = r.at.kind === 'frame' ? hex(r.at.hpa) : `swap:${r.at.slot}`;
    const flags = `r${r.writable ? 'w' : '-'}${r.shared > 0 ? ` merged:${r.shared}` : ''}`;
    return `${hex(r.gpa, 16)} ${hex(r.hva, 16)} ${where.padEnd(18)} ${hex(r.size)} ${r.slot} ${r.at.kind === 'frame' ? flags : '--'}`;
  });
  const head = `${'# GPA'.padEnd(18)} ${'HVA'.padEnd(18)} ${'WHERE'.padEnd(18)} SIZE SLOT FLAGS`;
  return [head, ...lines].join('\n') + '\n';
}

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;
const EXCLUSIVE = 1n << 56n;
/** Words that a binary pagemap may have: 64 GiB of guest physical addresses, 128 MiB of file. */
export const MOST_WORDS = 1 << 24;

/**
 * 64 bits for each 4 KiB of guest physical memory from 0 to the last slot's end, as Documentation/admin-guide/mm/pagemap.rst has them for virtual memory; undefined: there are too many.
 *
 *     63      62      61       56        54..0
 *   |present|swapped|file | exclusive | frame number; of a page in swap: type 4..0, offset 54..5 |
 */
export function pagemapWords(rows: readonly PagemapRow[], end: bigint): Uint8Array | undefined {
  const words = end >> 12n;
  if (words > BigInt(MOST_WORDS)) return undefined;
  const out = new Uint8Array(Number(words) * 8);
  const view = new DataView(out.buffer);
  for (const r of rows) {
    for (let offset = 0n; offset < r.size; offset += 4096n) {
      const word =
        r.at.kind === 'frame'
          ? PRESENT | (r.shared > 1 ? 0n : EXCLUSIVE) | ((r.at.hpa + offset) >> 12n)
          : SWAPPED | (BigInt(r.at.slot) << 5n);
      view.setBigUint64(Number((r.gpa + offset) >> 12n) * 8, word, true);
    }
  }
  return out;
}
