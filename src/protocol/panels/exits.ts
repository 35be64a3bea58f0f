/**
 * The requests of the VM Exits panel. Only what is visible crosses the wire: the run's time comes in tiles of a fixed
 * number of
 * bins, each level of tiles twice as fine as the one above; lists come in pages. Cycles are the cost model's.
 */
import type * as model from '../../model/exits';
import type { ExitLane, ExitSummary } from '../../model/exits';
import type { Hex } from '../../model/value';

export { EXIT_LANES } from '../../model/exits';
export type { ExitLane, ExitSummary } from '../../model/exits';

/** Bins of a tile. */
export const TILE_BINS = 256;

export interface ExitSegment {
  readonly lane: number;
  readonly from: number;
  readonly to: number;
  readonly share: number;
  readonly label: string;
  readonly exit?: number;
}

export interface ExitTile {
  readonly level: number;
  readonly index: number;
  readonly source: 'exits' | 'bins';
  readonly resolution: number;
  readonly cycles: readonly (readonly number[])[];
  readonly reasons: readonly { readonly name: string; readonly counts: readonly number[] }[];
  readonly segments?: readonly ExitSegment[];
}

export interface SourceLine {
  readonly path: string;
  readonly line: number;
}

export interface ExitRow extends model.ExitRow<Hex> {
  readonly source?: SourceLine;
}

/** One Step; for older exits only actor, action and cost are kept. */
export interface ExitStep {
  readonly actor: ExitLane;
  readonly mode: string;
  readonly fn: string;
  readonly cycles: number;
  readonly what?: string;
  readonly references?: number;
  readonly addresses?: { readonly gva?: Hex; readonly gpa?: Hex; readonly hva?: Hex; readonly hpa?: Hex };
}

export interface ExitDetail {
  readonly row: ExitRow;
  readonly decoded: readonly { readonly name: string; readonly value: string }[];
  readonly steps?: readonly ExitStep[];
  /** Total number of Steps: `steps` has the first STEPS_SHOWN of them. */
  readonly stepCount: number;
  readonly full: boolean;
  readonly open: boolean;
}
export const STEPS_SHOWN = 500;

export interface ExitPlace extends model.ExitPlace<Hex> {
  readonly source?: SourceLine;
}

/** A source line that caused exits, for the editor's gutter. */
export interface ExitLine {
  readonly line: number;
  readonly count: number;
  readonly cycles: number;
  readonly reasons: readonly { readonly name: string; readonly count: number }[];
}

/** Progress of a replay; the client repeats the request until `detail` or `differs` arrives. */
export interface ExitReplayReply {
  /** The number of exits reached so far. */
  readonly at: number;
  /** The exit with its Steps in full. */
  readonly detail?: ExitDetail;
  /** The run reached a different exit: something was changed by hand. */
  readonly differs?: true;
}

export interface ExitsRequests {
  'pagewalk/exits': { readonly arguments: Record<string, never>; readonly reply: ExitSummary };
  'pagewalk/exits/tile': {
    readonly arguments: { readonly level: number; readonly index: number };
    readonly reply: ExitTile;
  };
  'pagewalk/exits/list': {
    readonly arguments: {
      readonly start: number;
      readonly count: number;
      readonly reason?: string;
      readonly address?: Hex;
    };
    readonly reply: { readonly total: number; readonly rows: readonly ExitRow[] };
  };
  /** By number, or the one at a cycle (or the next one); null: it is not recorded. */
  'pagewalk/exits/exit': {
    readonly arguments: { readonly number: number } | { readonly cycle: number };
    readonly reply: ExitDetail | null;
  };
  /**
   * The Steps of a recorded exit whose Steps are no longer kept: the run is replayed from its start, a slice per
   * request.
   */
  'pagewalk/exits/replay': { readonly arguments: { readonly number: number }; readonly reply: ExitReplayReply };
  'pagewalk/exits/places': {
    readonly arguments: { readonly start: number; readonly count: number; readonly reason?: string };
    readonly reply: { readonly total: number; readonly rows: readonly ExitPlace[] };
  };
  'pagewalk/exits/lines': {
    readonly arguments: { readonly path: string };
    readonly reply: { readonly lines: readonly ExitLine[] };
  };
  /** Recorded exits by number, in the formats of `pagewalk trace --format`; at most 20,000 of them. */
  'pagewalk/exits/export': {
    readonly arguments: { readonly format: 'chrome' | 'csv'; readonly first: number; readonly last: number };
    readonly reply: { readonly text: string; readonly exits: number };
  };
}
