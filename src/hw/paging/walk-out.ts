import { misconfigurationOf, reservedBitsIn } from '../../isa/reserved-bits';
import type { Access } from './access';
import type { PagingControls } from './controls';
import { decidingControls, lacksRight } from './permissions';
import type { LackingEntry, StepOutcome, WalkFailure } from './trace';

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
  /** Entries loaded: memory references. One more than `depth` where PAE paging has its PDPTEs in memory. */
  loads = 0;
  /** Entries whose accessed or dirty flag was set afterwards. */
  written = 0;
  readonly entries = new BigUint64Array(5);
  readonly offsets = new Float64Array(5);
  readonly addresses = new BigUint64Array(5);

  reason: WalkFailure['reason'] = 'not-present';
  failedTable: WalkFailure['table'] = 'guest';
  failedLevel = 0;
  failedEntry = 0n;
  failedAddress = 0n;
  onTableWalk = false;
  failedOp: Access['op'] = 'read';
  /** Of a denied access: level of the entry that maps the page, and what the permission check was made from; `undefined` in EPT, which has no modes. */
  private leafLevel = 0;
  private access: Access | undefined;
  private controls: PagingControls | undefined;
  /** Of a misconfiguration. */
  private large = false;
  private physicalBits = 52;
  /** The walk whose entries the failure is about: another one where it was copied. */
  private failedIn: WalkOut = this;
  private because: string | undefined;

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
    this.leafLevel = 0;
    this.failedIn = this;
    this.because = undefined;
    return false;
  }
  /** The walk came to an entry that maps a page, at `level`, and the access is denied: the topmost entry that lacks the right is the deciding one. */
  deny(
    table: WalkFailure['table'],
    reason: WalkFailure['reason'],
    level: number,
    address: bigint,
    access: Access | undefined,
    controls: PagingControls | undefined,
  ): false {
    const last = this.depth - 1;
    let decider = last;
    for (let i = last; i >= 0; i--) if (lacksRight(table, reason, this.entries[i] as bigint)) decider = i;
    this.fail(table, reason, level + last - decider, this.entries[decider] as bigint, address);
    this.leafLevel = level;
    this.access = access;
    this.controls = controls;
    return false;
  }
  /** An entry has a reserved bit, by the paging controls that it is used with. */
  reserved(
    table: WalkFailure['table'],
    level: number,
    entry: bigint,
    address: bigint,
    controls: PagingControls,
  ): false {
    this.fail(table, 'reserved-bit', level, entry, address);
    this.controls = controls;
    return false;
  }
  /** An EPT entry is misconfigured. `large`: it maps a page above level 1. */
  misconfigured(level: number, entry: bigint, address: bigint, large: boolean, physicalBits: number): false {
    this.fail('ept', 'misconfiguration', level, entry, address);
    this.large = large;
    this.physicalBits = physicalBits;
    return false;
  }
  private wrong(): readonly string[] {
    const { failedLevel: level, failedEntry: entry } = this;
    if (this.reason === 'reserved-bit' && this.controls) return reservedBitsIn(this.controls, level, entry);
    return this.reason === 'misconfiguration' ? misconfigurationOf(entry, level, this.large, this.physicalBits) : [];
  }
  /** The walk that this one needed has failed, and so does this one. `because`: a register's bit without which it would not have been asked so. */
  failAs(other: WalkOut, onTableWalk: boolean, because?: string): false {
    this.fail(other.failedTable, other.reason, other.failedLevel, other.failedEntry, other.failedAddress);
    this.onTableWalk = onTableWalk;
    this.failedOp = other.failedOp;
    this.failedIn = other.failedIn;
    this.because = because;
    return false;
  }
  failure(): WalkFailure {
    const walk = this.failedIn;
    const visited = walk.leafLevel === 0 ? [] : walk.visited();
    const lacking = visited.filter((e) => lacksRight(this.failedTable, this.reason, e.entry));
    return {
      table: this.failedTable,
      level: this.failedLevel,
      reason: this.reason,
      address: this.failedAddress,
      entry: this.failedEntry,
      onTableWalk: this.onTableWalk,
      op: this.failedOp,
      lacking,
      below: visited.filter((e) => e.level < this.failedLevel),
      wrong: walk.wrong(),
      controls: [
        ...(this.because !== undefined && lacking.length > 0 ? [this.because] : []),
        ...(walk.leafLevel > 0 && walk.access && walk.controls
          ? decidingControls(this.reason, walk, walk.access, walk.controls)
          : []),
      ],
    };
  }
  private visited(): LackingEntry[] {
    return Array.from({ length: this.depth }, (_, i) => ({
      level: this.leafLevel + this.depth - 1 - i,
      entry: this.entries[i] as bigint,
      address: this.addresses[i] as bigint,
    }));
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
