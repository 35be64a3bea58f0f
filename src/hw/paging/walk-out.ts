import type { StepOutcome, WalkFailure } from './trace';

/** Where a walk can begin below the root: what the entries above it said. */
export interface WalkStart {
  /** Level of the table to look into next: the entry that was cached has the level above. */
  readonly level: number;
  /** Address of that table in its own space, and where it is in the machine's memory. */
  readonly table: bigint;
  readonly offset: number;
  /** Rights ANDed over the levels above. */
  readonly writable: boolean;
  readonly user: boolean;
  readonly executeDisable: boolean;
}

/**
 * The result of a walk, in one reusable object so that walks allocate nothing. After a walk that returned true the translation fields hold;
 * after one that returned false the failure fields do.
 */
export class WalkOut {
  /** Physical address of the byte (in the space the tables point to). */
  address = 0n;
  pageShift = 12;
  writable = false;
  user = false;
  executeDisable = false;
  global = false;
  dirty = false;
  protectionKey = 0;
  /** EPT only: rights ANDed over levels. */
  readable = false;
  executable = false;

  /** Entries visited: value, offset in the machine's memory, and address in the table's space, root first. */
  depth = 0;
  readonly entries = new BigUint64Array(5);
  readonly offsets = new Float64Array(5);
  readonly addresses = new BigUint64Array(5);

  reason: WalkFailure['reason'] = 'not-present';
  failedTable: WalkFailure['table'] = 'guest';
  failedLevel = 0;
  failedEntry = 0n;
  failedAddress = 0n;
  onTableWalk = false;

  fail(
    table: WalkFailure['table'],
    reason: WalkFailure['reason'],
    level: number,
    entry: bigint,
    address: bigint,
  ): false {
    this.failedTable = table;
    this.reason = reason;
    this.failedLevel = level;
    this.failedEntry = entry;
    this.failedAddress = address;
    this.onTableWalk = false;
    return false;
  }
  failure(): WalkFailure {
    return {
      table: this.failedTable,
      level: this.failedLevel,
      reason: this.reason,
      address: this.failedAddress,
      entry: this.failedEntry,
      onTableWalk: this.onTableWalk,
    };
  }
}

/** The step outcome that a failure of this reason shows on the deciding entry. */
export function outcomeOf(reason: WalkFailure['reason']): StepOutcome {
  switch (reason) {
    case 'not-present':
      return 'not-present';
    case 'reserved-bit':
      return 'reserved';
    case 'misconfiguration':
      return 'misconfigured';
    case 'no-memory':
      return 'no-memory';
    default:
      return 'denied';
  }
}
