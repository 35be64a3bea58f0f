import type { HostMemory } from '../memory/host-memory';
import type { Block } from './block';
import type { CodeMode } from './lift/emitter';

const QUICK = 4096;

/** A number for a code mode: 0–2 for each of code and stack width. */
export const modeId = (m: CodeMode): number => (m.bits >>> 5) * 3 + (m.stackBits >>> 5);

/**
 * Decoded blocks by the physical place of their first byte. A store into a block's bytes drops it. Pages with blocks are marked in
 * `memory.codeFrames`, which sends stores to them the slow way.
 */
export class BlockCache {
  private readonly blocks = new Map<number, Block>();
  private readonly byFrame = new Map<number, Block[]>();
  private readonly quick: (Block | undefined)[] = new Array<Block | undefined>(QUICK).fill(undefined);
  private readonly pageListeners: ((offset: number, code: boolean) => void)[] = [];

  constructor(private readonly memory: HostMemory) {
    memory.onCodeWrite((at, length) => this.written(at, length));
  }

  /** Told when a page (by the offset of its first byte) starts or ceases to hold blocks. */
  onCodePage(listener: (offset: number, code: boolean) => void): void {
    this.pageListeners.push(listener);
  }

  /** `single`: a block of exactly one instruction, for stepping. */
  key(offset: number, mode: number, single: boolean): number {
    return (offset * 16 + mode) * 2 + (single ? 1 : 0);
  }

  find(offset: number, mode: number, single: boolean): Block | undefined {
    const key = this.key(offset, mode, single);
    const slot = (offset ^ (mode << 7) ^ (single ? 2048 : 0)) & (QUICK - 1);
    const quick = this.quick[slot];
    if (quick !== undefined && quick.key === key && quick.valid) return quick;
    const block = this.blocks.get(key);
    if (block !== undefined) this.quick[slot] = block;
    return block;
  }

  add(block: Block): void {
    const old = this.blocks.get(block.key);
    if (old) this.drop(old);
    this.blocks.set(block.key, block);
    this.attach(this.memory.frameOf(block.offset), block);
    if (block.secondPage >= 0) this.attach(this.memory.frameOf(block.secondPage), block);
  }
  private attach(frame: number, block: Block): void {
    const list = this.byFrame.get(frame);
    if (list) list.push(block);
    else {
      this.byFrame.set(frame, [block]);
      this.memory.codeFrames[frame] = 1;
      const page =
        (block.secondPage >= 0 && this.memory.frameOf(block.secondPage) === frame ? block.secondPage : block.offset) &
        ~0xfff;
      for (const l of this.pageListeners) l(page >>> 0, true);
    }
  }

  /** Drops the blocks that bytes [at, at + length) of the machine's memory belong to. */
  private written(at: number, length: number): void {
    for (let frame = this.memory.frameOf(at); frame <= this.memory.frameOf(at + length - 1); frame++) {
      for (const b of this.byFrame.get(frame)?.slice() ?? []) {
        const firstPart = b.secondPage >= 0 ? 4096 - (b.offset & 0xfff) : b.length;
        const hitsFirst = at < b.offset + firstPart && b.offset < at + length;
        const hitsSecond = b.secondPage >= 0 && at < b.secondPage + b.length - firstPart && b.secondPage < at + length;
        if (hitsFirst || hitsSecond) this.drop(b);
      }
    }
  }
  private drop(block: Block): void {
    block.valid = false;
    this.blocks.delete(block.key);
    this.detach(this.memory.frameOf(block.offset), block, block.offset);
    if (block.secondPage >= 0) this.detach(this.memory.frameOf(block.secondPage), block, block.secondPage);
  }
  private detach(frame: number, block: Block, at: number): void {
    const list = this.byFrame.get(frame);
    if (!list) return;
    const i = list.indexOf(block);
    if (i >= 0) list.splice(i, 1);
    if (list.length > 0) return;
    this.byFrame.delete(frame);
    this.memory.codeFrames[frame] = 0;
    for (const l of this.pageListeners) l((at & ~0xfff) >>> 0, false);
  }

  /** Forgets everything: memory was replaced by a snapshot's. */
  clear(): void {
    for (const b of [...this.blocks.values()]) this.drop(b);
    this.quick.fill(undefined);
  }
}
