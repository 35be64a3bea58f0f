import type { Hva } from '../base/address';
import { hva } from '../base/address';
import { invariant } from '../base/assert';
import { PTE_A, PTE_D, PTE_P, PTE_PS, PTE_RW, PTE_US, PTE_XD } from '../isa/entries';

/** PROT_READ, PROT_WRITE, PROT_EXEC. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
  readonly exec: boolean;
}
export const READ_WRITE: Protection = { read: true, write: true, exec: false };

/**
 * What backs a mapping: base pages, base pages that may become transparent huge ones, or hugetlbfs pages of one size.
 */
export type Backing = '4k' | 'thp' | '2m' | '1g';

/** Alignment in bytes that a backing requires of a mapping's bounds. */
export const BACKING_SIZE: Readonly<Record<Backing, bigint>> = {
  '4k': 1n << 12n,
  thp: 1n << 12n,
  '2m': 1n << 21n,
  '1g': 1n << 30n,
};

/** One virtual memory area: a half-open range of a process's address space with one protection and one backing. */
export interface Vma {
  readonly start: Hva;
  readonly end: Hva;
  readonly protection: Protection;
  readonly backing: Backing;
  /** The name in /proc/PID/maps. */
  readonly name: string;
}

/** vm_page_prot, with accessed and, for a writable page, dirty preset. */
export function pageFlags(vma: Vma, level: number): bigint {
  return (
    PTE_P |
    PTE_US |
    PTE_A |
    (vma.protection.write ? PTE_RW | PTE_D : 0n) |
    (vma.protection.exec ? 0n : PTE_XD) |
    (level > 1 ? PTE_PS : 0n)
  );
}

/** The VMAs of a process, sorted and disjoint (the kernel's maple tree). */
export class VmaSet {
  private areas: readonly Vma[] = [];

  get all(): readonly Vma[] {
    return this.areas;
  }

  find(address: Hva): Vma | undefined {
    return this.areas.find((v) => address >= v.start && address < v.end);
  }

  overlapping(start: Hva, end: Hva): readonly Vma[] {
    return this.areas.filter((v) => v.start < end && v.end > start);
  }

  insert(vma: Vma): void {
    invariant(this.overlapping(vma.start, vma.end).length === 0, 'a new VMA overlaps none');
    this.areas = [...this.areas, vma].sort((a, b) => (a.start < b.start ? -1 : 1));
  }

  /**
   * Removes [start, end) and inserts the result of `change` for each removed piece; VMAs that straddle a bound are
   * split there.
   */
  replace(start: Hva, end: Hva, change: (piece: Vma) => Vma | undefined): void {
    const out: Vma[] = [];
    for (const v of this.areas) {
      if (v.end <= start || v.start >= end) {
        out.push(v);
        continue;
      }
      if (v.start < start) out.push({ ...v, end: start });
      const piece = change({ ...v, start: v.start > start ? v.start : start, end: v.end < end ? v.end : end });
      if (piece) out.push(piece);
      if (v.end > end) out.push({ ...v, start: end });
    }
    this.areas = out;
  }

  /** The lowest free range of `length` bytes at or above `from`, aligned to `alignment`. */
  gap(from: Hva, length: bigint, alignment: bigint): Hva {
    let start = alignUp(from, alignment);
    for (const v of this.areas) {
      if (v.end <= start) continue;
      if (v.start >= start + length) break;
      start = alignUp(v.end, alignment);
    }
    return hva(start);
  }

  save(): readonly Vma[] {
    return this.areas;
  }
  restore(areas: readonly Vma[]): void {
    this.areas = areas;
  }
}

const alignUp = (a: bigint, alignment: bigint): bigint => (a + alignment - 1n) & ~(alignment - 1n);
