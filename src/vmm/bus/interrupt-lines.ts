/**
 * The machine's interrupt lines, 0–31: a line is high while any device drives it high. No interrupt controller is
 * connected yet.
 */
export class InterruptLines {
  /** By device: one bit per line that it drives high. */
  private driven = new Map<string, number>();

  drive(device: string, line: number, high: boolean): void {
    const others = (this.driven.get(device) ?? 0) & ~(1 << line);
    this.driven.set(device, (high ? others | (1 << line) : others) >>> 0);
  }
  /** Bit n: line n is high. */
  get levels(): number {
    return [...this.driven.values()].reduce((all, bits) => (all | bits) >>> 0, 0);
  }

  save(): LinesState {
    return Object.fromEntries(this.driven);
  }
  restore(s: LinesState): void {
    this.driven = new Map(Object.entries(s));
  }
}

/** By device, as in InterruptLines. */
export type LinesState = Readonly<Record<string, number>>;
