/** A table's runs as rows for a reader, a page at a time; and the way from the root to an address. */
import type { DriftMark } from '../drift';
import { entryName } from '../entry-names';
import { RIGHTS, rightsOf, type Run, type Scanned, type TableScan } from './scan';
import type { Decoded } from './source';

/** See protocol/panels/page-tables.ts, whose types these are with bigint for hex. */
export interface TableRow {
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly level: number;
  readonly name: string;
  readonly kind: 'table' | 'page' | 'absent' | 'mmio';
  readonly from: bigint;
  readonly to: bigint;
  readonly entryAddress: bigint;
  readonly entry: bigint;
  readonly flags: readonly string[];
  readonly target: bigint;
  readonly targets: 'one' | 'following' | 'same' | 'various';
  readonly pageSize?: number;
  readonly rights: string;
  readonly pages: number;
  readonly rows: number;
  readonly partial?: boolean;
  readonly symbol?: string;
  readonly changed?: number;
  readonly was?: bigint;
  readonly changedBelow?: boolean;
  readonly drift?: readonly { readonly mark: DriftMark; readonly entries: number }[];
  readonly driftBelow?: readonly DriftMark[];
}

/** Only leaves that hold, and what leads to them. `without`: those that lack the flag. */
export interface RowFilter {
  readonly flag: string;
  readonly without: boolean;
}

/** A place in the tree: a table, or the single entries of one of its runs. */
export interface Place {
  readonly scanned: Scanned;
  /** Address that the table's first entry translates, without sign extension. */
  readonly start: bigint;
  /** What the entries above allow. */
  readonly rights: number;
  readonly range?: readonly [first: number, last: number];
}

export const rightsText = (rights: number): string =>
  `${(rights & RIGHTS.r) !== 0 ? 'r' : '-'}${(rights & RIGHTS.w) !== 0 ? 'w' : '-'}${(rights & RIGHTS.x) !== 0 ? 'x' : '-'}${(rights & RIGHTS.u) !== 0 ? 'u' : '-'}`;

/** A shadow entry with a mark worth leading to. */
export interface DriftedEntry {
  readonly level: number;
  readonly linear: bigint;
  readonly marks: readonly DriftMark[];
}

/** Entries compared with their counterpart for one request: each is a walk. */
const MAX_PROBES = 2048;

export class TableRows {
  private readonly matching = new Map<Scanned, boolean>();
  private readonly changes = new Map<Scanned, boolean>();
  private probes = MAX_PROBES;

  constructor(
    readonly scan: TableScan,
    /** The same tables as they were when they were looked at before. */
    private readonly before: TableScan | undefined,
    private readonly symbolIn: (from: bigint, to: bigint) => string | undefined,
    readonly filter: RowFilter | undefined,
    /** The shadow entries that are not what the guest's tables say now. */
    private readonly drifted: () => readonly DriftedEntry[] = () => [],
  ) {}

  get root(): Place | undefined {
    const { top } = this.scan;
    return top && { scanned: top, start: 0n, rights: RIGHTS.all };
  }

  /** Where a path of row ids leads; undefined: no longer there. */
  place(path: readonly string[]): Place | undefined {
    let at = this.root;
    for (const id of path) at = at && this.below(at, id);
    return at;
  }

  private below(at: Place, id: string): Place | undefined {
    const [first = NaN, last = first] = id.split('-').map(Number);
    const run = at.scanned.runs.find((each) => each.first <= first && last <= each.last);
    if (!run) return undefined;
    if (last > first) return { ...at, range: [first, last] };
    return this.child(at, first, run);
  }

  private child(at: Place, index: number, run: Run): Place | undefined {
    if (!run.decoded.present || run.decoded.leaf) return undefined;
    const { source } = this.scan;
    const { scanned } = at;
    const entry = this.scan.entryOf(scanned.words, index);
    const child = this.scan.table(scanned.level - 1, source.decode(scanned.level, entry).target);
    const start = at.start + (BigInt(index) << BigInt(source.shift(scanned.level)));
    return child && { scanned: child, start, rights: at.rights & rightsOf(source, run.decoded) };
  }

  /** The runs (or single entries) at a place that the filter lets through. */
  runsAt({ scanned, range }: Place): readonly Run[] {
    const runs = range ? this.single(scanned, range) : scanned.runs;
    return this.filter ? runs.filter((run) => this.matches(scanned, run)) : runs;
  }

