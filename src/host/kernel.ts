import { hpa } from '../base/address';
import { FrameAllocator } from '../hw/memory/frames';
import type { HostMemory } from '../hw/memory/host-memory';

/** The host kernel, as far as memory is concerned: it owns every frame. Page tables, VMCSs and guest RAM all come from its allocator. */
export class HostKernel {
  readonly frames: FrameAllocator;

  constructor(readonly memory: HostMemory) {
    this.frames = new FrameAllocator(memory);
  }

  /**
   * The bytes of every frame in use. Frames not in use need no saving: they are cleared when they are handed out.
   */
  save(): HostKernelState {
    const frames = this.frames.save();
    const content = new Uint8Array(this.frames.framesUsed * 4096);
    let at = 0;
    this.eachUsed(frames.used, (address) => {
      content.set(this.memory.read(address, 4096), at);
      at += 4096;
    });
    return { frames, content };
  }

  restore(s: HostKernelState): void {
    this.frames.restore(s.frames);
    let at = 0;
    this.eachUsed(s.frames.used, (address) => {
      this.memory.write(address, s.content.subarray(at, at + 4096));
      at += 4096;
    });
  }

  private eachUsed(used: Uint8Array, visit: (address: ReturnType<typeof hpa>) => void): void {
    for (let f = used.indexOf(1); f >= 0; f = used.indexOf(1, f + 1)) visit(hpa(this.memory.base + BigInt(f) * 4096n));
  }
}

export interface HostKernelState {
  readonly frames: ReturnType<FrameAllocator['save']>;
  readonly content: Uint8Array;
}
