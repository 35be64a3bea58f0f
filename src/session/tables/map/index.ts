/** The page tables of a moment as maps: which sets there are, rows of any table, the way to an address, and what changed since the moment before. */
import { err, ok } from '../../../base/result';
import type * as model from '../../../model/tables';
import type { Machine } from '../../../vmm/machine';
import type { Answer } from '../../answer';
import { sessionError } from '../../diagnostics';
import type { GuestView } from '../../guest/view';
import type { SymbolTable } from '../../guest/symbols';
import { driftedEntries, type DriftedEntry } from './drifted';
import type { RowFilter } from './filter';
import { TableRows, type TableRow } from './rows';
import { TableScan } from './scan';
import { strips, type Strip } from './strips';
import { tableSources, type TableSet, type TableSource } from './source';

export type { RowFilter } from './filter';
export type { TableRow } from './rows';
export type TableSetInfo = model.TableSetInfo<bigint>;
export type { Strip } from './strips';
export type { TableSet } from './source';

export interface TablePage {
  readonly rows: readonly TableRow[];
  readonly total: number;
}

/** One set, now and as it was at an earlier stop. */
interface Kept {
  readonly moment: number;
  readonly stop: number;
  readonly root: bigint;
  readonly scan: TableScan;
  readonly before: { readonly scan: TableScan; readonly stop: number } | undefined;
}

/** Most rows that one request gets. */
const MAX_ROWS = 512;

export class TableMaps {
  private readonly kept = new Map<TableSet, Kept>();
  private readonly rowsBy = new Map<string, TableRows>();
  private drift: { readonly moment: number; readonly entries: readonly DriftedEntry[] } | undefined;

  constructor(
    private readonly guest: GuestView,
    private readonly machine: Machine,
    private readonly symbols: SymbolTable,
    /** How often the guest has stopped. */
    private readonly stops: () => number,
  ) {}

  /** `moment` names the machine's present state: with another number everything is read anew, and compared with what was read at the stop before (or the last one that was looked at). */
  sets(moment: number): readonly TableSetInfo[] {
    return tableSources(this.guest, this.machine, this.machine.host).map((source) => {
      const { scan, stop, before } = this.scanOf(source, moment);
      const { top } = scan;
      return {
        set: source.set,
        root: source.root,
        from: source.from,
        to: source.to,
        levels: source.top.level,
        pages: top?.leaves ?? 0,
        tables: scan.count,
        partial: top?.partial ?? true,
        ...(before ? { since: stop - before.stop } : {}),
      };
    });
  }

  page(
    set: TableSet,
    moment: number,
    path: readonly string[],
    start: number,
    count: number,
    filter: RowFilter | undefined,
  ): Answer<TablePage> {
    const rows = this.rows(set, moment, filter);
    if (!rows.ok) return rows;
    const place = rows.value.place(path);
    if (!place)
      return err([sessionError('unknownView', `there is no table at ${path.join('/') || 'the root'} now`, set)]);
    return ok(rows.value.rows(place, Math.max(0, start), Math.min(count, MAX_ROWS)));
  }

  find(set: TableSet, moment: number, address: bigint): Answer<ReturnType<TableRows['find']>> {
    const rows = this.rows(set, moment, undefined);
    return rows.ok ? ok(rows.value.find(address)) : rows;
  }

  strips(set: TableSet, moment: number, path: readonly string[]): Answer<readonly Strip[]> {
    const rows = this.rows(set, moment, undefined);
    return rows.ok ? ok(strips(rows.value, path)) : rows;
  }

  private rows(set: TableSet, moment: number, filter: RowFilter | undefined): Answer<TableRows> {
    const source = tableSources(this.guest, this.machine, this.machine.host).find((each) => each.set === set);
    if (!source) return err([sessionError('unknownView', `there are no ${set} tables now`, set)]);
    const { scan, before } = this.scanOf(source, moment);
    const key = `${set} ${JSON.stringify(filter)}`;
    const known = this.rowsBy.get(key);
    if (known?.scan === scan) return ok(known);
    const rows = new TableRows(
      scan,
      before?.scan,
      (from, to) => this.symbols.firstIn(from, to),
      filter,
      () => this.drifted(moment),
    );
    this.rowsBy.set(key, rows);
    return ok(rows);
  }

  /** Found once a moment: what the marks above it lead to. */
  private drifted(moment: number): readonly DriftedEntry[] {
    if (this.drift?.moment === moment) return this.drift.entries;
    const shadow = tableSources(this.guest, this.machine, this.machine.host).find(({ set }) => set === 'shadow');
    this.drift = { moment, entries: shadow ? driftedEntries(this.scanOf(shadow, moment).scan) : [] };
    return this.drift.entries;
  }

  private scanOf(source: TableSource, moment: number): Kept {
    const known = this.kept.get(source.set);
    if (known?.moment === moment) return known;
    const scan = new TableScan(source, this.machine.memory);
    const stop = this.stops();
    // An edit by hand belongs to its stop. Another root is another address space: nothing in it has changed.
    const before = known?.stop === stop ? known.before : known && { scan: known.scan, stop: known.stop };
    const isSame = known?.root === source.root.value;
    const kept: Kept = { moment, stop, root: source.root.value, scan, before: isSame ? before : undefined };
    this.kept.set(source.set, kept);
    return kept;
  }
}
