import { must } from '../../base/assert';
import type { Step } from '../../trace/step';
import type { ExitInfo } from '../../kvm/exit-info';
import { BIN_REASONS, Bins, type BinsState } from './bins';
import { ByInstruction, type ByInstructionState, type InstructionCount } from './by-instruction';
import { KeptSteps, STEPS_OF_ONE_EXIT, type KeptStepsState } from './kept-steps';
import { LANE, LANE_COUNT } from './lanes';
import { StepNames, type NamedStep, type StepNamesState } from './step-names';
import { ExitRecords, type ExitRecord, type ExitRecordsState } from './records';

/** What guest and hardware had done at some moment: modelled cycles, from the start of the run. */
export interface Moment {
  readonly instructions: number;
  /** Of the guest's instructions. */
  readonly guest: number;
  /** Of the hardware's table references. */
  readonly walks: number;
}

/** All exits of one reason. */
export interface ReasonCount {
  readonly reason: number;
  readonly name: string;
  readonly count: number;
  /** From the exits until the guest continued. */
  readonly cycles: number;
}

/**
 * Where a run's time went, in bounded memory: the latest exits as fixed-size records, the Steps of the last of them,
 * and for the whole run bins over time and counts by reason and by instruction. A pure observer: nothing in the
 * machine depends on it.
 */
export class ExitLog {
  /** Off: exits are counted by reason and nothing else is kept. */
  recording = true;
  readonly records: ExitRecords;
  readonly bins = new Bins();
  readonly byInstruction = new ByInstruction();
  private readonly keptSteps = new KeptSteps();
  private readonly stepNames = new StepNames();
  /** By reason, in order of first occurrence: the index is the one in the bins. */
  private readonly reasons = new Map<
    number,
    { readonly place: number; readonly name: string; count: number; cycles: number }
  >();
  /** Called for each exit once it is handled. */
  onFinish: ((number: number) => void) | undefined;

  /** Cycles reported so far, by lane. */
  private readonly spent = new Float64Array(LANE_COUNT);
  private stepCycles = 0;
  private lastGuest = 0;
  private lastWalks = 0;
  /** Since the last exit ended, or in the exit in progress. */
  private readonly cycles = new Float64Array(LANE_COUNT);
  private readonly steps = new Uint32Array(LANE_COUNT);
  private since = 0;
  private current: Step[] | undefined;
  private place = -1;
  private total = 0;

  constructor() {
    this.records = new ExitRecords((reason) => this.nameOf(reason));
  }

  get count(): number {
    return this.total;
  }
  /** Exits by name, in order of first occurrence. */
  get byReason(): ReadonlyMap<string, number> {
    return new Map([...this.reasons.values()].map(({ name, count }) => [name, count]));
  }
  /** The same with their cycles; the index is the one in the bins. */
  get reasonCounts(): readonly ReasonCount[] {
    return [...this.reasons].map(([reason, { name, count, cycles }]) => ({ reason, name, count, cycles }));
  }
  get instructionCounts(): Iterable<InstructionCount> {
    return this.byInstruction;
  }
  /** Cycles of all Steps. */
  get cyclesOfSteps(): number {
    return this.stepCycles;
  }
  /** Whether an exit is being handled. */
  get inExit(): boolean {
    return this.current !== undefined;
  }
  /** Cycles by lane up to `moment`. */
  totals(moment: Moment): readonly number[] {
    return Array.from(this.spent, (n, lane) => n + (this.cycles[lane] ?? 0) + this.sinceThen(lane, moment));
  }
  /** The run's length so far, in cycles. */
  now(moment: Moment): number {
    return moment.guest + moment.walks + this.stepCycles;
  }
  /** Cycles since the last exit ended (or in the exit in progress) that are in no record yet, by lane. */
  open(moment: Moment): { readonly from: number; readonly cycles: readonly number[] } {
    return { from: this.since, cycles: Array.from(this.cycles, (n, lane) => n + this.sinceThen(lane, moment)) };
  }
  /** The index of a reason in the bins. */
  placeOf(reason: number): number {
    return Math.min(this.reasons.get(reason)?.place ?? 0, BIN_REASONS - 1);
  }
  nameOf(reason: number): string {
    return this.reasons.get(reason)?.name ?? `reason ${reason}`;
  }
  record(number: number): ExitRecord | undefined {
    return this.records.at(number);
  }
  /** The last `most` records, oldest first. */
  recent(most: number): readonly ExitRecord[] {
    const out: ExitRecord[] = [];
    for (let n = Math.max(this.records.first, this.records.count - most); n < this.records.count; n++) {
      const record = this.records.at(n);
      if (record) out.push(record);
    }
    return out;
  }
  /** The Steps of an exit, if kept; for one in progress, those done so far. */
  stepsOf(number: number): readonly Step[] | undefined {
    return this.current && number === this.total - 1 ? this.current : this.keptSteps.of(number);
  }
  /** Actor, function and cycles of an exit's Steps, if kept: for many more exits than their full Steps. */
  namedStepsOf({ number, firstStep, steps }: ExitRecord): readonly NamedStep[] | undefined {
    if (firstStep < this.stepNames.first) return undefined;
    const count =
      this.current && number === this.total - 1 ? this.stepNames.count - firstStep : steps.reduce((a, b) => a + b, 0);
    return Array.from({ length: count }, (_, i) =>
      must(this.stepNames.at(firstStep + i), 'a step behind the oldest is kept'),
    );
  }
  /** The oldest exit whose Steps are known by name. */
  get firstNamed(): number {
    let low = this.records.first;
    let high = this.records.count;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.records.firstStepOf(middle) < this.stepNames.first) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  /** The oldest exit whose Steps are kept in full. */
  get firstWithSteps(): number {
    return this.keptSteps.first;
  }

