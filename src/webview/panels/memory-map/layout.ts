/**
 * Where everything stands in the memory map: three columns (GPA, HVA, HPA), each in the order of its addresses, and the ribbons from one to the next. Heights
 * go by the logarithm of the size, for a page and a slot of a gigabyte are to be seen in one picture. Numbers only; drawing.ts draws them.
 */
import type { Interval, MemoryMapReply, MemoryRun, VmaInfo } from '../../../protocol/memory-map';

export type ColumnName = 'gpa' | 'hva' | 'hpa';

export interface Block {
  readonly column: ColumnName;
  /**
   * run: pages of a slot. hole: guest physical addresses of no slot. unslotted: a part of a VMA that no slot maps. gap: addresses of nobody, not to scale. swap: pages that are
   * in the swap area. frames: several runs of host memory, not told apart.
   */
  readonly kind: 'run' | 'hole' | 'unslotted' | 'gap' | 'swap' | 'frames';
  readonly top: number;
  readonly height: number;
  /** [from, to); absent for `swap` and `frames`. */
  readonly from?: bigint;
  readonly to?: bigint;
  /** Indices into the reply's runs. */
  readonly runs: readonly number[];
}

/** A band from a block's right edge to one of the next column. */
export interface Ribbon {
  readonly run: number;
  readonly from: ColumnName;
  readonly y0: number;
  readonly h0: number;
  readonly y1: number;
  readonly h1: number;
}

export interface Layout {
  readonly blocks: readonly Block[];
  readonly ribbons: readonly Ribbon[];
  readonly height: number;
}

const PAGE = 4096;
const SPACE = 2;
const LEAST = 7;
const PER_DOUBLING = 4;
const GAP_HEIGHT = 12;
const HOLE_HEIGHT = 20;

const heightOf = (size: bigint): number =>
  Math.round(LEAST + PER_DOUBLING * Math.log2(Math.max(1, Number(size) / PAGE)));
const endOf = (start: string, size: string): bigint => BigInt(start) + BigInt(size);

type Part = Omit<Block, 'top' | 'column'>;

function stack(column: ColumnName, parts: readonly Part[]): { readonly blocks: Block[]; readonly height: number } {
  let top = 0;
  const blocks = parts.map((part) => {
    const block = { ...part, column, top };
    top += part.height + SPACE;
    return block;
  });
  return { blocks, height: Math.max(0, top - SPACE) };
}

const runPart = (start: bigint, { size }: MemoryRun, index: number): Part => ({
  kind: 'run',
  height: heightOf(BigInt(size)),
  from: start,
  to: start + BigInt(size),
  runs: [index],
});

/** Guest physical memory: the runs and the holes between the slots. */
function gpaParts(runs: readonly MemoryRun[], holes: readonly Interval[]): Part[] {
  const parts = [
    ...runs.map((run, i) => runPart(BigInt(run.gpa), run, i)),
    ...holes.map(({ from, to }): Part => ({
      kind: 'hole',
      height: HOLE_HEIGHT,
      from: BigInt(from),
      to: BigInt(to),
      runs: [],
    })),
  ];
  return parts.sort(byFrom);
}

const byFrom = (a: Part, b: Part): number => ((a.from ?? 0n) < (b.from ?? 0n) ? -1 : 1);

/** The VMM's address space: the runs, what of the VMAs no slot maps, and gaps between VMAs. */
function hvaParts(runs: readonly MemoryRun[], vmas: readonly VmaInfo[], whole: boolean): Part[] {
  const parts = runs.map((run, i) => runPart(BigInt(run.hva), run, i)).sort(byFrom);
  const all: Part[] = [];
  // Of a part of memory only its runs are shown: what else the VMAs hold is not of it.
  if (whole)
    for (const vma of vmas) {
      let at = BigInt(vma.start);
      const end = BigInt(vma.end);
      for (const part of parts) {
        const [from, to] = [part.from ?? 0n, part.to ?? 0n];
        if (to <= at || from >= end) continue;
        if (from > at) all.push(unslotted(at, from));
        at = to;
      }
      if (at < end) all.push(unslotted(at, end));
    }
  return withGaps([...parts, ...all].sort(byFrom));
}
const unslotted = (from: bigint, to: bigint): Part => ({
  kind: 'unslotted',
  height: heightOf(to - from),
  from,
  to,
  runs: [],
});

