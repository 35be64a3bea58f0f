import type { DebugTarget } from '../session/api';
import type { SpaceAddress } from '../session/types';

/** A client's read of memory: its own name for the location, and the bytes that it saw. */
interface Region {
  readonly reference: string;
  readonly offset: number;
  readonly at: SpaceAddress;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Limit on the bytes of reads kept for comparison; older ones are dropped. */
const MOST_KEPT = 1 << 20;
const MOST_REGIONS = 256;

export interface MemoryChange {
  readonly memoryReference: string;
  readonly offset: number;
  readonly count: number;
}

/**
 * What the client has read at this stop. One byte has many names (one or more GVAs, GPA, HVA, HPA), and writing a
 * table entry moves whole pages: the effect of an edit is found by reading what the client shows again.
 */
export class MemoryWatch {
  private readonly regions = new Map<string, Region>();
  private kept = 0;

  note(reference: string, offset: number, at: SpaceAddress, count: number, bytes: Uint8Array): void {
    const key = `${reference} ${offset} ${count}`;
    this.forget(key);
    if (bytes.length > MOST_KEPT) return;
    this.regions.set(key, { reference, offset, at, count, bytes: bytes.slice() });
    this.kept += bytes.length;
    for (const oldest of this.regions.keys()) {
      if (this.kept <= MOST_KEPT && this.regions.size <= MOST_REGIONS) break;
      this.forget(oldest);
    }
  }
  clear(): void {
    this.regions.clear();
    this.kept = 0;
  }

  /**
   * The ranges that differ from what the client read; from here on they count as reported. `known`: the client knows
   * of that one already.
   */
  changes(target: DebugTarget, known?: MemoryChange): readonly MemoryChange[] {
    const out: MemoryChange[] = [];
    for (const { reference, offset, at, count, bytes } of [...this.regions.values()]) {
      const now = target.memory.read(at, count).bytes;
      const range = differing(bytes, now);
      if (!range) continue;
      const change = { memoryReference: reference, offset: offset + range.from, count: range.to - range.from };
      if (!known || !isWithin(change, known)) out.push(change);
      this.note(reference, offset, at, count, now);
    }
    return out;
  }

  private forget(key: string): void {
    this.kept -= this.regions.get(key)?.bytes.length ?? 0;
    this.regions.delete(key);
  }
}

const isWithin = (a: MemoryChange, b: MemoryChange): boolean =>
  a.memoryReference === b.memoryReference && a.offset >= b.offset && a.offset + a.count <= b.offset + b.count;

/** The range from the first to the last byte that differ; where one ends early, up to the end of the other. */
function differing(a: Uint8Array, b: Uint8Array): { from: number; to: number } | undefined {
  const shared = Math.min(a.length, b.length);
  let from = 0;
  while (from < shared && a[from] === b[from]) from++;
  let to = Math.max(a.length, b.length);
  if (from === to) return undefined;
  if (a.length === b.length) while (to > from && a[to - 1] === b[to - 1]) to--;
  return { from, to };
}
