import type { Space } from './device';
import { usualMemory, usualPort } from './usual-devices';

/** A place that the guest touched and where no device is. */
export interface UnansweredPlace {
  readonly space: Space;
  /** A port, or the first physical address that was touched of its page. */
  readonly address: bigint;
  /** What a PC usually has there; undefined: nothing known. */
  readonly name: string | undefined;
  readonly reads: number;
  readonly writes: number;
}
interface Counted extends UnansweredPlace {
  reads: number;
  writes: number;
}

/** Reads of one place one after another, with no other device access in between. */
export interface Poll {
  readonly space: Space;
  readonly address: bigint;
  readonly count: number;
  /** Guest instructions at the last one. */
  readonly at: number;
  readonly answered: boolean;
}

/** Places that are told apart; further ones are only counted together. */
const MOST_PLACES = 256;

/** What nobody answered, and what the guest polls: kept by the VMM, which sees every device access. */
export class Unanswered {
  private places = new Map<string, Counted>();
  /** Accesses to places beyond MOST_PLACES. */
  others = 0;
  private poll: Poll | undefined;
  /** Told of each place at its first touch. */
  onFirst: ((place: UnansweredPlace, write: boolean) => void) | undefined;
  /** Memory is there, though it does not take the access: read-only. */
  isMemory: (gpa: bigint) => boolean = () => false;
  /** Guest instructions so far. */
  now: () => number = () => 0;

  /** A device access. `answered`: a device is there. */
  note(space: Space, address: bigint, write: boolean, answered: boolean): void {
    const p = this.poll;
    const again = p !== undefined && !write && p.space === space && p.address === address;
    this.poll = write ? undefined : { space, address, count: again ? p.count + 1 : 1, at: this.now(), answered };
    if (answered || (space === 'gpa' && this.isMemory(address))) return;
    const key = `${space} ${space === 'port' ? address : address >> 12n}`;
    const known = this.places.get(key);
    if (known) {
      if (write) known.writes++;
      else known.reads++;
      return;
    }
    if (this.places.size >= MOST_PLACES) {
      this.others++;
      return;
    }
    const name = space === 'port' ? usualPort(Number(address)) : usualMemory(address);
    const place: Counted = { space, address, name, reads: write ? 0 : 1, writes: write ? 1 : 0 };
    this.places.set(key, place);
    this.onFirst?.(place, write);
  }

  /** In the order of their first touch. */
  get all(): readonly UnansweredPlace[] {
    return [...this.places.values()];
  }
  get lastPoll(): Poll | undefined {
    return this.poll;
  }

  save(): UnansweredState {
    return { places: [...this.places].map(([k, p]) => [k, { ...p }]), others: this.others, poll: this.poll };
  }
  restore(s: UnansweredState): void {
    this.places = new Map(s.places.map(([k, p]) => [k, { ...p }]));
    this.others = s.others;
    this.poll = s.poll;
  }
}

export interface UnansweredState {
  readonly places: readonly (readonly [string, UnansweredPlace])[];
  readonly others: number;
  readonly poll: Poll | undefined;
}
