/**
 * Where the lines of an assembled text stand in the same text after it was edited, so that what belongs to the running image (stops, breakpoints, hints) stays at its own lines.
 * Lines are matched as patience diff does: equal starts and ends, then lines that occur once in both, in the same order, and so on between those. What is left has changed.
 */

/** Where lines are matched no further: texts that need more are different texts. */
const MOST_DEPTH = 64;
const NONE = -1;

export interface LinePlace {
  /** From 1. For a line that has changed, the nearest one. */
  readonly line: number;
  /** The line is there as it was assembled. */
  readonly exact: boolean;
}

export class EditedLines {
  /** A blank or comment aside, the two texts are not the same: they assemble to other images. */
  readonly differs: boolean;
  /** For each line of the one text, from 0, its index in the other, or NONE. */
  private readonly forward: Int32Array;
  private readonly backward: Int32Array;
  private readonly blank: readonly boolean[];

  /** @param isNasm comments begin with a semicolon, and do not count */
  constructor(assembled: string, current: string, isNasm: boolean) {
    const [from, to] = [codeLines(assembled, isNasm), codeLines(current, isNasm)];
    this.forward = new Int32Array(from.length).fill(NONE);
    this.backward = new Int32Array(to.length).fill(NONE);
    this.blank = to.map((text) => text === '');
    this.match(from, to, { a: 0, aEnd: from.length, b: 0, bEnd: to.length }, 0);
    const isLost = (text: string, i: number, other: Int32Array): boolean => text !== '' && other[i] === NONE;
    this.differs =
      from.some((text, i) => isLost(text, i, this.forward)) || to.some((text, i) => isLost(text, i, this.backward));
  }

  /** Where a line of the assembled text stands now. */
  toCurrent(line: number): LinePlace {
    const index = line - 1;
    const own = this.forward[index] ?? NONE;
    if (own !== NONE) return { line: own + 1, exact: true };
    let before = Math.min(index, this.forward.length) - 1;
    while (before >= 0 && this.forward[before] === NONE) before--;
    let after = index + 1;
    while (after < this.forward.length && this.forward[after] === NONE) after++;
    const start = before < 0 ? 0 : (this.forward[before] ?? 0) + 1;
    const end = this.forward[after] ?? this.backward.length;
    // the n-th of the changed lines is the n-th that took their place; where none did, what follows them
    const near =
      start < end ? Math.min(start + index - before - 1, end - 1) : Math.min(start, this.backward.length - 1);
    return { line: near + 1, exact: false };
  }

  /** The assembled line that a line is now; of a blank or comment that is new, what follows it. Undefined: the line has changed. */
  toAssembled(line: number): number | undefined {
    for (let index = line - 1; index < this.backward.length; index++) {
      const own = this.backward[index] ?? NONE;
      if (own !== NONE) return own + 1;
      if (!this.blank[index]) return undefined;
    }
    return undefined;
  }

  private match(from: readonly string[], to: readonly string[], part: Part, depth: number): void {
    let { a, aEnd, b, bEnd } = part;
    while (a < aEnd && b < bEnd && from[a] === to[b]) this.pair(a++, b++);
    while (a < aEnd && b < bEnd && from[aEnd - 1] === to[bEnd - 1]) this.pair(--aEnd, --bEnd);
    if (a === aEnd || b === bEnd || depth === MOST_DEPTH) return;
    const anchors = inOrder(commonOnce(from, to, { a, aEnd, b, bEnd }));
    if (anchors.length === 0) return;
    for (const [x, y] of [...anchors, [aEnd, bEnd] as const]) {
      this.match(from, to, { a, aEnd: x, b, bEnd: y }, depth + 1);
      if (x < aEnd) this.pair(x, y);
      [a, b] = [x + 1, y + 1];
    }
  }

  private pair(a: number, b: number): void {
    this.forward[a] = b;
    this.backward[b] = a;
  }
}

/** Line indices, ends exclusive. */
interface Part {
  readonly a: number;
  readonly aEnd: number;
  readonly b: number;
  readonly bEnd: number;
}
type Pair = readonly [a: number, b: number];

/** The lines that occur once in each of the parts, by their place in the first. */
function commonOnce(from: readonly string[], to: readonly string[], { a, aEnd, b, bEnd }: Part): Pair[] {
  const places = (lines: readonly string[], start: number, end: number): ReadonlyMap<string, number> => {
    const found = new Map<string, number>();
    for (let i = start; i < end; i++) {
      const text = lines[i] ?? '';
      found.set(text, found.has(text) ? NONE : i);
    }
    return found;
  };
  const there = places(to, b, bEnd);
  return [...places(from, a, aEnd)].flatMap(([text, i]): Pair[] => {
    const j = there.get(text) ?? NONE;
    return i === NONE || j === NONE || text === '' ? [] : [[i, j]];
  });
}

/** The longest run of pairs whose second numbers ascend as the first do. */
function inOrder(pairs: readonly Pair[]): readonly Pair[] {
  /** The last pair of the best run of each length, and what comes before each pair in its run. */
  const ends: number[] = [];
  const previous = pairs.map(() => NONE);
  for (const [i, [, b]] of pairs.entries()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((pairs[ends[middle] ?? 0]?.[1] ?? 0) < b) low = middle + 1;
      else high = middle;
    }
    previous[i] = ends[low - 1] ?? NONE;
    ends[low] = i;
  }
  const run: Pair[] = [];
  for (let i = ends.at(-1) ?? NONE; i !== NONE; i = previous[i] ?? NONE) {
    const pair = pairs[i];
    if (pair) run.push(pair);
  }
  return run.reverse();
}

const codeLines = (text: string, isNasm: boolean): readonly string[] =>
  text.split(/\r\n?|\n/).map((line) => codeOf(line, isNasm));

/** What of a line matters to the assembler: not the space around it, nor a comment, unless that speaks to Pagewalk or goes on at the next line. */
function codeOf(line: string, isNasm: boolean): string {
  const whole = line.trim();
  if (!isNasm || !whole.includes(';')) return whole;
  let quote = '';
  for (let i = 0; i < whole.length; i++) {
    const c = whole[i] ?? '';
    if (quote !== '') quote = c === quote ? '' : quote;
    else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === ';') {
      const comment = whole.slice(i + 1);
      return /^\s*@|\\$/.test(comment) ? whole : whole.slice(0, i).trimEnd();
    }
  }
  return whole;
}
