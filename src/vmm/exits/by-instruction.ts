/** Limit on the pairs of instruction and reason counted individually; the rest are counted together. */
const MOST_PLACES = 1 << 16;
const FIRST_CAPACITY = 1 << 8;

/** Exits of one reason at one instruction. */
export interface InstructionCount {
  /** Linear address. */
  readonly linear: bigint;
  readonly reason: number;
  readonly count: number;
  /** From the exits until the guest continued. */
  readonly cycles: number;
}

/**
 * Exits by instruction and reason: a hash table with open addressing over typed arrays, because it is accessed at
 * every exit. Entries are identified by an index that never changes.
 */
export class ByInstruction {
  private slots = new Int32Array(FIRST_CAPACITY).fill(-1);
  private linear = new BigUint64Array(FIRST_CAPACITY);
  private reasons = new Uint16Array(FIRST_CAPACITY);
  private counts = new Float64Array(FIRST_CAPACITY);
  private cycles = new Float64Array(FIRST_CAPACITY);
  private size = 0;
  /** Exits at instructions beyond the limit. */
  dropped = 0;

  /** Counts one exit. The result is its index, −1 if there is none left. */
  add(linear: bigint, reason: number): number {
    const place = this.placeOf(linear, reason);
    if (place < 0) this.dropped++;
    else this.counts[place] = (this.counts[place] ?? 0) + 1;
    return place;
  }
  addCycles(place: number, cycles: number): void {
    if (place >= 0) this.cycles[place] = (this.cycles[place] ?? 0) + cycles;
  }

  *[Symbol.iterator](): Generator<InstructionCount, void, void> {
    for (let i = 0; i < this.size; i++) {
      yield {
        linear: this.linear[i] ?? 0n,
        reason: this.reasons[i] ?? 0,
        count: this.counts[i] ?? 0,
        cycles: this.cycles[i] ?? 0,
      };
    }
  }

  private placeOf(linear: bigint, reason: number): number {
    const mask = this.slots.length - 1;
    for (let at = hashOf(linear, reason) & mask; ; at = (at + 1) & mask) {
      const place = this.slots[at] ?? -1;
      if (place < 0) return this.insert(at, linear, reason);
      if (this.reasons[place] === reason && this.linear[place] === linear) return place;
    }
  }

  private insert(at: number, linear: bigint, reason: number): number {
    if (this.size === MOST_PLACES) return -1;
    if (this.size * 2 >= this.slots.length) {
      this.resize(this.slots.length * 2);
      return this.placeOf(linear, reason);
    }
    const place = this.size++;
    this.slots[at] = place;
    this.linear[place] = linear;
    this.reasons[place] = reason;
    return place;
  }

  private resize(capacity: number): void {
    const grown = <A extends BigUint64Array | Uint16Array | Float64Array>(old: A, made: A): A => {
      (made as { set(from: A): void }).set(old);
      return made;
    };
    this.linear = grown(this.linear, new BigUint64Array(capacity));
    this.reasons = grown(this.reasons, new Uint16Array(capacity));
    this.counts = grown(this.counts, new Float64Array(capacity));
    this.cycles = grown(this.cycles, new Float64Array(capacity));
    this.slots = new Int32Array(capacity).fill(-1);
    const mask = capacity - 1;
    for (let place = 0; place < this.size; place++) {
      let at = hashOf(this.linear[place] ?? 0n, this.reasons[place] ?? 0) & mask;
      while ((this.slots[at] ?? -1) >= 0) at = (at + 1) & mask;
      this.slots[at] = place;
    }
  }

  save(): ByInstructionState {
    return { entries: [...this], dropped: this.dropped };
  }
  restore(s: ByInstructionState): void {
    this.size = 0;
    this.dropped = s.dropped;
    this.slots.fill(-1);
    this.counts.fill(0);
    this.cycles.fill(0);
    for (const { linear, reason, count, cycles } of s.entries) {
      const place = this.placeOf(linear, reason);
      this.counts[place] = count;
      this.cycles[place] = cycles;
    }
  }
}

/** Spreads addresses that differ in a few low bits (Knuth's multiplicative hash). */
function hashOf(linear: bigint, reason: number): number {
  const low = Number(BigInt.asUintN(32, linear));
  const high = Number(BigInt.asUintN(32, linear >> 32n));
  return Math.imul(low ^ Math.imul(high, 31) ^ (reason << 20), 0x9e37_79b1) >>> 7;
}

export interface ByInstructionState {
  readonly entries: readonly InstructionCount[];
  readonly dropped: number;
}
