/** A stretch of a run's time in equal bins: what each lane did in each, and how many exits of which reason fell into it. */
import { BIN_COUNT, BIN_REASONS } from '../../vmm/exits/bins';
import type { ExitLog, Moment } from '../../vmm/exits/exit-log';
import { LANE, LANES, LANE_COUNT } from '../../vmm/exits/lanes';
import type { ExitRecord } from '../../vmm/exits/records';

/** Bins of a tile. */
export const TILE_BINS = 256;
/** Records that a tile is put together from at most: beyond, the bins of the whole run serve. */
const MOST_RECORDS = 20_000;
/** Exits and Steps that are told one by one at most. */
const MOST_EXITS = 64;
const MOST_SEGMENTS = 3000;

/** Something that one actor did without a break. */
export interface Segment {
  /** Index into LANES. */
  readonly lane: number;
  /** Cycles from the start of the run. */
  readonly from: number;
  readonly to: number;
  /** How much of that time was the lane's: less than 1 where the hardware walked tables while the guest ran. */
  readonly share: number;
  /** The function, or what the lane did. */
  readonly label: string;
  /** Number of the exit that it belongs to; absent between exits. */
  readonly exit?: number;
}

export interface Tile {
  /** A bin is 2^level cycles wide; the tile begins with bin index × TILE_BINS. */
  readonly level: number;
  readonly index: number;
  /** 'exits': exact. 'bins': from the bins of the whole run, of which one is `resolution` cycles wide. */
  readonly source: 'exits' | 'bins';
  readonly resolution: number;
  /** By lane, cycles in each bin. */
  readonly cycles: readonly (readonly number[])[];
  /** By reason, exits in each bin; reasons that have none are left out. */
  readonly reasons: readonly { readonly name: string; readonly counts: readonly number[] }[];
  /** Each thing done, where those are few enough to tell apart. */
  readonly segments?: readonly Segment[];
}

export function tileOf(log: ExitLog, moment: Moment, level: number, index: number): Tile {
  const width = 2 ** level;
  const from = index * TILE_BINS * width;
  const to = from + TILE_BINS * width;
  const { records, bins } = log;
  const first = Math.max(records.first, records.from(from) - 1);
  // the one behind the tile's end, too: what went on before it may lie in the tile
  const last = Math.min(records.from(to) + 1, records.count);
  const isKept = records.first === 0 || from >= records.startOf(records.first);
  const few = last - first <= MOST_EXITS;
  const exact = isKept && (few || (bins.width > width && last - first <= MOST_RECORDS));
  const drawing = new TileDrawing(from, width);
  if (exact) for (let n = first; n < last; n++) drawing.record(log, n);
  else drawing.bins(log);
  const open = log.open(moment);
  const now = log.now(moment);
  open.cycles.forEach((amount, lane) => drawing.cycles(lane, open.from, now, amount));
  const segments = exact && few ? segmentsOf(log, moment, first, last, from, to) : undefined;
  return {
    level,
    index,
    source: exact ? 'exits' : 'bins',
    resolution: exact ? 1 : bins.width,
    ...drawing.result(log),
    ...(segments ? { segments } : {}),
  };
}

class TileDrawing {
  private readonly lanes = LANES.map(() => new Float64Array(TILE_BINS));
  private readonly counts = new Map<number, Float64Array>();

  constructor(
    private readonly from: number,
    private readonly width: number,
  ) {}

  /** `amount` cycles spread over [from, to), as far as they fall into the tile. */
  cycles(lane: number, from: number, to: number, amount: number): void {
    if (amount > 0) spread(this.lanes[lane], (from - this.from) / this.width, (to - this.from) / this.width, amount);
  }
  private exits(place: number, from: number, to: number, count: number): void {
    if (count <= 0) return;
    let list = this.counts.get(place);
    if (!list) this.counts.set(place, (list = new Float64Array(TILE_BINS)));
    spread(list, (from - this.from) / this.width, (to - this.from) / this.width, count);
  }

