/** Page tables laid out by hand for tests: a host memory, a bump allocator of frames, and writers for ordinary and EPT mappings. */
import { hpa, type Hpa } from '../../../src/base/address';
import type { HostMemory } from '../../../src/hw/memory/host-memory';

export class TableBuilder {
  private nextFrame: bigint;
  constructor(
    readonly memory: HostMemory,
    first: bigint,
  ) {
    this.nextFrame = first;
  }
  frame(): bigint {
    const f = this.nextFrame;
    this.nextFrame += 4096n;
    return f;
  }
  /**
   * Maps one page in 4- or 5-level ordinary tables at `root`. `flags` go into the leaf, `tableFlags` into entries above it. `at` turns a table's address in its own space into an HPA.
   * Returns the leaf entry's address in the table's space.
   */
  map(
    root: bigint,
    linear: bigint,
    target: bigint,
    flags: bigint,
    options: { level?: number; levels?: number; tableFlags?: bigint; at?: (a: bigint) => Hpa } = {},
  ): bigint {
    const { level = 1, levels = 4, tableFlags = 7n, at = hpa } = options;
    let table = root;
    for (let l = levels; ; l--) {
      const entry = table + ((linear >> BigInt(12 + 9 * (l - 1))) & 0x1ffn) * 8n;
      if (l === level) {
        this.memory.write64(at(entry), target | flags);
        return entry;
      }
      const old = this.memory.read64(at(entry));
      if ((old & 7n) === 0n) this.memory.write64(at(entry), this.frame() | tableFlags);
      table = this.memory.read64(at(entry)) & 0x000f_ffff_ffff_f000n;
    }
  }
}
