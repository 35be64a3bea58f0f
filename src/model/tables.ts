/** Sets of page tables as displayed: rows of entries, consecutive ones folded together. */
import type { Space } from '../base/address';
import type { Value } from './value';

export const TABLE_SETS = ['guest', 'shadow', 'ept', 'npt', 'host'] as const;
export type TableSet = (typeof TABLE_SETS)[number];

export interface TableSetInfo<N extends Value> {
  readonly set: TableSet;
  /** `CR3`, `EPTP`, `host CR3`, … */
  readonly root: { readonly name: string; readonly value: N };
  /** What its entries translate from and to. */
  readonly from: Space;
  readonly to: Space;
  readonly levels: number;
  /** Pages mapped, and tables read. */
  readonly pages: number;
  readonly tables: number;
  /** It was not read completely: see TableRow. */
  readonly partial: boolean;
  /** How many stops ago the baseline for comparison was read: 1 for the last stop. Absent: there is no baseline. */
  readonly since?: number;
}

/** One entry, or a run of consecutive entries with the same bits. */
export interface TableRow<N extends Value> {
  /** `160`, or `0-511` for a run: the path component below the parent. */
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly level: number;
  /** `PTE`, `EPT PDE`, … */
  readonly name: string;
  readonly kind: 'table' | 'page' | 'absent' | 'mmio';
  /** The addresses it translates; the last is included. */
  readonly from: N;
  readonly to: N;
  /** For the first entry: its address, its value, its target. */
  readonly entryAddress: N;
  readonly entry: N;
  readonly flags: readonly string[];
  readonly target: N;
  /** How the targets of a run's entries relate to each other. */
  readonly targets: 'one' | 'following' | 'same' | 'various';
  /** Bytes that one entry maps. */
  readonly pageSize?: number;
  /**
   * Rights here, ANDed with those of the entries above: `rwxu`, `-` for a missing right. For tables: the rights of
   * any page below.
   */
  readonly rights: string;
  /** Pages below. */
  readonly pages: number;
  /** Rows below: a table's, or a run's single entries. */
  readonly rows: number;
  /** Part of what is below was not read: no memory backs it, or there is too much of it. */
  readonly partial?: boolean;
  /** The guest's first label in the range. */
  readonly symbol?: string;
  /** Entries of this row that have changed (`TableSetInfo.since`); for a single entry, its previous value. */
  readonly changed?: number;
  readonly was?: N;
  readonly changedBelow?: boolean;
  /** Under shadow paging: how its entries relate to those of the other tables, as counts. */
  readonly drift?: readonly { readonly mark: DriftMark; readonly entries: number }[];
  /** Number of shadow entries below that are stale or out of sync. */
  readonly driftBelow?: readonly DriftMark[];
}

/**
 * How an entry of guest or shadow tables relates to its counterpart for the same address: `missing`: no shadow yet;
 * `stale`: the shadow no longer matches the guest's entry; `write-protected`: the frame holds a guest table;
 * `unsync`: the guest writes the table without exits; `mmio`: marked as a hole.
 */
export const DRIFT_MARKS = ['missing', 'stale', 'write-protected', 'unsync', 'mmio'] as const;
export type DriftMark = (typeof DRIFT_MARKS)[number];

/** Which entries are shown, together with the tables above them. */
export type TableFilter =
  /** Pages whose entry has the flag (`without`: lacks it). */
  | { readonly kind: 'flag'; readonly flag: string; readonly without: boolean }
  /** Entries that have changed, including those that are gone. */
  | { readonly kind: 'changed' }
  /** Under shadow paging: entries whose shadow is stale or out of sync. */
  | { readonly kind: 'drifted' };

/** A table on the way down, one character per entry. */
export interface TableStrip<N extends Value> {
  readonly level: number;
  readonly name: string;
  readonly table: N;
  readonly from: N;
  readonly to: N;
  /**
   * `.` nothing, `!` MMIO, `?` not present with bits set, `A`–`P` a page with these rights (A + r 1, w 2, x 4, u 8),
   * `a`–`p` a table above pages with these rights.
   */
  readonly cells: string;
  /** The entries on the path. */
  readonly first?: number;
  readonly last?: number;
}
