/** Where a run's time went, exit by exit. Cycles are the cost model's. */
import type { Value } from './value';

/** Who acts, in the order of the lanes and of every array indexed by lane. */
export const EXIT_LANES = ['guest', 'cpu', 'kvm', 'host', 'vmm'] as const;
export type ExitLane = (typeof EXIT_LANES)[number];

export interface ExitSummary {
  /** Exits so far. */
  readonly count: number;
  readonly instructions: number;
  readonly cycles: number;
  /** Cycles by lane. */
  readonly lanes: readonly number[];
  /** In order of first occurrence. */
  readonly reasons: readonly { readonly name: string; readonly count: number; readonly cycles: number }[];
  /**
   * The oldest exit recorded individually, the oldest whose Steps are known by name, and the oldest whose Steps are
   * kept in full (numbered from 1).
   */
  readonly first: number;
  readonly firstNamed: number;
  readonly firstFull: number;
  /** Cycles per bin over the whole run: the resolution for exits that are not recorded individually. */
  readonly binWidth: number;
  /** Exits at instructions beyond those counted separately. */
  readonly uncounted: number;
}

/** An exit; each side expresses the source location of its instruction in its own way. */
export interface ExitRow<N extends Value> {
  /** 1 for the first exit of the run, as in everything a user reads. */
  readonly number: number;
  readonly vcpu: number;
  readonly name: string;
  /** `EPT_VIOLATION, write, GPA 0x5000`. */
  readonly title: string;
  readonly instructions: number;
  /** When it happened and what handling it cost, in cycles; then the cost by lane. */
  readonly start: number;
  readonly cost: number;
  readonly lanes: readonly number[];
  /** Cycles since the last exit, by lane. */
  readonly before: readonly number[];
  /** Number of Steps by lane. */
  readonly steps: readonly number[];
  readonly qualification: N;
  readonly rip: N;
  /** The instruction's linear address. */
  readonly address: N;
  readonly symbol?: string;
  readonly gpa?: N;
  readonly gva?: N;
}

/** An instruction that caused exits. */
export interface ExitPlace<N extends Value> {
  readonly address: N;
  readonly symbol?: string;
  readonly count: number;
  readonly cycles: number;
  readonly reasons: readonly { readonly name: string; readonly count: number }[];
}
