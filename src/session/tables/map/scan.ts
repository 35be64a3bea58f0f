/**
 * One set of tables as it is at a moment, read as numbers: a million entries are a few milliseconds. Entries that follow each other
 * with the same bits, and frames that go on where the one before ended (or stay the same), are one run; so are entries that point
 * to tables which are such runs throughout. The result is a map of a few rows.
 */
import { isReservedFlag } from '../../../isa/entries';
import type { HostMemory } from '../../../hw/memory/host-memory';
import type { Decoded, TableSource } from './source';

/** Pages that a table maps as one run: 512 of 512 entries of a PTE table, or all that tables below have, one behind the other. */
export interface Shape {
  readonly key: number;
  readonly level: number;
  /** Number of the first page's frame; `step`: from each page to the next one, 0 where all map the same. */
  readonly frame: number;
  readonly step: number;
  readonly leaves: number;
}

/** Consecutive entries of a table that say the same. */
export interface Run {
  readonly first: number;
  readonly last: number;
  readonly entry: bigint;
  readonly decoded: Decoded;
  readonly frame: number;
  readonly step: number;
  /** What is below each, where the run is of tables: all of them one run of pages. */
  readonly shape: Shape | undefined;
}

/** A table that was read. */
export interface Scanned {
  readonly level: number;
  readonly table: bigint;
  readonly runs: readonly Run[];
  readonly shape: Shape | undefined;
  /** Pages below, in all (a table that is reached twice counts twice), and the OR of their rights with those above them ANDed. */
  readonly leaves: number;
  readonly rights: number;
  /** The entries as they were read, low and high halves. */
  readonly words: Uint32Array;
  /** Not everything below was read: there is too much of it, or no memory behind it. */
  readonly partial: boolean;
}

export const RIGHTS = { r: 1, w: 2, x: 4, u: 8, all: 15 } as const;

/** Tables of one set that are read for one moment: 8 Mi entries, whatever a guest makes its tables point to. */
const MAX_TABLES = 16_384;

/** What an entry allows by itself, from its flags' names: nothing where a reserved bit is set, at which every access faults. */
export function rightsOf(source: TableSource, { flags, present, mmio }: Decoded): number {
  if (!present || mmio || flags.some(isReservedFlag)) return 0;
  const has = (flag: string): boolean => flags.includes(flag);
  if (source.set === 'ept') return (has('R') ? RIGHTS.r : 0) | (has('W') ? RIGHTS.w : 0) | (has('X') ? RIGHTS.x : 0);
  return RIGHTS.r | (has('RW') ? RIGHTS.w : 0) | (has('XD') ? 0 : RIGHTS.x) | (has('US') ? RIGHTS.u : 0);
}

export class TableScan {
  private readonly tables = new Map<number, Scanned>();
  private readonly decoded = new Map<number, Decoded>();
  private readonly u32: Uint32Array;

  constructor(
    readonly source: TableSource,
    memory: HostMemory,
  ) {
    this.u32 = new Uint32Array(memory.buffer);
  }

  /** How many tables were read. */
  get count(): number {
    return this.tables.size;
  }

  get top(): Scanned | undefined {
    const { level, table } = this.source.top;
    return this.table(level, table);
  }

  /** A table of a level; undefined where there is no memory, or too much was read already. */
  table(level: number, table: bigint): Scanned | undefined {
    const key = keyOf(level, table);
    const known = this.tables.get(key);
    if (known) return known;
    if (level < 1 || this.tables.size >= MAX_TABLES) return undefined;
    const words = this.read(level, table);
    if (!words) return undefined;
    const scanned = this.scan(level, table, words);
    this.tables.set(key, scanned);
    return scanned;
  }

  /** A table as it was read, without reading it. */
  known(level: number, table: bigint): Scanned | undefined {
    return this.tables.get(keyOf(level, table));
  }

  entryOf(words: Uint32Array, index: number): bigint {
    return (BigInt(words[2 * index + 1] ?? 0) << 32n) | BigInt(words[2 * index] ?? 0);
  }

  /** What an entry says, but for its target: decoded once for all that differ in the frame only. */
  decode(level: number, entry: bigint, key: number): Decoded {
    const cached = this.decoded.get(key * 8 + level);
    if (cached) return cached;
    const decoded = this.source.decode(level, entry);
    this.decoded.set(key * 8 + level, decoded);
    return decoded;
  }

