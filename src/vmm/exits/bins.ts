import { LANE_COUNT } from './lanes';

/**
 * Number of reasons that bins count individually, in order of first occurrence; all further ones share the last
 * place.
 */
export const BIN_REASONS = 24;
/** Number of bins for a whole run. */
export const BIN_COUNT = 8192;
/** Initial width of a bin, in cycles. */
const FIRST_WIDTH = 256;

/**
 * A whole run in a fixed number of bins of equal width: cycles by lane and exits by reason. When the run outgrows
 * them, adjacent bins are merged in pairs, so a long run always uses more than half of BIN_COUNT, and memory is
 * constant.
 */
export class Bins {
  private binWidth = FIRST_WIDTH;
  private readonly cycles = new Float64Array(BIN_COUNT * LANE_COUNT);
  private readonly counts = new Uint32Array(BIN_COUNT * BIN_REASONS);

  /** Cycles per bin: a power of two. */
  get width(): number {
    return this.binWidth;
  }
  cyclesOf(bin: number, lane: number): number {
    return this.cycles[bin * LANE_COUNT + lane] ?? 0;
  }
  /** @param place the reason's index, up to BIN_REASONS − 1 */
  countOf(bin: number, place: number): number {
    return this.counts[bin * BIN_REASONS + place] ?? 0;
  }

  addExit(at: number, place: number): void {
    const bin = this.binOf(at);
    const i = bin * BIN_REASONS + Math.min(place, BIN_REASONS - 1);
    this.counts[i] = (this.counts[i] ?? 0) + 1;
  }

  /** `amount` cycles of a lane, spread evenly over [from, to); at `from` if that is empty. */
  addCycles(lane: number, from: number, to: number, amount: number): void {
    if (amount <= 0) return;
    const last = this.binOf(Math.max(from, to - 1));
    const first = Math.floor(from / this.binWidth);
    if (first >= last) {
      this.cycles[first * LANE_COUNT + lane] = (this.cycles[first * LANE_COUNT + lane] ?? 0) + amount;
      return;
    }
    const rate = amount / (to - from);
    for (let bin = first; bin <= last; bin++) {
      const begin = Math.max(from, bin * this.binWidth);
      const end = Math.min(to, (bin + 1) * this.binWidth);
      const i = bin * LANE_COUNT + lane;
      this.cycles[i] = (this.cycles[i] ?? 0) + rate * (end - begin);
    }
  }

  private binOf(at: number): number {
    while (at >= this.binWidth * BIN_COUNT) this.halve();
    return Math.floor(at / this.binWidth);
  }
  private halve(): void {
    halve(this.cycles, LANE_COUNT);
    halve(this.counts, BIN_REASONS);
    this.binWidth *= 2;
  }

  save(): BinsState {
    return { width: this.binWidth, cycles: this.cycles.slice(), counts: this.counts.slice() };
  }
  restore(s: BinsState): void {
    this.binWidth = s.width;
    this.cycles.set(s.cycles);
    this.counts.set(s.counts);
  }
}

/** Merges rows of `row` numbers in pairs, and clears the second half. */
function halve(array: Float64Array | Uint32Array, row: number): void {
  const half = array.length / 2;
  for (let i = 0; i < half; i++) {
    const from = Math.floor(i / row) * 2 * row + (i % row);
    array[i] = (array[from] ?? 0) + (array[from + row] ?? 0);
  }
  array.fill(0, half);
}

export interface BinsState {
  readonly width: number;
  readonly cycles: Float64Array;
  readonly counts: Uint32Array;
}
