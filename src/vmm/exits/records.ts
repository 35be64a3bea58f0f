import type { Gva } from '../../base/address';
import { gpa, gva } from '../../base/address';
import { exitCause, type ExitCause, type RecordedExit } from '../../kvm/exit-cause';
import type { ExitInfo } from '../../kvm/exit-info';
import { LANE_COUNT } from './lanes';

/** Records per chunk. A full chunk never changes, so snapshots share it. */
const CHUNK = 4096;
/** Limit on the chunks kept: the oldest is dropped as a whole. */
const CHUNKS = 64;
/** Minimum number of records kept, once the run has had as many exits. */
export const RECORDS_KEPT = CHUNK * (CHUNKS - 1);

const HAS_GPA = 1;
const HAS_GVA = 2;
const OF_VMCB = 4;

/** One VM exit, of fixed size: its kind, its time, and its cost by actor. */
export interface ExitRecord extends RecordedExit {
  /** 0 for the first exit of the run. */
  readonly number: number;
  readonly vcpu: number;
  readonly name: string;
  readonly cause: ExitCause;
  readonly gva: Gva | undefined;
  /** Guest RIP at the exit (an offset in CS), and the corresponding linear address. */
  readonly rip: bigint;
  readonly linear: bigint;
  /** Guest instructions completed before it. */
  readonly instructions: number;
  /** Modelled cycles when it happened, and when the guest could continue. */
  readonly start: number;
  readonly end: number;
  /** Cycles between the end of the last exit and this one, by lane (LANES). */
  readonly before: readonly number[];
  /** Cycles of its handling, by lane. */
  readonly cycles: readonly number[];
  /** Steps of its handling, by lane. */
  readonly steps: readonly number[];
  /** The number of its first Step among those of all exits. */
  readonly firstStep: number;
}

class Chunk {
  readonly start = new Float64Array(CHUNK);
  readonly instructions = new Float64Array(CHUNK);
  readonly firstStep = new Float64Array(CHUNK);
  readonly before = new Float64Array(CHUNK * LANE_COUNT);
  readonly cycles = new Float64Array(CHUNK * LANE_COUNT);
  readonly steps = new Uint32Array(CHUNK * LANE_COUNT);
  readonly qualification = new BigUint64Array(CHUNK);
  readonly gpa = new BigUint64Array(CHUNK);
  readonly gva = new BigUint64Array(CHUNK);
  readonly rip = new BigUint64Array(CHUNK);
  readonly linear = new BigUint64Array(CHUNK);
  readonly event = new Uint32Array(CHUNK);
  readonly reason = new Uint16Array(CHUNK);
  readonly vcpu = new Uint8Array(CHUNK);
  readonly has = new Uint8Array(CHUNK);

  copy(): Chunk {
    const made = new Chunk();
    made.start.set(this.start);
    made.instructions.set(this.instructions);
    made.firstStep.set(this.firstStep);
    made.before.set(this.before);
    made.cycles.set(this.cycles);
    made.steps.set(this.steps);
    made.qualification.set(this.qualification);
    made.gpa.set(this.gpa);
    made.gva.set(this.gva);
    made.rip.set(this.rip);
    made.linear.set(this.linear);
    made.event.set(this.event);
    made.reason.set(this.reason);
    made.vcpu.set(this.vcpu);
    made.has.set(this.has);
    return made;
  }
}

/**
 * The last records of a run: typed arrays in chunks, about 200 bytes per record and at most CHUNKS chunks, however
 * long the run.
 */
export class ExitRecords {
  private chunks: Chunk[] = [];
  /** Number of the first record of `chunks[0]`. */
  private base = 0;
  private total = 0;

  constructor(private readonly nameOf: (reason: number) => string) {}

  /** Exits so far. */
  get count(): number {
    return this.total;
  }
  /** The oldest record kept. */
  get first(): number {
    return this.base;
  }

  /** @param before cycles by lane since the end of the last exit; taken by value */
  add(
    info: ExitInfo,
    vcpu: number,
    instructions: number,
    firstStep: number,
    start: number,
    before: Float64Array,
  ): void {
    const i = this.total % CHUNK;
    if (i === 0) this.chunks.push(new Chunk());
    if (this.chunks.length > CHUNKS) {
      this.chunks.shift();
      this.base += CHUNK;
    }
    this.total++;
    const c = this.chunks[this.chunks.length - 1];
    if (!c) return;
    c.start[i] = start;
    c.instructions[i] = instructions;
    c.firstStep[i] = firstStep;
    c.before.set(before, i * LANE_COUNT);
    c.qualification[i] = info.qualification;
    c.rip[i] = info.rip;
    c.linear[i] = info.linear;
    c.event[i] = info.interruptionInfo;
    c.reason[i] = info.reason;
    c.vcpu[i] = vcpu;
    let has = info.of === 'vmcb' ? OF_VMCB : 0;
    if (info.gpa !== undefined) {
      c.gpa[i] = info.gpa;
      has |= HAS_GPA;
    }
    if (info.gva !== undefined) {
      c.gva[i] = info.gva;
      has |= HAS_GVA;
    }
    c.has[i] = has;
  }

