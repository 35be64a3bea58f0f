import { PTE_P, PTE_RW } from '../../isa/entries';
import type { Result } from '../../base/result';
import { err, ok } from '../../base/result';
import type { RamRange, RamWrite } from './plan';

const PAGE = 4096n;
/** Holes between slots are mapped too, below this address: a guest reaches them as MMIO without editing its tables. */
const HOLES_BELOW = 1n << 32n;
const FLAGS = PTE_P | PTE_RW;

/** Prepared paging structures: their location, the value of CR3, and the frame below them for the GDT and TSS. */
export interface IdentityMap {
  readonly writes: readonly RamWrite[];
  readonly cr3: bigint;
  readonly descriptorFrame: bigint;
}

interface Shape {
  readonly levels: number;
  readonly indexBits: number;
  readonly entryBytes: 4 | 8;
}
const SHAPES = {
  flat32: { levels: 2, indexBits: 10, entryBytes: 4 },
  flat64: { levels: 4, indexBits: 9, entryBytes: 8 },
} as const satisfies Record<string, Shape>;

/**
 * A supervisor identity map of guest RAM in writable 4 KiB pages, in 32-bit paging (10/10/12) or four levels, at the top of the highest writable slot that is large enough:
 *
 *   … | GDT, TSS | root | next level … | page tables |  ← end of the slot
 */
export function identityMap(kind: keyof typeof SHAPES, ram: readonly RamRange[]): Result<IdentityMap, string> {
  const shape = SHAPES[kind];
  const spanOf = (level: number): bigint => PAGE << BigInt(shape.indexBits * level);
  // with four levels, linear addresses from 2^47 up to 2^48 are not canonical
  const limit = shape.entryBytes === 4 ? 1n << 32n : 1n << 47n;
  const ranges = mappedRanges(ram).filter((r) => r.start < limit);
  if (ranges.length === 0) return err('there is no guest RAM to start in');

  // the tables of each level (level 0: page tables), by the index of the span each maps
  const tables: Map<bigint, bigint>[] = [];
  let count = 0n;
  for (let level = 0; level < shape.levels; level++) {
    const span = spanOf(level + 1);
    const spans = new Set<bigint>();
    for (const r of ranges)
      for (let s = r.start / span; s <= (r.end - 1n) / span && s * span < limit; s++) spans.add(s);
    tables.push(new Map([...spans].map((s) => [s, 0n])));
    count += BigInt(spans.size);
  }
  const bytes = count * PAGE;
  const home = [...ram]
    .filter((r) => !r.readonly && r.size >= bytes + PAGE && r.gpa + r.size <= limit)
    .sort((a, b) => (a.gpa < b.gpa ? 1 : -1))[0];
  if (!home)
    return err(
      `guest RAM is too small: the prepared page tables and descriptors need ${(bytes + PAGE) / 1024n} KiB of one writable slot`,
    );

  const base = ((home.gpa + home.size) & ~(PAGE - 1n)) - bytes;
  let next = base;
  for (let level = shape.levels - 1; level >= 0; level--) {
    const of = tables[level] as Map<bigint, bigint>;
    for (const span of [...of.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      of.set(span, next);
      next += PAGE;
    }
  }

  const image = new Uint8Array(Number(bytes));
  const view = new DataView(image.buffer);
  const put = (table: bigint, index: bigint, entry: bigint): void => {
    const at = Number(table - base) + Number(index) * shape.entryBytes;
    if (shape.entryBytes === 8) view.setBigUint64(at, entry, true);
    else view.setUint32(at, Number(entry), true);
  };
  const mask = (1n << BigInt(shape.indexBits)) - 1n;
  for (const r of ranges) {
    for (let from = r.start; from < r.end && from < limit; from = (from / spanOf(1) + 1n) * spanOf(1)) {
      const to = [r.end, limit, (from / spanOf(1) + 1n) * spanOf(1)].reduce((a, b) => (a < b ? a : b));
      fillTable(
        view,
        Number((tables[0]?.get(from / spanOf(1)) as bigint) - base),
        shape,
        from,
        Number((to - from) / PAGE),
      );
    }
  }
  for (let level = 1; level < shape.levels; level++) {
    for (const [span, address] of tables[level - 1] as Map<bigint, bigint>)
      put(tables[level]?.get(span >> BigInt(shape.indexBits)) as bigint, span & mask, address | FLAGS);
  }
  return ok({ writes: [{ gpa: base, bytes: image }], cr3: base, descriptorFrame: base - PAGE });
}

/**
 * Entries for `pages` pages from `from` on, in the page table at `offset`: in 32-bit halves, since there may be
 * millions.
 */
function fillTable(view: DataView, offset: number, shape: Shape, from: bigint, pages: number): void {
  const first = Number((from / PAGE) & ((1n << BigInt(shape.indexBits)) - 1n));
  const high = Number(from >> 32n);
  const low = Number(from & 0xffff_ffffn) + Number(FLAGS);
  // a page table never crosses a 4 GiB boundary
  for (let i = 0; i < pages; i++) {
    const at = offset + (first + i) * shape.entryBytes;
    view.setUint32(at, low + i * 4096, true);
    if (shape.entryBytes === 8) view.setUint32(at + 4, high, true);
  }
}

/** Page-aligned ranges to map: every slot, joined over the holes between slots where these lie below 4 GiB. */
function mappedRanges(ram: readonly RamRange[]): { start: bigint; end: bigint }[] {
  const out: { start: bigint; end: bigint }[] = [];
  for (const r of [...ram].sort((a, b) => (a.gpa < b.gpa ? -1 : 1))) {
    const last = out[out.length - 1];
    if (last && r.gpa <= HOLES_BELOW) last.end = r.gpa + r.size;
    else out.push({ start: out.length === 0 && r.gpa <= HOLES_BELOW ? 0n : r.gpa, end: r.gpa + r.size });
  }
  return out;
}
