/** A table's runs as rows for a reader, a page at a time; and the way from the root to an address. */
import type { DriftMark, TableRow as Row } from '../../../model/tables';
import { entryName } from '../../translate/entry-names';
import type { DriftedEntry } from './drifted';
import { holds, type RowFilter } from './filter';
import { RIGHTS, rightsOf, type Run, type Scanned, type TableScan } from './scan';
import type { Decoded } from './source';

export type TableRow = Row<bigint>;

/** A place in the tree: a table, or the single entries of one of its runs. */
export interface Place {
  readonly scanned: Scanned;
  /** Address that the table's first entry translates, without sign extension. */
  readonly start: bigint;
  /** What the entries above allow. */
  readonly rights: number;
  readonly range?: readonly [first: number, last: number];
}

const rightsText = (rights: number): string =>
  `${(rights & RIGHTS.r) !== 0 ? 'r' : '-'}${(rights & RIGHTS.w) !== 0 ? 'w' : '-'}${(rights & RIGHTS.x) !== 0 ? 'x' : '-'}${(rights & RIGHTS.u) !== 0 ? 'u' : '-'}`;

type FlagFilter = Extract<RowFilter, { kind: 'flag' }>;

/** An entry that is zero now. */
const GONE: Decoded = { present: false, leaf: false, mmio: false, flags: [], target: 0n };

/** Entries compared with their counterpart for one request: each is a walk. */
const MAX_PROBES = 2048;

export class TableRows {
  private readonly flagged = new Map<Scanned, boolean>();
  private readonly changes = new Map<Scanned, boolean>();
  private readonly complete = new Map<Scanned, readonly Run[]>();
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
  runsAt(at: Place): readonly Run[] {
    const { scanned, range } = at;
    const runs = range ? this.single(scanned, range) : this.withGone(scanned);
    return this.filter ? runs.filter((run) => this.matches(at, run)) : runs;
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

  private matches(at: Place, run: Run): boolean {
    const { filter } = this;
    if (!filter) return true;
    switch (filter.kind) {
      case 'flag':
        return this.hasFlagged(at.scanned, run, filter);
      case 'changed': {
        const { changed, changedBelow } = this.change(at.scanned, run, this.tableBelow(at.scanned, run));
        return changed !== undefined || changedBelow === true;
      }
      case 'drifted':
        return this.driftedIn(at, run).length > 0;
    }
  }

  private hasFlagged(scanned: Scanned, run: Run, filter: FlagFilter): boolean {
    if (!run.decoded.present || run.decoded.leaf) return run.decoded.present && holds(run.decoded, filter);
    const child = this.childTable(scanned, run);
    if (!child) return false;
    const known = this.flagged.get(child);
    if (known !== undefined) return known;
    const found = child.runs.some((each) => this.hasFlagged(child, each, filter));
    this.flagged.set(child, found);
    return found;
  }

  /** The first table of a run of tables: the others are like it. */
  private childTable(scanned: Scanned, run: Run): Scanned | undefined {
    return this.scan.table(scanned.level - 1, this.scan.source.decode(scanned.level, run.entry).target);
  }

  private tableBelow(scanned: Scanned, run: Run): Scanned | undefined {
    return run.decoded.present && !run.decoded.leaf ? this.childTable(scanned, run) : undefined;
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
    const { from, to } = this.span(at, run);
    const isTable = decoded.present && !decoded.leaf;
    const child = this.tableBelow(scanned, run);
    const many = last - first + 1;
    const own = at.rights & rightsOf(source, decoded);
    const symbol = source.from === 'gva' && decoded.leaf ? this.symbolIn(from, to) : undefined;
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
      ...(decoded.leaf && decoded.present ? { pageSize: 2 ** source.shift(level) } : {}),
      rights: rightsText(isTable ? own & (child?.rights ?? 0) : own),
      pages: isTable ? (child?.leaves ?? 0) * many : decoded.present ? many : 0,
      rows: this.rowsBelow(at, run, child),
      ...(isTable && (child === undefined || child.partial) ? { partial: true } : {}),
      ...(symbol === undefined ? {} : { symbol }),
      ...this.change(scanned, run, child),
      ...this.drift(at, run),
    };
  }

  /** How many rows there are below a run: its single entries, or those of its table. */
  private rowsBelow({ scanned, start, rights }: Place, run: Run, child: Scanned | undefined): number {
    const { first, last, decoded } = run;
    if (!decoded.present) return 0;
    if (last > first)
      return this.filter ? this.runsAt({ scanned, start, rights, range: [first, last] }).length : last - first + 1;
    const from = start + (BigInt(first) << BigInt(this.scan.source.shift(scanned.level)));
    return child ? this.runsAt({ scanned: child, start: from, rights: 0 }).length : 0;
  }

  /** The addresses that a run translates; the last is included. */
  private span(at: Place, { first, last }: Run): { readonly from: bigint; readonly to: bigint } {
    const shift = BigInt(this.scan.source.shift(at.scanned.level));
    return {
      from: this.canonical(at.start + (BigInt(first) << shift)),
      to: this.canonical(at.start + (BigInt(last + 1) << shift) - 1n),
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
        const child = this.tableBelow(scanned, run);
        return child !== undefined && this.hasChanged(child);
      });
    this.changes.set(scanned, found);
    return found;
  }

  /** A table's runs, and between them the entries that were there and are zero now. */
  private withGone(scanned: Scanned): readonly Run[] {
    const old = this.before?.known(scanned.level, scanned.table);
    if (!old) return scanned.runs;
    const known = this.complete.get(scanned);
    if (known) return known;
    const isZero = (words: Uint32Array, i: number): boolean => words[2 * i] === 0 && words[2 * i + 1] === 0;
    const gone: Run[] = [];
    for (let i = 0; i < scanned.words.length / 2; i++) {
      if (!isZero(scanned.words, i) || isZero(old.words, i)) continue;
      const run = gone.at(-1);
      if (run?.last === i - 1) gone[gone.length - 1] = { ...run, last: i };
      else gone.push({ first: i, last: i, entry: 0n, decoded: GONE, frame: 0, step: 0, shape: undefined });
    }
    const all = gone.length === 0 ? scanned.runs : [...scanned.runs, ...gone].sort((a, b) => a.first - b.first);
    this.complete.set(scanned, all);
    return all;
  }

  // ---- how guest and shadow tables stand to each other

  /** The shadow entries for a run's addresses, of its level or below, that are not what the guest's tables say. */
  private driftedIn(at: Place, run: Run): readonly DriftedEntry[] {
    if (!this.scan.source.drift) return [];
    const { from, to } = this.span(at, run);
    const { level } = at.scanned;
    return this.drifted().filter((each) => each.level <= level && each.linear >= from && each.linear <= to);
  }

  /** Of a run's entries each, as far as the request's patience reaches; of tables, what the shadow entries below them say. */
  private drift(at: Place, run: Run): Partial<TableRow> {
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
    for (const each of this.driftedIn(at, run)) if (each.level < level) each.marks.forEach((mark) => below.add(mark));
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
