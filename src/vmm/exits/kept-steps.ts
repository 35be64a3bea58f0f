import type { Step } from '../../trace/step';

/**
 * Exits whose Steps are kept in full. Few, because short-lived objects cost the garbage collector nothing, and
 * retained ones do.
 */
export const EXITS_WITH_STEPS = 128;
/** Limit on all Steps kept, and on those kept of one exit. */
const STEPS_KEPT = 1 << 14;
export const STEPS_OF_ONE_EXIT = 2048;

/** The Steps of the last exits, in full. */
export class KeptSteps {
  private readonly ring: (readonly Step[] | undefined)[] = new Array<undefined>(EXITS_WITH_STEPS).fill(undefined);
  private oldest = 0;
  private next = 0;
  private steps = 0;

  /** The oldest exit whose Steps are kept. */
  get first(): number {
    return this.oldest;
  }

  add(number: number, steps: readonly Step[]): void {
    if (this.next !== number) this.clear(number);
    if (number - this.oldest >= EXITS_WITH_STEPS) this.drop();
    this.ring[number % EXITS_WITH_STEPS] = steps;
    this.next = number + 1;
    this.steps += steps.length;
    while (this.steps > STEPS_KEPT && this.oldest < number) this.drop();
  }

  of(number: number): readonly Step[] | undefined {
    return number >= this.oldest && number < this.next ? this.ring[number % EXITS_WITH_STEPS] : undefined;
  }

  /** Forgets everything; the next exit is `number`. */
  clear(number: number): void {
    this.ring.fill(undefined);
    this.oldest = number;
    this.next = number;
    this.steps = 0;
  }

  private drop(): void {
    const i = this.oldest % EXITS_WITH_STEPS;
    this.steps -= this.ring[i]?.length ?? 0;
    this.ring[i] = undefined;
    this.oldest++;
  }

  save(): KeptStepsState {
    const kept: (readonly Step[])[] = [];
    for (let n = this.oldest; n < this.next; n++) kept.push(this.of(n) ?? []);
    return { first: this.oldest, kept };
  }
  restore(s: KeptStepsState): void {
    this.clear(s.first);
    s.kept.forEach((steps, i) => this.add(s.first + i, steps));
  }
}

export interface KeptStepsState {
  readonly first: number;
  readonly kept: readonly (readonly Step[])[];
}