  record(log: ExitLog, number: number): void {
    const { records } = log;
    const start = records.startOf(number);
    let before = 0;
    let cost = 0;
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      before += records.beforeOf(number, lane);
      cost += records.cyclesOf(number, lane);
    }
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      this.cycles(lane, start - before, start, records.beforeOf(number, lane));
      this.cycles(lane, start, start + cost, records.cyclesOf(number, lane));
    }
    this.exits(log.placeOf(records.reasonOf(number)), start, start, 1);
  }

  bins(log: ExitLog): void {
    const { bins } = log;
    const first = Math.max(0, Math.floor(this.from / bins.width));
    const last = Math.min(BIN_COUNT - 1, Math.ceil((this.from + TILE_BINS * this.width) / bins.width));
    for (let bin = first; bin <= last; bin++) {
      const begin = bin * bins.width;
      const end = begin + bins.width;
      for (let lane = 0; lane < LANE_COUNT; lane++) this.cycles(lane, begin, end, bins.cyclesOf(bin, lane));
      for (let place = 0; place < BIN_REASONS; place++) this.exits(place, begin, end, bins.countOf(bin, place));
    }
  }

  result(log: ExitLog): Pick<Tile, 'cycles' | 'reasons'> {
    const { reasonCounts } = log;
    const nameOf = (place: number): string =>
      place === BIN_REASONS - 1 && reasonCounts.length > BIN_REASONS ? 'others' : (reasonCounts[place]?.name ?? '');
    return {
      cycles: this.lanes.map((lane) => Array.from(lane, round)),
      reasons: [...this.counts]
        .filter(([, counts]) => counts.some((n) => n > 0))
        .sort(([a], [b]) => a - b)
        .map(([place, counts]) => ({ name: nameOf(place), counts: Array.from(counts, round) })),
    };
  }
}

/** Two digits behind the point are finer than anything drawn. */
const round = (n: number): number => Math.round(n * 100) / 100;

/** Adds `amount` to the bins between `from` and `to` (in bins), each as much as it has of that stretch. */
function spread(bins: Float64Array | undefined, from: number, to: number, amount: number): void {
  if (!bins || to < 0 || from >= bins.length) return;
  if (to <= from) {
    const bin = Math.floor(from);
    if (bin >= 0) bins[bin] = (bins[bin] ?? 0) + amount;
    return;
  }
  const rate = amount / (to - from);
  for (let bin = Math.max(0, Math.floor(from)); bin < Math.min(bins.length, to); bin++)
    bins[bin] = (bins[bin] ?? 0) + rate * (Math.min(to, bin + 1) - Math.max(from, bin));
}

/** Everything done between two moments, one by one; undefined where that is too much to tell apart or no longer known. */
function segmentsOf(
  log: ExitLog,
  moment: Moment,
  first: number,
  last: number,
  from: number,
  to: number,
): readonly Segment[] | undefined {
  const out: Segment[] = [];
  const add = (segment: Segment): void => {
    if (segment.to > from && segment.from < to) out.push(segment);
  };
  const between = (start: number, end: number, cycles: readonly number[]): void => {
    cycles.forEach((amount, lane) => {
      if (amount > 0) add({ lane, from: start, to: end, share: amount / (end - start), label: BETWEEN[lane] ?? '' });
    });
  };
  for (let n = first; n < last; n++) {
    const record = log.record(n);
    const steps = record && log.namedStepsOf(record);
    if (!record || !steps || out.length + steps.length > MOST_SEGMENTS) return undefined;
    between(record.start - sum(record.before), record.start, record.before);
    let at = record.start;
    for (const { actor, fn, cycles } of steps) {
      add({ lane: LANE[actor], from: at, to: at + cycles, share: 1, label: fn, exit: n });
      at += cycles;
    }
  }
  const open = log.open(moment);
  if (last === log.count && !log.inExit) between(open.from, log.now(moment), open.cycles);
  return out;
}

/** What a lane does between two exits. */
const BETWEEN = ['guest', 'table walks', 'KVM', 'host kernel', 'VMM'];

export const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
/** Cycles of an exit's handling. */
export const costOf = (record: ExitRecord): number => sum(record.cycles);
