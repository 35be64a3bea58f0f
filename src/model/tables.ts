/** Sets of page tables as a reader sees them: rows of entries, folded where they follow each other. */
import type { Space } from '../base/address';
import type { Value } from './value';

export const TABLE_SETS = ['guest', 'shadow', 'ept', 'npt', 'host'] as const;
export type TableSet = (typeof TABLE_SETS)[number];

export interface TableSetInfo<N extends Value> {
  readonly set: TableSet;
  /** `CR3`, `EPTP`, `host CR3`, … */
  readonly root: { readonly name: string; readonly value: N };
  /** What its entries translate, and to what. */
  readonly from: Space;
  readonly to: Space;
  readonly levels: number;
  /** Pages mapped, and tables read. */
  readonly pages: number;
  readonly tables: number;
  /** Not all of it was read: see TableRow. */
  readonly partial: boolean;
  /** How many stops ago what the entries are compared with was read: 1 for the last stop. Absent: there is nothing to compare with. */
  readonly since?: number;
}

/** One entry, or a run of entries that follow each other with the same bits. */
export interface TableRow<N extends Value> {
  /** `160`, or `0-511` for a run: the step of a path from the parent. */
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly level: number;
  /** `PTE`, `EPT PDE`, … */
  readonly name: string;
  readonly kind: 'table' | 'page' | 'absent' | 'mmio';
  /** The addresses that it translates; the last is included. */
  readonly from: N;
  readonly to: N;
  /** Of the first entry: where it lies, what it holds, where it leads. */
  readonly entryAddress: N;
  readonly entry: N;
  readonly flags: readonly string[];
  readonly target: N;
  /** How the targets of a run's entries stand to each other. */
  readonly targets: 'one' | 'following' | 'same' | 'various';
  /** Bytes that one entry maps. */
  readonly pageSize?: number;
  /** Allowed here, with what the entries above allow ANDed: `rwxu`, `-` where not. For tables: what any page below is allowed. */
  readonly rights: string;
  /** Pages below. */
  readonly pages: number;
  /** Rows below: a table's, or a run's single entries. */
  readonly rows: number;
  /** Something below was not read: no memory backs it, or there is too much of it. */
  readonly partial?: boolean;
  /** The first label of the guest in the range. */
  readonly symbol?: string;
  /** Entries of this row that are not what they were (`TableSetInfo.since`); with one of them, what it was. */
  readonly changed?: number;
  readonly was?: N;
  readonly changedBelow?: boolean;
  /** Under shadow paging: how many of its entries stand how to those of the other tables . */
  readonly drift?: readonly { readonly mark: DriftMark; readonly entries: number }[];
  /** Of shadow entries below: those that are stale or out of sync. */
  readonly driftBelow?: readonly DriftMark[];
}

/**
 * How an entry of guest or shadow tables stands to the other's for the same address: `missing`: no shadow yet; `stale`: the shadow does not
 * say what the guest's entry says now; `write-protected`: the frame holds a guest table; `unsync`: the guest writes the table without exits;
 * `mmio`: marked as a hole.
 */
export const DRIFT_MARKS = ['missing', 'stale', 'write-protected', 'unsync', 'mmio'] as const;
export type DriftMark = (typeof DRIFT_MARKS)[number];

/** Which entries are shown, and the tables above them. */
export type TableFilter =
  /** Pages whose entry has the flag (`without`: has it not). */
  | { readonly kind: 'flag'; readonly flag: string; readonly without: boolean }
  /** Those that are not what they were, also those that are gone. */
  | { readonly kind: 'changed' }
  /** Under shadow paging: those whose shadow is stale or out of sync. */
  | { readonly kind: 'drifted' };

/** A table on the way down, an entry a character. */
export interface TableStrip<N extends Value> {
  readonly level: number;
  readonly name: string;
  readonly table: N;
  readonly from: N;
  readonly to: N;
  /** `.` nothing, `!` MMIO, `?` not present with bits set, `A`–`P` a page with these rights (A + r 1, w 2, x 4, u 8), `a`–`p` a table with pages below that have them. */
  readonly cells: string;
  /** The entries that the path goes through. */
  readonly first?: number;
  readonly last?: number;
}
