import type { DebugTarget } from '../session/api';
import type { EndInfo, StopInfo } from '../session/types';
import type { AdapterHost } from './host';

/** What the loop reports. */
export interface RunEvents {
  /** After each slice: the target may have output to take. */
  progress(): void;
  stopped(stop: StopInfo): void;
  ended(end: EndInfo): void;
  /** The target threw: a bug of ours. Its state is left as it was and can be inspected. */
  failed(error: unknown): void;
  /** Calls back once the client has read enough of what was sent to it; at once where it has. */
  whenWritable(callback: () => void): void;
}

/** A slice of work should take about so long: short enough for pause to feel immediate, long enough to cost nothing. */
const SLICE_MS = 12;
const FIRST_BUDGET = 20_000;
const LEAST_BUDGET = 100;
const MOST_BUDGET = 2_000_000;
/** A slice that took no measurable time says little about the next. */
const MOST_GROWTH = 4;

/**
 * Runs the target in slices with a turn of the event loop between them, so pause, stop and breakpoint requests are
 * always handled. The duration of a slice decides the size of the next: an exit costs far more than an instruction.
 * The guest cannot observe it, since a run does not depend on where it is sliced.
 */
export class RunLoop {
  private budget = FIRST_BUDGET;
  /** Counts starts and halts: a slice that was scheduled before the last of them does nothing. */
  private generation = 0;
  private active = false;

  constructor(
    private readonly host: AdapterHost,
    private readonly events: RunEvents,
  ) {}

  get running(): boolean {
    return this.active;
  }

  /** Carries out what was requested of `target` until it stops or ends. */
  start(target: DebugTarget): void {
    this.active = true;
    this.schedule(target, ++this.generation);
  }

  /** No further slice, no further event. */
  halt(): void {
    this.active = false;
    this.generation++;
  }

  private schedule(target: DebugTarget, generation: number): void {
    this.events.whenWritable(() => this.host.turn(() => this.slice(target, generation)));
  }

  private slice(target: DebugTarget, generation: number): void {
    if (generation !== this.generation) return;
    try {
      const before = this.host.now();
      const result = target.run.advance(this.budget);
      this.adapt(this.host.now() - before);
      this.events.progress();
      switch (result.kind) {
        case 'running':
          this.schedule(target, generation);
          return;
        case 'stopped':
          this.active = false;
          this.events.stopped(result.stop);
          return;
        case 'ended':
          this.active = false;
          this.events.ended(result.end);
          return;
      }
    } catch (error) {
      this.active = false;
      this.events.failed(error);
    }
  }

  private adapt(took: number): void {
    const factor = Math.min(MOST_GROWTH, SLICE_MS / Math.max(took, 1));
    this.budget = Math.round(Math.min(MOST_BUDGET, Math.max(LEAST_BUDGET, this.budget * factor)));
  }
}