  private read(level: number, table: bigint): Uint32Array | undefined {
    const { source } = this;
    const count = source.entries(level);
    if (source.registers && level === source.top.level) {
      const words = new Uint32Array(2 * count);
      for (const [i, value] of source.registers.entries()) {
        words[2 * i] = Number(value & 0xffff_ffffn);
        words[2 * i + 1] = Number(value >> 32n);
      }
      return words;
    }
    const offset = source.locate(table);
    if (offset < 0) return undefined;
    const start = offset / 4;
    if (source.entryBytes === 8) return this.u32.slice(start, start + 2 * count);
    const words = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) words[2 * i] = this.u32[start + i] ?? 0;
    return words;
  }

  private scan(level: number, table: bigint, words: Uint32Array): Scanned {
    const { source } = this;
    const count = source.entries(level);
    const runs: Run[] = [];
    const span = 2 ** (source.shift(level) - 12);
    let leaves = 0;
    let rights = 0;
    let partial = false;
    // The run that grows: its last entry's halves, and what the next one must be.
    let run: Mutable<Run> | undefined;
    let key = 0;
    for (let i = 0; i < count; i++) {
      const low = words[2 * i] as number;
      const high = words[2 * i + 1] as number;
      if (low === 0 && high === 0) {
        run = undefined;
        continue;
      }
      const frame = (high & 0xf_ffff) * 0x10_0000 + (low >>> 12);
      const ownKey = (low & 0xfff) + (high >>> 19) * 4096;
      const decoded = this.decode(level, this.entryOf(words, i), ownKey);
      if (decoded.present && decoded.leaf) {
        const { last, step } = pagesFrom(words, i, count, span);
        runs.push({ first: i, last, entry: this.entryOf(words, i), decoded, frame, step, shape: undefined });
        leaves += last - i + 1;
        rights |= rightsOf(source, decoded);
        key = ownKey;
        run = undefined;
        i = last;
        continue;
      }
      const child = decoded.present
        ? this.table(level - 1, source.decode(level, this.entryOf(words, i)).target)
        : undefined;
      if (decoded.present) {
        leaves += child?.leaves ?? 0;
        rights |= rightsOf(source, decoded) & (child?.rights ?? 0);
        partial ||= child === undefined || child.partial;
      }
      if (run && ownKey === key && extend(run, i, frame, child?.shape)) continue;
      run = {
        first: i,
        last: i,
        entry: this.entryOf(words, i),
        decoded,
        frame,
        step: -1,
        shape: child?.shape,
      };
      key = ownKey;
      runs.push(run);
    }
    return { level, table, runs, shape: shapeOf(runs, count, level, key), leaves, rights, words, partial };
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Levels are at most 5, tables are frames. */
const keyOf = (level: number, table: bigint): number => Number(table >> 5n) * 8 + level;

/** The run of pages that begins at entry `first`: up to where an entry is neither the same nor one page on. This loop sees every entry. */
function pagesFrom(
  words: Uint32Array,
  first: number,
  count: number,
  span: number,
): { readonly last: number; readonly step: number } {
  let low = words[2 * first] as number;
  let high = words[2 * first + 1] as number;
  const isSame = words[2 * first + 2] === low && words[2 * first + 3] === high;
  const step = isSame ? 0 : span;
  let next = first + 1;
  for (; next < count; next++) {
    low += step * 4096;
    if (low >= 0x1_0000_0000) {
      low -= 0x1_0000_0000;
      high++;
    }
    if (words[2 * next] !== low || words[2 * next + 1] !== high) break;
  }
  return { last: next - 1, step: next - first > 1 ? step : -1 };
}

/** Whether a table, or an entry that is not present, goes on where the run ends; then the run has it. */
function extend(run: Mutable<Run>, i: number, frame: number, shape: Shape | undefined): boolean {
  if (!run.decoded.present) {
    // Marks and not-present entries: the same bits are the same.
    if (frame !== run.frame) return false;
    run.last = i;
    run.step = 0;
    return true;
  }
  const { shape: own } = run;
  if (!own || !shape || own.key !== shape.key || own.level !== shape.level) return false;
  // `own` stays the first table's shape; the run's step says how the tables follow each other.
  const distance = shape.frame - own.frame;
  const isNext = shape.step === own.step && distance === (own.step === 0 ? 0 : (i - run.first) * own.step * own.leaves);
  if (!isNext || shape.leaves !== own.leaves) return false;
  run.last = i;
  run.step = own.step;
  return true;
}

/** A table that is one run from its first entry to its last. */
function shapeOf(runs: readonly Run[], count: number, level: number, key: number): Shape | undefined {
  const [run] = runs;
  if (!run || runs.length > 1 || run.first !== 0 || run.last !== count - 1) return undefined;
  const { decoded, shape, step, frame } = run;
  if (!decoded.present) return undefined;
  if (decoded.leaf) return { key, level, frame, step, leaves: count };
  return shape && { ...shape, leaves: shape.leaves * count };
}