  private single(scanned: Scanned, [first, last]: readonly [number, number]): Run[] {
    const run = scanned.runs.find((each) => each.first <= first && last <= each.last);
    if (!run) return [];
    return Array.from({ length: last - first + 1 }, (_, i): Run => {
      const index = first + i;
      const entry = this.scan.entryOf(scanned.words, index);
      return { ...run, first: index, last: index, entry };
    });
  }

  private targetOf(scanned: Scanned, { decoded }: Run, entry: bigint): bigint {
    return decoded.present || decoded.mmio ? this.scan.source.decode(scanned.level, entry).target : 0n;
  }

  private matches(scanned: Scanned, run: Run): boolean {
    const { filter } = this;
    if (!filter) return true;
    if (run.decoded.present && !run.decoded.leaf) {
      const child = this.childTable(scanned, run);
      return child !== undefined && this.anyMatches(child);
    }
    return run.decoded.present && holds(run.decoded, filter);
  }

  /** The first table of a run of tables: the others are like it. */
  private childTable(scanned: Scanned, run: Run): Scanned | undefined {
    return this.scan.table(scanned.level - 1, this.scan.source.decode(scanned.level, run.entry).target);
  }

  private anyMatches(scanned: Scanned): boolean {
    const known = this.matching.get(scanned);
    if (known !== undefined) return known;
    const found = scanned.runs.some((run) => this.matches(scanned, run));
    this.matching.set(scanned, found);
    return found;
  }

  rows(at: Place, start: number, count: number): { readonly rows: readonly TableRow[]; readonly total: number } {
    this.probes = MAX_PROBES;
    const runs = this.runsAt(at);
    return { rows: runs.slice(start, start + count).map((run) => this.row(at, run)), total: runs.length };
  }

  private row(at: Place, run: Run): TableRow {
    const { source } = this.scan;
    const { scanned } = at;
    const { level } = scanned;
    const { decoded, first, last } = run;
    const shift = BigInt(source.shift(level));
    const from = this.canonical(at.start + (BigInt(first) << shift));
    const to = this.canonical(at.start + (BigInt(last + 1) << shift) - 1n);
    const isTable = decoded.present && !decoded.leaf;
    const child = isTable ? this.childTable(scanned, run) : undefined;
    const many = last - first + 1;
    const own = at.rights & rightsOf(source, decoded);
    const symbol = source.from === 'gva' && decoded.leaf ? this.symbolIn(from, to) : undefined;
    const rows = !isTable
      ? many > 1 && decoded.present
        ? many
        : 0
      : many > 1
        ? many
        : child
          ? this.runsAt({ scanned: child, start: 0n, rights: 0 }).length
          : 0;
    return {
      id: many > 1 ? `${first}-${last}` : String(first),
      first,
      last,
      level,
      name: entryName(source.set, level),
      kind: decoded.mmio ? 'mmio' : !decoded.present ? 'absent' : decoded.leaf ? 'page' : 'table',
      from,
      to,
      entryAddress:
        source.registers && level === source.top.level
          ? BigInt(first)
          : scanned.table + BigInt(first * source.entryBytes),
      entry: run.entry,
      flags: decoded.flags,
      target: this.targetOf(scanned, run, run.entry),
      targets: many === 1 ? 'one' : isTable ? 'various' : run.step === 0 ? 'same' : 'following',
      ...(decoded.leaf && decoded.present ? { pageSize: 2 ** Number(shift) } : {}),
      rights: rightsText(isTable ? own & (child?.rights ?? 0) : own),
      pages: isTable ? (child?.leaves ?? 0) * many : decoded.present ? many : 0,
      rows,
      ...(isTable && (child === undefined || child.partial) ? { partial: true } : {}),
      ...(symbol === undefined ? {} : { symbol }),
      ...this.change(scanned, run, child),
      ...this.drift(at, run, from, to),
    };
  }

  canonical(address: bigint): bigint {
    const { linearBits } = this.scan.source;
    return linearBits === 32 || this.scan.source.from !== 'gva'
      ? address
      : BigInt.asUintN(64, BigInt.asIntN(linearBits, address));
  }

  // ---- what changed

