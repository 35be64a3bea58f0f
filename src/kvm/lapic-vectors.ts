/** 256 bits, one for each vector, as the IRR, ISR and TMR registers hold them: eight words of 32. */
export class VectorSet {
  private readonly words = new Uint32Array(8);

  /** Bits 32n … 32n + 31. */
  word(n: number): number {
    return this.words[n] ?? 0;
  }
  /** The highest vector in the set, or −1. */
  get highest(): number {
    for (let n = 7; n >= 0; n--) {
      const w = this.word(n);
      if (w !== 0) return n * 32 + 31 - Math.clz32(w);
    }
    return -1;
  }
  /** Vectors outside 0–255 are ignored. */
  add(vector: number): void {
    if (vector >= 0) this.words[vector >>> 5] = this.word(vector >>> 5) | (1 << (vector & 31));
  }
  remove(vector: number): void {
    if (vector >= 0) this.words[vector >>> 5] = this.word(vector >>> 5) & ~(1 << (vector & 31));
  }
  clear(): void {
    this.words.fill(0);
  }
  save(): readonly number[] {
    return [...this.words];
  }
  restore(words: readonly number[]): void {
    this.words.set(words);
  }
}
