/**
 * The record of a walk. Walkers write these into a sink as they load entries, and allocate nothing without one;
 * what panels show is this record of the walk that took place (or of a probe by the same code).
 */
export type TableKind = 'guest' | 'ept' | 'npt' | 'shadow' | 'host';

/** What the walker decided on an entry. */
export type StepOutcome = 'next' | 'leaf' | 'not-present' | 'reserved' | 'misconfigured' | 'denied' | 'no-memory';

/** One entry loaded: one memory reference. */
export interface WalkStep {
  readonly table: TableKind;
  /** 5 … 1; the level whose table holds the entry (4 = PML4, 1 = PT). */
  readonly level: number;
  readonly index: number;
  /** Address of the entry in `space`: GPA for guest tables under a hypervisor, else HPA. */
  readonly entryAddress: bigint;
  readonly space: 'gpa' | 'hpa';
  /** Where the entry's bytes are; undefined when the second-level walk for it failed. */
  readonly entryHpa: bigint | undefined;
  readonly entry: bigint;
  /** The entry maps a page, or would: which of its flags mean something. */
  readonly leaf: boolean;
  readonly outcome: StepOutcome;
  /** Bits of `entry` that are set and reserved as it is used here. */
  readonly reserved: bigint;
  /** The second-level walk that found the entry (empty without one). */
  readonly nested: readonly WalkStep[];
}

/** The AND of rights over the levels of one walk, or over stages. */
export interface Rights {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  /** User-mode accesses allowed (ordinary tables); true for EPT, which knows no modes. */
  readonly user: boolean;
}

/** An entry of a walk that lacks what the access needs. */
export interface LackingEntry {
  /** 5 … 1. */
  readonly level: number;
  readonly entry: bigint;
  /** Address of the entry in its table's space. */
  readonly address: bigint;
}

/**
 * Why a walk ended without a translation: the deciding entry, bit and access. Rights are the AND over the entries of a walk (SDM vol. 3, 4.6.1), so that any of them may be
 * the one that lacks a right: `level` and `entry` are those of the topmost one that does, not of the entry that maps the page.
 */
export interface WalkFailure {
  readonly table: TableKind;
  readonly level: number;
  readonly reason:
    | 'not-present'
    | 'reserved-bit'
    | 'misconfiguration'
    | 'write-protected'
    | 'supervisor-only'
    | 'no-execute'
    | 'not-readable'
    | 'smep'
    | 'smap'
    | 'protection-key'
    | 'no-memory'
    | 'non-canonical';
  /** The address being translated by the table that failed: linear for guest tables, GPA for EPT. */
  readonly address: bigint;
  readonly entry: bigint;
  /** For second-level failures: the access was to a guest paging-structure entry, not the final address. */
  readonly onTableWalk: boolean;
  /** How the table that failed was asked: under EPT and NPT a guest paging-structure entry may be accessed as a write. */
  readonly op: 'read' | 'write' | 'fetch';
  /** Every entry that lacks the right, topmost first; empty where the failure is not about a right that entries give. */
  readonly lacking: readonly LackingEntry[];
  /** Entries of the walk below the deciding one. */
  readonly below: readonly LackingEntry[];
  /** Bits of registers without which the access would have been allowed, as `CR0.WP = 1`. */
  readonly controls: readonly string[];
  /** Of a reserved bit or a misconfiguration: what is wrong with the entry, one cause each (`bit 63 (XD) is reserved while EFER.NXE = 0`). */
  readonly wrong: readonly string[];
}

/** Collects the steps of one walk, nesting second-level steps under the guest reference they serve. */
export class WalkSink {
  readonly steps: WalkStep[] = [];
  private pending: WalkStep[] = [];
  /** A step of the second-level walk for the next guest reference, or for the final address. */
  secondLevel(step: WalkStep): void {
    this.pending.push(step);
  }
  /** A step of the first-level walk; takes the pending second-level steps with it. */
  step(step: Omit<WalkStep, 'nested'>): void {
    this.steps.push({ ...step, nested: this.pending });
    this.pending = [];
  }
  /** The second-level steps of the final address. */
  takeFinal(): WalkStep[] {
    const p = this.pending;
    this.pending = [];
    return p;
  }
  /** Entries loaded: first-level steps plus all their nested ones. */
  static references(steps: readonly WalkStep[]): number {
    return steps.reduce((n, s) => n + 1 + WalkSink.references(s.nested), 0);
  }
}
