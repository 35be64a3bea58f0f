import type { Space } from './device';
import { usualMemory, usualPort } from './usual-devices';

/** An address that the guest accessed without finding a device. */
export interface UnansweredPlace {
  readonly space: Space;
  /** A port, or the first physical address accessed in its page. */
  readonly address: bigint;
  /** What a PC usually has there; undefined: unknown. */
  readonly name: string | undefined;
  readonly reads: number;
  readonly writes: number;
}
interface Counted extends UnansweredPlace {
  reads: number;
  writes: number;
}

/** Consecutive reads of one address, with no other device access in between. */
export interface Poll {
  readonly space: Space;
  readonly address: bigint;
  readonly count: number;
  /** Guest instructions at the last read. */
  readonly at: number;
  readonly answered: boolean;
}

/** Limit on the addresses counted individually; further ones share one counter. */
const MOST_PLACES = 256;

/** Accesses without a device, and what the guest polls: kept by the VMM, which sees every device access. */
export class Unanswered {
  private places = new Map<string, Counted>();
  /** Accesses to addresses beyond MOST_PLACES. */
  others = 0;
  private poll: Poll | undefined;
  /** Called for each address at its first access. */
  onFirst: ((place: UnansweredPlace, write: boolean) => void) | undefined;
  /** There is memory, but it does not accept the access: read-only. */
  isMemory: (gpa: bigint) => boolean = () => false;
  /** Guest instructions so far. */
  now: () => number = () => 0;

  /** A device access. `answered`: a device responded. */
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

  /** In order of first access. */
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