  /** The outcome of handling the last record's exit. */
  finish(cycles: Float64Array, steps: Uint32Array): void {
    const i = (this.total - 1) % CHUNK;
    const c = this.chunks[this.chunks.length - 1];
    c?.cycles.set(cycles, i * LANE_COUNT);
    c?.steps.set(steps, i * LANE_COUNT);
  }

  /** The record of an exit; undefined if it is not kept or has not happened. */
  at(number: number): ExitRecord | undefined {
    const c = this.chunkOf(number);
    if (!c) return undefined;
    const i = number % CHUNK;
    const row = <T extends Float64Array | Uint32Array>(array: T): readonly number[] =>
      Array.from(array.subarray(i * LANE_COUNT, (i + 1) * LANE_COUNT));
    const reason = c.reason[i] ?? 0;
    const start = c.start[i] ?? 0;
    const has = c.has[i] ?? 0;
    const cycles = row(c.cycles);
    const recorded: RecordedExit = {
      of: (has & OF_VMCB) !== 0 ? 'vmcb' : 'vmcs',
      reason,
      qualification: c.qualification[i] ?? 0n,
      interruptionInfo: c.event[i] ?? 0,
      gpa: (has & HAS_GPA) !== 0 ? gpa(c.gpa[i] ?? 0n) : undefined,
    };
    return {
      ...recorded,
      number,
      vcpu: c.vcpu[i] ?? 0,
      name: this.nameOf(reason),
      cause: exitCause(recorded),
      gva: (has & HAS_GVA) !== 0 ? gva(c.gva[i] ?? 0n) : undefined,
      rip: c.rip[i] ?? 0n,
      linear: c.linear[i] ?? 0n,
      instructions: c.instructions[i] ?? 0,
      start,
      end: start + cycles.reduce((sum, n) => sum + n, 0),
      before: row(c.before),
      cycles,
      steps: row(c.steps),
      firstStep: c.firstStep[i] ?? 0,
    };
  }

  // ---- single fields, for callers that read very many

  startOf(number: number): number {
    return this.chunkOf(number)?.start[number % CHUNK] ?? 0;
  }
  firstStepOf(number: number): number {
    return this.chunkOf(number)?.firstStep[number % CHUNK] ?? 0;
  }
  reasonOf(number: number): number {
    return this.chunkOf(number)?.reason[number % CHUNK] ?? 0;
  }
  linearOf(number: number): bigint {
    return this.chunkOf(number)?.linear[number % CHUNK] ?? 0n;
  }
  beforeOf(number: number, lane: number): number {
    return this.chunkOf(number)?.before[(number % CHUNK) * LANE_COUNT + lane] ?? 0;
  }
  cyclesOf(number: number, lane: number): number {
    return this.chunkOf(number)?.cycles[(number % CHUNK) * LANE_COUNT + lane] ?? 0;
  }

  /** The first kept record that starts at `cycle` or later; `count` if none does. */
  from(cycle: number): number {
    let low = this.base;
    let high = this.total;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.startOf(middle) < cycle) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private chunkOf(number: number): Chunk | undefined {
    if (number < this.base || number >= this.total) return undefined;
    return this.chunks[Math.floor((number - this.base) / CHUNK)];
  }

  save(): ExitRecordsState {
    const last = this.chunks.at(-1);
    const isFull = this.total % CHUNK === 0;
    return {
      chunks: last && !isFull ? [...this.chunks.slice(0, -1), last.copy()] : this.chunks.slice(),
      base: this.base,
      total: this.total,
    };
  }
  restore(s: ExitRecordsState): void {
    const chunks = s.chunks as readonly Chunk[];
    const last = chunks.at(-1);
    this.chunks = last && s.total % CHUNK !== 0 ? [...chunks.slice(0, -1), last.copy()] : [...chunks];
    this.base = s.base;
    this.total = s.total;
  }
}

export interface ExitRecordsState {
  readonly chunks: readonly unknown[];
  readonly base: number;
  readonly total: number;
}