  // ---- events

  /** An exit, before it is handled. */
  begin(info: ExitInfo, vcpu: number, moment: Moment): void {
    const number = this.total++;
    let r = this.reasons.get(info.reason);
    if (!r) this.reasons.set(info.reason, (r = { place: this.reasons.size, name: info.name, count: 0, cycles: 0 }));
    r.count++;
    if (!this.recording) return;
    const start = this.now(moment);
    this.guestTo(moment);
    this.spread(this.since, start);
    this.bins.addExit(start, r.place);
    this.records.add(info, vcpu, moment.instructions, this.stepNames.count, start, this.cycles);
    this.place = this.byInstruction.add(info.linear, info.reason);
    this.cycles.fill(0);
    this.steps.fill(0);
    this.since = start;
    this.current = [];
    if (number === 0) this.keptSteps.clear(0);
  }

  step(step: Step): void {
    this.stepCycles += step.cycles;
    if (!this.recording) return;
    const lane = LANE[step.actor];
    this.cycles[lane] = (this.cycles[lane] ?? 0) + step.cycles;
    this.steps[lane] = (this.steps[lane] ?? 0) + 1;
    if (!this.current) return;
    this.stepNames.add(step);
    if (this.current.length < STEPS_OF_ONE_EXIT) this.current.push(step);
  }

  /** The exit in progress has been handled. */
  finish(): void {
    const { current } = this;
    if (!current) return;
    const number = this.total - 1;
    this.records.finish(this.cycles, this.steps);
    let cost = 0;
    for (const n of this.cycles) cost += n;
    const reason = this.reasons.get(this.records.reasonOf(number));
    if (reason) reason.cycles += cost;
    this.byInstruction.addCycles(this.place, cost);
    this.spread(this.since, this.since + cost);
    this.keptSteps.add(number, current);
    this.since += cost;
    this.cycles.fill(0);
    this.steps.fill(0);
    this.current = undefined;
    this.onFinish?.(number);
  }

  /** Adds the guest's and the walks' cycles up to `moment` to the current stretch. */
  private guestTo(moment: Moment): void {
    this.cycles[LANE.guest] = (this.cycles[LANE.guest] ?? 0) + this.sinceThen(LANE.guest, moment);
    this.cycles[LANE.cpu] = (this.cycles[LANE.cpu] ?? 0) + this.sinceThen(LANE.cpu, moment);
    this.lastGuest = moment.guest;
    this.lastWalks = moment.walks;
  }
  private sinceThen(lane: number, moment: Moment): number {
    return lane === LANE.guest ? moment.guest - this.lastGuest : lane === LANE.cpu ? moment.walks - this.lastWalks : 0;
  }
  /** Adds the current stretch to the bins and the totals. */
  private spread(from: number, to: number): void {
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const amount = this.cycles[lane] ?? 0;
      this.spent[lane] = (this.spent[lane] ?? 0) + amount;
      this.bins.addCycles(lane, from, to, amount);
    }
  }

  // ---- snapshots: at instruction boundaries outside an exit

  save(): ExitLogState {
    return {
      recording: this.recording,
      total: this.total,
      stepCycles: this.stepCycles,
      lastGuest: this.lastGuest,
      lastWalks: this.lastWalks,
      since: this.since,
      spent: [...this.spent],
      cycles: [...this.cycles],
      reasons: this.reasonCounts,
      records: this.records.save(),
      bins: this.bins.save(),
      byInstruction: this.byInstruction.save(),
      keptSteps: this.keptSteps.save(),
      stepNames: this.stepNames.save(),
    };
  }
  restore(s: ExitLogState): void {
    this.recording = s.recording;
    this.total = s.total;
    this.stepCycles = s.stepCycles;
    this.lastGuest = s.lastGuest;
    this.lastWalks = s.lastWalks;
    this.since = s.since;
    this.spent.set(s.spent);
    this.cycles.set(s.cycles);
    this.steps.fill(0);
    this.current = undefined;
    this.reasons.clear();
    s.reasons.forEach(({ reason, name, count, cycles }, place) =>
      this.reasons.set(reason, { place, name, count, cycles }),
    );
    this.records.restore(s.records);
    this.bins.restore(s.bins);
    this.byInstruction.restore(s.byInstruction);
    this.keptSteps.restore(s.keptSteps);
    this.stepNames.restore(s.stepNames);
  }
}

export interface ExitLogState {
  readonly recording: boolean;
  readonly total: number;
  readonly stepCycles: number;
  readonly lastGuest: number;
  readonly lastWalks: number;
  readonly since: number;
  readonly spent: readonly number[];
  readonly cycles: readonly number[];
  readonly reasons: readonly ReasonCount[];
  readonly records: ExitRecordsState;
  readonly bins: BinsState;
  readonly byInstruction: ByInstructionState;
  readonly keptSteps: KeptStepsState;
  readonly stepNames: StepNamesState;
}
