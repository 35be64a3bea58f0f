/** Where shadow tables do not say what the guest's tables say now. */
import type { DriftMark } from '../drift';
import type { Scanned, TableScan } from './scan';

/** A shadow entry with a mark worth leading to. */
export interface DriftedEntry {
  readonly level: number;
  readonly linear: bigint;
  readonly marks: readonly DriftMark[];
}

/** Entries looked at, at most: each is a walk. */
const MAX_LOOKED_AT = 8192;

/** Marks that one goes looking for; `missing` and `write-protected` are a shadow's ordinary life. */
const WORTH: ReadonlySet<DriftMark> = new Set(['stale', 'unsync']);

/** All entries of the shadow tables that are stale or out of sync, as far as patience reaches. */
export function driftedEntries(scan: TableScan): readonly DriftedEntry[] {
  const { source } = scan;
  const out: DriftedEntry[] = [];
  let left = MAX_LOOKED_AT;
  const visit = (scanned: Scanned, start: bigint): void => {
    const shift = BigInt(source.shift(scanned.level));
    for (const run of scanned.runs)
      for (let index = run.first; index <= run.last && left > 0; index++, left--) {
        const at = start + (BigInt(index) << shift);
        const { level, table } = scanned;
        const linear = BigInt.asUintN(64, BigInt.asIntN(source.linearBits === 32 ? 64 : source.linearBits, at));
        const marks = source.drift?.({ level, table, index, present: run.decoded.present, linear }) ?? [];
        const worth = marks.filter((mark) => WORTH.has(mark));
        if (worth.length > 0) out.push({ level, linear, marks: worth });
        if (!run.decoded.present || run.decoded.leaf) continue;
        const child = scan.table(level - 1, source.decode(level, scan.entryOf(scanned.words, index)).target);
        if (child) visit(child, at);
      }
  };
  if (scan.top) visit(scan.top, 0n);
  return out;
}
