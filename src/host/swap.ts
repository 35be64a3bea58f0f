import { invariant } from '../base/assert';

/**
 * A page-table entry that is not present and records where the page is (arch/x86/include/asm/pgtable_64.h,
 * __swp_entry):
 *
 *    63..59  58..9       8..1  0
 *   |type   | ~offset   | 0   |P = 0|
 *
 * The offset is stored inverted, so a CPU that speculates past P = 0 finds an address without memory (L1TF).
 */
const TYPE_SHIFT = 59n;
const OFFSET_SHIFT = 9n;
const OFFSET_MASK = (1n << 50n) - 1n;

/**
 * Types of such entries: the first swap area, and pages under migration (include/linux/swap.h; the numbers are those
 * of a kernel with device-private memory).
 */
export const SWP_TYPE = { SWAP: 0, MIGRATION_READ: 25, MIGRATION_WRITE: 27 } as const;

export const swapEntry = (type: number, offset: bigint): bigint =>
  (BigInt(type) << TYPE_SHIFT) | ((~offset & OFFSET_MASK) << OFFSET_SHIFT);
/** The slot named by a swap entry; undefined: not a swap entry. */
export function swapSlotOf(entry: bigint): number | undefined {
  if (entry === 0n || (entry & 1n) !== 0n || entry >> TYPE_SHIFT !== BigInt(SWP_TYPE.SWAP)) return undefined;
  return Number(~(entry >> OFFSET_SHIFT) & OFFSET_MASK);
}

/** The host's swap area: pages on a disk outside host physical memory. */
export class SwapArea {
  private readonly slots = new Map<number, Uint8Array>();
  /** No slot below this one is free. */
  private lowest = 0;

  /** @param capacity pages */
  constructor(readonly capacity: number) {}

  get used(): number {
    return this.slots.size;
  }

  /**
   * Writes a page out and returns its slot, or undefined if swap is full. The bytes are kept by reference, not
   * copied.
   */
  write(page: Uint8Array): number | undefined {
    if (this.slots.size >= this.capacity) return undefined;
    let slot = this.lowest;
    while (this.slots.has(slot)) slot++;
    this.slots.set(slot, page);
    this.lowest = slot + 1;
    return slot;
  }
  read(slot: number): Uint8Array {
    const page = this.slots.get(slot);
    invariant(page !== undefined, 'a swap entry names a slot in use');
    return page;
  }
  free(slot: number): void {
    this.slots.delete(slot);
    if (slot < this.lowest) this.lowest = slot;
  }

  save(): readonly (readonly [number, Uint8Array])[] {
    return [...this.slots];
  }
  restore(saved: ReturnType<SwapArea['save']>): void {
    this.slots.clear();
    this.lowest = 0;
    for (const [slot, page] of saved) this.slots.set(slot, page);
  }
}
