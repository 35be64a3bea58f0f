/**
 * The requests of the Page Tables panel (its rows: src/model/tables.ts). `moment` identifies the machine's current
 * state: see src/protocol/panels/index.ts.
 */
import type * as model from '../../model/tables';
import type { TableFilter, TableSet } from '../../model/tables';
import type { Hex } from '../../model/value';

export { TABLE_SETS } from '../../model/tables';
export type { DriftMark, TableFilter, TableSet } from '../../model/tables';
export type TableSetInfo = model.TableSetInfo<Hex>;
export type TableRow = model.TableRow<Hex>;
export type TableStrip = model.TableStrip<Hex>;

interface OfSet {
  readonly set: TableSet;
  readonly moment: number;
}

export interface PageTablesRequests {
  'pagewalk/tables/sets': {
    readonly arguments: { readonly moment: number };
    readonly reply: { readonly sets: readonly TableSetInfo[] };
  };
  /** At most `count` rows, starting at index `start`, of the table (or run) at `path`, the ids from the root down. */
  'pagewalk/tables/rows': {
    readonly arguments: OfSet & {
      readonly path: readonly string[];
      readonly start: number;
      readonly count: number;
      readonly filter?: TableFilter;
    };
    readonly reply: { readonly rows: readonly TableRow[]; readonly total: number };
  };
  /** The path to the entry that translates an address; `missing`: why it ends above a page. */
  'pagewalk/tables/find': {
    readonly arguments: OfSet & { readonly expression: string; readonly frameId?: number };
    readonly reply: {
      readonly address: Hex;
      readonly path: readonly string[];
      readonly present: boolean;
      readonly missing?: string;
    };
  };
  'pagewalk/tables/strips': {
    readonly arguments: OfSet & { readonly path: readonly string[] };
    readonly reply: { readonly strips: readonly TableStrip[] };
  };
}
