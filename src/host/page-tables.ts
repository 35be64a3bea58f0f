import type { Hpa, Hva } from '../base/address';
import { hpa, hva as asHva } from '../base/address';
import { invariant, must } from '../base/assert';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { FrameAllocator } from '../hw/memory/frames';
import type { HostMemory } from '../hw/memory/host-memory';
import { FRAME_MASK, PTE_A, PTE_P, PTE_PS, PTE_RW, PTE_US } from '../isa/entries';
import type { TableAccess } from '../trace/step';

/** Levels of the host's tables: five if its processor has LA57 (pgtable_l5_enabled). */
export type HostLevels = 4 | 5;
/** Entries in a table. */
export const TABLE_ENTRIES = 512;

/** log2 of the bytes that one entry at `level` spans: 12, 21, 30, 39, 48. */
export const levelShift = (level: number): number => 12 + 9 * (level - 1);
/** Bytes that one entry at `level` spans. */
export const levelSize = (level: number): bigint => 1n << BigInt(levelShift(level));
/** Index into the table of `level` for `address` (nine bits). */
export const levelIndex = (address: bigint, level: number): number =>
  Number((address >> BigInt(levelShift(level))) & 0x1ffn);

/**
 * Flags of the entries above the leaf, as in Linux's _PAGE_TABLE: P, R/W, U/S, A (and D, which is ignored there and
 * omitted).
 */
const TABLE_FLAGS = PTE_P | PTE_RW | PTE_US | PTE_A;

/** Where a descent through the tables ended. */
export interface Leaf {
  readonly address: Hpa;
  readonly entry: bigint;
  /** 1: 4 KiB, 2: 2 MiB, 3: 1 GiB. */
  readonly level: number;
}

export interface Descent {
  /** Entries read, root first. The last is the leaf, or the entry that was not present. */
  readonly reads: readonly TableAccess[];
  readonly leaf: Leaf | undefined;
}

/**
 * The page tables of one host process: real 4-level or 5-level tables (SDM vol. 3, 4.5) in host memory, edited the
 * way the kernel's mm/ edits them.
 * The root's HPA is the value of CR3 while the process runs.
 */
export class HostPageTables {
  constructor(
    private readonly memory: HostMemory,
    private readonly frames: FrameAllocator,
    readonly root: Hpa,
    readonly levels: HostLevels,
  ) {}

  /** The kernel's software descent (gup_fast, pte_offset_map): reads entries, changes nothing. */
  descend(hva: Hva): Descent {
    const reads: TableAccess[] = [];
    let table = this.root;
    for (let level: number = this.levels; ; level--) {
      const { address, index } = this.entryAt(table, hva, level);
      const entry = this.memory.read64(address);
      reads.push({ table: 'host', level, index, address, value: entry });
      if ((entry & PTE_P) === 0n) return { reads, leaf: undefined };
      if (level === 1 || (entry & PTE_PS) !== 0n) return { reads, leaf: { address, entry, level } };
      table = hpa(entry & FRAME_MASK);
    }
  }

  /**
   * Installs `entry` as the leaf for `hva` at `level`, allocating the tables above it. Returns the writes in order;
   * fails when no frame is left for a table (tables allocated by then stay, empty, as in Linux).
   */
  map(hva: Hva, level: number, entry: bigint): Result<readonly TableAccess[], 'no-memory'> {
    const writes: TableAccess[] = [];
    let table = this.root;
    for (let l: number = this.levels; l > level; l--) {
      const at = this.entryAt(table, hva, l);
      const current = this.memory.read64(at.address);
      if ((current & PTE_P) !== 0n) {
        invariant((current & PTE_PS) === 0n, 'a host page is mapped below no larger page');
        table = hpa(current & FRAME_MASK);
        continue;
      }
      const child = this.frames.allocate();
      if (child === undefined) return err('no-memory');
      writes.push(this.write(at.address, l, at.index, child | TABLE_FLAGS));
      table = child;
    }
    const at = this.entryAt(table, hva, level);
    writes.push(this.write(at.address, level, at.index, entry));
    return ok(writes);
  }

  /** Replaces a leaf found by `descend`. */
  update(hva: Hva, leaf: Leaf, entry: bigint): TableAccess {
    return this.write(leaf.address, leaf.level, levelIndex(hva, leaf.level), entry);
  }

  /** The 4 KiB entry for `hva`, present or not; undefined if there is no last-level table. */
  pte(hva: Hva): Leaf | undefined {
    const last = this.descend(hva).reads.at(-1);
    return last?.level === 1 ? { address: last.address, entry: last.value, level: 1 } : undefined;
  }

  /** The same entries one by one, read on demand: changes made in between are seen. */
  *leaves(start: Hva, end: Hva): Generator<{ readonly at: Hva; readonly leaf: Leaf }, void, void> {
    for (let at: bigint = start; at < end;) {
      const last = must(this.descend(asHva(at)).reads.at(-1), 'a descent reads the root');
      // an absent entry at a high level spans its whole range: skip it in one step
      const size = levelSize(last.level);
      const first = at & ~(size - 1n);
      if (last.value !== 0n)
        yield { at: asHva(first), leaf: { address: last.address, entry: last.value, level: last.level } };
      at = first + size;
    }
  }

  /**
   * Visits each leaf that maps part of the range, and each entry of a page that is not in memory, with the first HVA
   * it covers.
   */
  each(start: Hva, end: Hva, visit: (at: Hva, leaf: Leaf) => void): void {
    for (const { at, leaf } of this.leaves(start, end)) visit(at, leaf);
  }

  /** __split_huge_pmd: a table of 512 entries with the same frames and flags replaces a 2 MiB leaf. */
  split(hva: Hva, leaf: Leaf): Result<TableAccess, 'no-memory'> {
    invariant(leaf.level === 2, 'only 2 MiB leaves are split');
    const table = this.frames.allocate();
    if (table === undefined) return err('no-memory');
    const small = leaf.entry & ~PTE_PS;
    for (let i = 0; i < TABLE_ENTRIES; i++) this.memory.write64(hpa(table + BigInt(i * 8)), small + (BigInt(i) << 12n));
    return ok(this.update(hva, leaf, table | TABLE_FLAGS));
  }

  /**
   * The last part of collapse_huge_page: a 2 MiB leaf replaces the last-level table, which returns to the allocator.
   */
  collapse(hva: Hva, entry: bigint): TableAccess {
    const read = must(
      this.descend(hva).reads.find((r) => r.level === 2),
      'a last-level table hangs below an entry of level 2',
    );
    const write = this.update(hva, { address: read.address, entry: read.value, level: 2 }, entry);
    this.frames.free(hpa(read.value & FRAME_MASK));
    return write;
  }

  /** Whether a table exists where a leaf of `level` would go: then only smaller pages can be mapped there. */
  hasTable(hva: Hva, level: number): boolean {
    const { reads, leaf } = this.descend(hva);
    return leaf === undefined ? reads.some((r) => r.level < level) : leaf.level < level;
  }

  private entryAt(table: Hpa, hva: Hva, level: number): { address: Hpa; index: number } {
    const index = levelIndex(hva, level);
    return { address: hpa(table + BigInt(index * 8)), index };
  }

  private write(address: Hpa, level: number, index: number, value: bigint): TableAccess {
    const previous = this.memory.read64(address);
    this.memory.write64(address, value);
    return { table: 'host', level, index, address, value, previous };
  }
}
