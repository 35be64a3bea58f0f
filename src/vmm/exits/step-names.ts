import type { Actor, ActorMode, Step } from '../../trace/step';
import { LANE, LANES } from './lanes';

/** Limit on the Steps kept by name and cycles, over all exits. */
const NAMED_STEPS_KEPT = 1 << 19;
/** Limit on the distinct names: an index is 16 bits wide. */
const MOST_NAMES = 0xffff;

/** What remains of a Step once the Step itself is dropped. */
export interface NamedStep {
  readonly actor: Actor;
  readonly mode: ActorMode;
  readonly fn: string;
  readonly cycles: number;
}

/**
 * Actor, function and cycles of the latest exits' Steps: six bytes per Step. Each exit's Steps are found by the
 * number of its first.
 */
export class StepNames {
  private readonly places = LANES.map(() => new Map<string, number>());
  private readonly names: Omit<NamedStep, 'cycles'>[] = [];
  private readonly place = new Uint16Array(NAMED_STEPS_KEPT);
  private readonly cycles = new Uint32Array(NAMED_STEPS_KEPT);
  private total = 0;

  /** Steps so far: the number of the next one. */
  get count(): number {
    return this.total;
  }
  /** The oldest one kept. */
  get first(): number {
    return Math.max(0, this.total - NAMED_STEPS_KEPT);
  }

  add(step: Step): void {
    const i = this.total++ % NAMED_STEPS_KEPT;
    this.place[i] = this.placeOf(step);
    this.cycles[i] = step.cycles;
  }
  at(number: number): NamedStep | undefined {
    if (number < this.first || number >= this.total) return undefined;
    const i = number % NAMED_STEPS_KEPT;
    const name = this.names[this.place[i] ?? 0];
    return name && { ...name, cycles: this.cycles[i] ?? 0 };
  }

  private placeOf({ actor, mode, fn }: Step): number {
    const places = this.places[LANE[actor]];
    const known = places?.get(fn);
    if (known !== undefined) return known;
    const place = Math.min(this.names.length, MOST_NAMES);
    if (place === this.names.length) this.names.push({ actor, mode, fn });
    places?.set(fn, place);
    return place;
  }

  save(): StepNamesState {
    // only the used part of a ring that is not full yet
    const used = Math.min(this.total, NAMED_STEPS_KEPT);
    return {
      names: this.names.slice(),
      place: this.place.slice(0, used),
      cycles: this.cycles.slice(0, used),
      total: this.total,
    };
  }
  restore(s: StepNamesState): void {
    for (const places of this.places) places.clear();
    this.names.length = 0;
    for (const name of s.names) {
      this.places[LANE[name.actor]]?.set(name.fn, this.names.length);
      this.names.push(name);
    }
    this.place.set(s.place);
    this.cycles.set(s.cycles);
    this.total = s.total;
  }
}

export interface StepNamesState {
  readonly names: readonly Omit<NamedStep, 'cycles'>[];
  readonly place: Uint16Array;
  readonly cycles: Uint32Array;
  readonly total: number;
}