function withGaps(parts: readonly Part[]): Part[] {
  return parts.flatMap((part, i) => {
    const before = parts[i - 1];
    if (!before || before.to === undefined || part.from === undefined || before.to >= part.from) return [part];
    return [{ kind: 'gap', height: GAP_HEIGHT, from: before.to, to: part.from, runs: [] }, part];
  });
}

/** Host physical memory: the frames of the runs (shared ones once), frames that are not told apart, and the swap area. */
function hpaParts(runs: readonly MemoryRun[]): Part[] {
  const byFrame = new Map<string, number[]>();
  const lumped: number[] = [];
  const swapped: number[] = [];
  runs.forEach((run, i) => {
    if (run.state === 'swapped') swapped.push(i);
    else if (run.state === 'resident' && run.hpa === undefined) lumped.push(i);
    else if (run.hpa !== undefined) byFrame.set(run.hpa, [...(byFrame.get(run.hpa) ?? []), i]);
  });
  const frames = [...byFrame].map(([hpa, indices]): Part => {
    const size = indices.map((i) => BigInt(runs[i]?.size ?? 0)).reduce((a, b) => (a > b ? a : b), 0n);
    return { kind: 'run', height: heightOf(size), from: BigInt(hpa), to: BigInt(hpa) + size, runs: indices };
  });
  const sum = (indices: readonly number[]): bigint =>
    indices.reduce((total, i) => total + BigInt(runs[i]?.size ?? 0), 0n);
  const others: Part[] = [
    ...(lumped.length > 0 ? [{ kind: 'frames', height: heightOf(sum(lumped)) + 8, runs: lumped } as const] : []),
    ...(swapped.length > 0 ? [{ kind: 'swap', height: heightOf(sum(swapped)) + 12, runs: swapped } as const] : []),
  ];
  return [...withGaps(frames.sort(byFrom)), ...others];
}

export function layout({ runs, holes, vmas }: MemoryMapReply, whole: boolean): Layout {
  const columns = [
    stack('gpa', gpaParts(runs, whole ? holes : [])),
    stack('hva', hvaParts(runs, vmas, whole)),
    stack('hpa', hpaParts(runs)),
  ] as const;
  const [gpa, hva, hpa] = columns.map(({ blocks }) => placesOf(blocks)) as [Places, Places, Places];
  return {
    blocks: columns.flatMap(({ blocks }) => blocks),
    ribbons: runs.flatMap((_, i) => [...ribbon(i, 'gpa', gpa, hva), ...ribbon(i, 'hva', hva, hpa)]),
    height: Math.max(...columns.map(({ height }) => height)),
  };
}

type Places = ReadonlyMap<number, { readonly y: number; readonly h: number }>;

/** Where each run lies in a column. Runs that one block stands for share its height, but for a shared frame, which each of them has whole. */
function placesOf(blocks: readonly Block[]): Places {
  const places = new Map<number, { y: number; h: number }>();
  for (const { runs, top, height, kind } of blocks)
    runs.forEach((run, i) => {
      const h = kind === 'run' ? height : height / runs.length;
      places.set(run, { y: kind === 'run' ? top : top + i * h, h });
    });
  return places;
}

function ribbon(run: number, from: ColumnName, left: Places, right: Places): Ribbon[] {
  const [a, b] = [left.get(run), right.get(run)];
  return a && b ? [{ run, from, y0: a.y, h0: a.h, y1: b.y, h1: b.h }] : [];
}

export const slotEnd = ({ gpa, size }: { readonly gpa: string; readonly size: string }): bigint => endOf(gpa, size);
