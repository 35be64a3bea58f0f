/** The request of the Compare panel: one guest run to completion under several methods of memory virtualization. */
import type { ExitLane } from '../../model/exits';
import type { Hex } from '../../model/value';

/** The result of one method. */
export interface MethodRun {
  readonly method: string;
  readonly title: string;
  readonly stop: { readonly kind: string; readonly code: number };
  readonly instructions: number;
  /** By the cost model: in total, and by actor. */
  readonly cycles: number;
  readonly cyclesBy: Readonly<Record<ExitLane, number>>;
  /** Where most of the cycles go, as a phrase. */
  readonly dominant: string;
  readonly exitCount: number;
  readonly exits: Readonly<Record<string, number>>;
  readonly references: Readonly<Record<string, number>>;
  readonly tlb: { readonly hits: number; readonly misses: number };
  readonly stats: Readonly<Record<string, number>>;
  /** Host frames in use at the end. */
  readonly hostFrames: number;
}

export interface Comparison {
  readonly guest: string;
  readonly methods: readonly MethodRun[];
  /** Methods that were requested and did not run. */
  readonly refused: readonly { readonly method: string; readonly title: string; readonly why: string }[];
  /** The guest-visible result is the same under all methods that ran. */
  readonly equal: boolean;
  readonly differences: readonly {
    readonly what: string;
    readonly where?: string | Hex;
    readonly values: Readonly<Record<string, string | Hex>>;
  }[];
  /** The parameters of the cost model, with their sources. */
  readonly costs: readonly { readonly name: string; readonly cycles: number; readonly source: string }[];
}

export interface CompareReply {
  /** The comparison, once all methods have run. */
  readonly result?: Comparison;
  readonly progress: {
    /** The method that is running, and its place in the list. */
    readonly method: string;
    readonly index: number;
    readonly of: number;
    readonly instructions: number;
  };
}

export interface CompareRequests {
  /**
   * Each request advances a comparison for a few hundredths of a second, so the adapter stays responsive; the client
   * can show progress, and cancels by sending no further request. `start`: begin a new one.
   */
  'pagewalk/compare': {
    readonly arguments: {
      /** As for `pagewalk compare --mmu`: `ept,shadow,software`. */
      readonly methods: string;
      readonly start: boolean;
    };
    readonly reply: CompareReply;
  };
}
