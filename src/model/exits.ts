/** What became of a run's time, exit by exit. Cycles are the cost model's. */
import type { Value } from './value';

/** Who acts, in the order of the lanes and of every array by lane. */
export const EXIT_LANES = ['guest', 'cpu', 'kvm', 'host', 'vmm'] as const;
export type ExitLane = (typeof EXIT_LANES)[number];

export interface ExitSummary {
  /** Exits so far. */
  readonly count: number;
  readonly instructions: number;
  readonly cycles: number;
  /** Cycles by lane. */
  readonly lanes: readonly number[];
  /** In the order in which they first came. */
  readonly reasons: readonly { readonly name: string; readonly count: number; readonly cycles: number }[];
  /** The oldest exit recorded one by one, the oldest whose Steps are known by name, and the oldest whose Steps are kept in full (numbers from 1). */
  readonly first: number;
  readonly firstNamed: number;
  readonly firstFull: number;
  /** Cycles of a bin of the whole run: the resolution where exits are not recorded one by one. */
  readonly binWidth: number;
  /** Exits at instructions beyond those that are counted apart. */
  readonly uncounted: number;
}

/** An exit; where its instruction stands in a source each side says in its own way. */
export interface ExitRow<N extends Value> {
  /** 1 for the first exit of the run, as everywhere a person reads it. */
  readonly number: number;
  readonly vcpu: number;
  readonly name: string;
  /** `EPT_VIOLATION, write, GPA 0x5000`. */
  readonly title: string;
  readonly instructions: number;
  /** When it happened, and what its handling cost, in cycles; the same by lane. */
  readonly start: number;
  readonly cost: number;
  readonly lanes: readonly number[];
  /** Cycles since the last exit, by lane. */
  readonly before: readonly number[];
  /** Steps by lane. */
  readonly steps: readonly number[];
  readonly qualification: N;
  readonly rip: N;
  /** The instruction's linear address. */
  readonly address: N;
  readonly symbol?: string;
  readonly gpa?: N;
  readonly gva?: N;
}

/** An instruction that exited. */
export interface ExitPlace<N extends Value> {
  readonly address: N;
  readonly symbol?: string;
  readonly count: number;
  readonly cycles: number;
  readonly reasons: readonly { readonly name: string; readonly count: number }[];
}
