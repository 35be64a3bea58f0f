import type { ExitInfo } from '../kvm/vcpu';

/** One VM exit in the machine's log: fixed size, so that the log's bound is a bound on memory. Its steps come from replaying it. */
export interface ExitRecord extends ExitInfo {
  /** 0 for the first exit of the run. */
  readonly number: number;
  /** How many exits of this reason there were, this one included. */
  readonly ofReason: number;
  readonly vcpu: number;
  /** Guest instructions completed before it. */
  readonly instructions: bigint;
}

/** Records kept. */
export const EXIT_LOG_CAP = 4096;

/** The last exits of a run, and how many there were by reason. */
export class ExitLog {
  private records: ExitRecord[] = [];
  private counts = new Map<string, number>();
  private total = 0;

  get count(): number {
    return this.total;
  }
  /** Exits by reason, in the order in which the reasons first came. */
  get byReason(): ReadonlyMap<string, number> {
    return this.counts;
  }
  /** The last EXIT_LOG_CAP exits, oldest first. */
  get recent(): readonly ExitRecord[] {
    return this.records;
  }

  add(info: ExitInfo, vcpu: number, instructions: bigint): ExitRecord {
    const ofReason = (this.counts.get(info.name) ?? 0) + 1;
    this.counts.set(info.name, ofReason);
    const record = { ...info, number: this.total++, ofReason, vcpu, instructions };
    this.records.push(record);
    // dropping half at a time keeps the cost of a full log constant per exit
    if (this.records.length >= 2 * EXIT_LOG_CAP) this.records = this.records.slice(-EXIT_LOG_CAP);
    return record;
  }

  save(): ExitLogState {
    return { records: this.records.slice(-EXIT_LOG_CAP), counts: [...this.counts], total: this.total };
  }
  restore(s: ExitLogState): void {
    this.records = s.records.slice();
    this.counts = new Map(s.counts);
    this.total = s.total;
  }
}

export interface ExitLogState {
  readonly records: readonly ExitRecord[];
  readonly counts: readonly (readonly [string, number])[];
  readonly total: number;
}
