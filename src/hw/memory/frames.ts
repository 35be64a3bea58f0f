import type { Hpa } from '../../base/address';
import { hpa } from '../../base/address';
import type { HostMemory } from './host-memory';

const FRAMES_2M = 512;

/**
 * The host's frame allocator. Single frames are handed out in a scattered but deterministic order (a full-period linear
 * congruence over the lower half of memory first), so that a GPA is never mistaken for an HPA and large-page eligibility is
 * a real question. Aligned 2 MiB and 1 GiB runs come from the top.
 */
export class FrameAllocator {
  private readonly used: Uint8Array;
  private readonly lower: number;
  private readonly increment: number;
  private cursor: number;
  private upperCursor: number;
  private usedCount = 0;
  /** Free frames of the lower half: without any, looking for one is not worth a whole period. */
  private lowerFree: number;

  /** @param seed another one gives another order; it does not bear on aligned runs */
  constructor(
    private readonly memory: HostMemory,
    seed = 0,
  ) {
    this.used = new Uint8Array(memory.frames);
    this.lower = powerOfTwoAtMost(Math.max(1, memory.frames >> 1));
    // odd whatever the seed is, which the period wants
    this.increment = (0x9e37 + 2 * (Math.imul(seed, 0x9e37_79b1) >>> 8)) | 0;
    this.cursor = (0x2b3 + (Math.imul(seed, 0x85eb_ca6b) >>> 8)) % this.lower;
    this.upperCursor = this.lower;
    this.lowerFree = this.lower;
  }

  get framesUsed(): number {
    return this.usedCount;
  }
  get framesFree(): number {
    return this.used.length - this.usedCount;
  }

  isUsed(address: Hpa): boolean {
    return this.used[this.index(address)] === 1;
  }

  /** A zeroed 4 KiB frame, or undefined when host memory is exhausted. */
  allocate(): Hpa | undefined {
    for (let i = 0; i < this.lower && this.lowerFree > 0; i++) {
      const f = this.cursor;
      // a ≡ 1 (mod 4) and odd c: full period modulo a power of two
      this.cursor = (Math.imul(this.cursor, 0x2545) + this.increment) & (this.lower - 1);
      if (!this.used[f]) return this.take(f, 1);
    }
    for (; this.upperCursor < this.used.length; this.upperCursor++) {
      if (!this.used[this.upperCursor]) return this.take(this.upperCursor, 1);
    }
    this.upperCursor = this.lower;
    const f = this.used.indexOf(0, this.lower);
    return f < 0 ? undefined : this.take(f, 1);
  }

  /** A zeroed, naturally aligned run of `frames` (512 = 2 MiB, 262144 = 1 GiB), or undefined when there is none. */
  allocateAligned(frames: number): Hpa | undefined {
    const firstFrame = Number((this.memory.base >> 12n) % BigInt(frames));
    const skew = (frames - firstFrame) % frames;
    const last = skew + Math.floor((this.used.length - skew) / frames) * frames - frames;
    for (let f = last; f >= 0; f -= frames) {
      if (this.isFree(f, frames)) return this.take(f, frames);
    }
    return undefined;
  }

  /** Takes exactly the frame at `address`; false when it is outside memory or in use. */
  reserve(address: Hpa): boolean {
    if (!this.memory.contains(address, 4096) || this.used[this.index(address)]) return false;
    this.take(this.index(address), 1);
    return true;
  }

  free(address: Hpa, frames = 1): void {
    const f = this.index(address);
    for (let i = 0; i < frames; i++) {
      if (this.used[f + i]) {
        this.used[f + i] = 0;
        this.usedCount--;
        if (f + i < this.lower) this.lowerFree++;
      }
    }
  }

  save(): { readonly used: Uint8Array; readonly cursor: number; readonly upperCursor: number } {
    return { used: this.used.slice(), cursor: this.cursor, upperCursor: this.upperCursor };
  }
  restore(s: ReturnType<FrameAllocator['save']>): void {
    this.used.set(s.used);
    this.cursor = s.cursor;
    this.upperCursor = s.upperCursor;
    this.usedCount = this.used.reduce((n, u) => n + u, 0);
    this.lowerFree = this.used.subarray(0, this.lower).reduce((n, u) => n - u, this.lower);
  }

  private index(address: Hpa): number {
    return Number((address - this.memory.base) >> 12n);
  }
  private isFree(f: number, frames: number): boolean {
    for (let i = 0; i < frames; i++) if (this.used[f + i]) return false;
    return true;
  }
  private take(f: number, frames: number): Hpa {
    this.used.fill(1, f, f + frames);
    this.usedCount += frames;
    this.lowerFree -= Math.max(0, Math.min(f + frames, this.lower) - f);
    const a = hpa(this.memory.base + BigInt(f) * 4096n);
    this.memory.fill(a, frames * 4096, 0);
    return a;
  }
}

function powerOfTwoAtMost(n: number): number {
  return 2 ** Math.floor(Math.log2(n));
}

/** Frames in a 2 MiB run. */
export const FRAMES_PER_2M = FRAMES_2M;
/** Frames in a 1 GiB run. */
export const FRAMES_PER_1G = FRAMES_2M * 512;