  private change(scanned: Scanned, run: Run, child: Scanned | undefined): Partial<TableRow> {
    if (!this.before) return {};
    const old = this.before.known(scanned.level, scanned.table);
    let changed = 0;
    for (let i = run.first; i <= run.last; i++)
      if (!old || old.words[2 * i] !== scanned.words[2 * i] || old.words[2 * i + 1] !== scanned.words[2 * i + 1])
        changed++;
    const below = child !== undefined && this.hasChanged(child);
    return {
      ...(changed === 0 ? {} : { changed }),
      ...(changed === 1 && run.first === run.last && old ? { was: this.before.entryOf(old.words, run.first) } : {}),
      ...(below ? { changedBelow: true } : {}),
    };
  }

  private hasChanged(scanned: Scanned): boolean {
    const known = this.changes.get(scanned);
    if (known !== undefined) return known;
    const old = this.before?.known(scanned.level, scanned.table);
    const found =
      !old ||
      old.words.some((word, i) => word !== scanned.words[i]) ||
      scanned.runs.some((run) => {
        const child = run.decoded.present && !run.decoded.leaf ? this.childTable(scanned, run) : undefined;
        return child !== undefined && this.hasChanged(child);
      });
    this.changes.set(scanned, found);
    return found;
  }

  // ---- how guest and shadow tables stand to each other

  /** Of a run's entries each, as far as the request's patience reaches; of tables, what the shadow entries below them say. */
  private drift(at: Place, run: Run, from: bigint, to: bigint): Partial<TableRow> {
    const { source } = this.scan;
    const { level, table } = at.scanned;
    if (!source.drift) return {};
    const counts = new Map<DriftMark, number>();
    const isTables = run.last > run.first && !run.decoded.leaf;
    for (let index = run.first; index <= run.last && !isTables && this.probes > 0; index++, this.probes--) {
      const linear = this.canonical(at.start + (BigInt(index) << BigInt(source.shift(level))));
      for (const mark of source.drift({ level, table, index, present: run.decoded.present, linear }))
        counts.set(mark, (counts.get(mark) ?? 0) + 1);
    }
    const below = new Set<DriftMark>();
    for (const each of this.drifted())
      if (each.level < level && each.linear >= from && each.linear <= to) each.marks.forEach((mark) => below.add(mark));
    return {
      ...(counts.size === 0 ? {} : { drift: [...counts].map(([mark, entries]) => ({ mark, entries })) }),
      ...(below.size === 0 ? {} : { driftBelow: [...below] }),
    };
  }

  // ---- an address

  /** The rows' ids from the root to the entry that translates `address`, as far as there are entries. */
  find(address: bigint): { readonly path: readonly string[]; readonly present: boolean; readonly missing?: string } {
    const { source } = this.scan;
    const path: string[] = [];
    const wanted = BigInt.asUintN(source.linearBits, address);
    let at = this.root;
    while (at) {
      const { level, runs } = at.scanned;
      const index = Number((wanted - at.start) >> BigInt(source.shift(level)));
      const run = runs.find((each) => each.first <= index && index <= each.last);
      if (!run)
        return { path, present: false, missing: `${entryName(source.set, level)} [${index}] is 0: not present` };
      if (run.last > run.first) path.push(`${run.first}-${run.last}`);
      path.push(String(index));
      if (!run.decoded.present) {
        const why = run.decoded.mmio ? 'marked for MMIO' : 'not present';
        return { path, present: false, missing: `${entryName(source.set, level)} [${index}] is ${why}` };
      }
      if (run.decoded.leaf) return { path, present: true };
      at = this.child(at, index, run);
    }
    return { path, present: false, missing: 'its table lies where there is no memory' };
  }
}

const holds = ({ flags }: Decoded, { flag, without }: RowFilter): boolean => flags.includes(flag) !== without;

/** Marks that one goes looking for; `missing` and `write-protected` are a shadow's ordinary life. */
const WORTH: ReadonlySet<DriftMark> = new Set(['stale', 'unsync']);

/** All entries of the shadow tables that are stale or out of sync, as far as patience reaches. */
export function driftedEntries(scan: TableScan): readonly DriftedEntry[] {
  const { source } = scan;
  const out: DriftedEntry[] = [];
  let left = 4 * MAX_PROBES;
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

/** The tables on the way down a path as strips: for each entry one character. See protocol/panels/page-tables.ts. */
export interface Strip {
  readonly level: number;
  readonly name: string;
  readonly table: bigint;
  readonly from: bigint;
  readonly to: bigint;
  readonly cells: string;
  /** The entries that the path goes through. */
  readonly first?: number;
  readonly last?: number;
}

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
