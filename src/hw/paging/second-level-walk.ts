import type { HostMemory } from '../memory/host-memory';
import type { OrdinaryWalk } from './ordinary';
import type { WalkSink } from './trace';
import { WalkOut } from './walk-out';

/** The record of second-level walks: what stays the same from one to the next, and in `out` what the last one came to. */
export class SecondLevelWalk {
  /** Of nested paging, whose tables are ordinary ones: the record of that walk, made by the first. */
  ordinary: OrdinaryWalk | undefined = undefined;
  /** Gets a step for each entry, as of a second-level walk. */
  sink: WalkSink | undefined = undefined;
  /** For who counts over several walks: entries loaded. */
  loads = 0;

  constructor(
    readonly memory: HostMemory,
    /** MAXPHYADDR. */
    readonly physicalBits: number,
    readonly out: WalkOut = new WalkOut(),
  ) {}
}
