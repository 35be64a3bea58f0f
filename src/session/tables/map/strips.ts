/** The tables on the way down a path, an entry a character. */
import type { TableStrip } from '../../../model/tables';
import { entryName } from '../../translate/entry-names';
import type { Place, TableRows } from './rows';
import { rightsOf } from './scan';

export type Strip = TableStrip<bigint>;

export function strips(rows: TableRows, path: readonly string[]): Strip[] {
  const { source } = rows.scan;
  const out: Strip[] = [];
  let at = rows.root;
  for (let depth = 0; at;) {
    const { scanned, start } = at;
    const count = source.entries(scanned.level);
    const isRange = path[depth]?.includes('-') === true && path[depth + 1] !== undefined;
    const id = path[isRange ? depth + 1 : depth];
    depth += isRange ? 2 : 1;
    out.push({
      level: scanned.level,
      name: entryName(source.set, scanned.level),
      table: scanned.table,
      from: rows.canonical(start),
      to: rows.canonical(start + (BigInt(count) << BigInt(source.shift(scanned.level))) - 1n),
      cells: cells(rows, at, count),
      ...(id === undefined ? {} : { first: Number(id.split('-')[0]), last: Number(id.split('-').at(-1)) }),
    });
    at = id === undefined || id.includes('-') ? undefined : rows.place(path.slice(0, depth));
  }
  return out;
}

/** `.` nothing, `!` MMIO, `?` not present with bits set, `A`–`P` a page with these rights (r 1, w 2, x 4, u 8), `a`–`p` a table with pages below that have them. */
function cells(rows: TableRows, { scanned, rights }: Place, count: number): string {
  const out = new Array<string>(count).fill('.');
  for (const run of scanned.runs) {
    const { decoded } = run;
    for (let i = run.first; i <= run.last; i++) {
      if (decoded.mmio) out[i] = '!';
      else if (!decoded.present) out[i] = '?';
      else {
        const own = rights & rightsOf(rows.scan.source, decoded);
        const child = decoded.leaf
          ? undefined
          : rows.scan.table(
              scanned.level - 1,
              rows.scan.source.decode(scanned.level, rows.scan.entryOf(scanned.words, i)).target,
            );
        out[i] = String.fromCharCode((decoded.leaf ? 65 : 97) + (decoded.leaf ? own : own & (child?.rights ?? 0)));
      }
    }
  }
  return out.join('');
}
