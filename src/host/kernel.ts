import type { Hpa } from '../base/address';
import { hpa } from '../base/address';
import { FrameAllocator } from '../hw/memory/frames';
import type { HostMemory } from '../hw/memory/host-memory';
import type { HostLevels } from './page-tables';
import { SwapArea } from './swap';

/**
 * The host kernel as far as memory is concerned: it owns every frame. Page tables, VMCSs and guest RAM all come from
 * its allocator.
 */
export class HostKernel {
  readonly frames: FrameAllocator;
  readonly swap: SwapArea;
  /** Counts of memory-management events. */
  readonly vmstat = emptyVmstat();
  /** Frames that same-page merging shares (KSM's stable tree), with the number of entries that map each. */
  private readonly merged = new Map<Hpa, number>();

  /**
   * @param swapPages 4 KiB pages of its swap area; default: as many as there are frames
   * @param seed of the order in which frames are allocated
   * @param levels of its page tables
   */
  constructor(
    readonly memory: HostMemory,
    swapPages = memory.frames,
    seed = 0,
    readonly levels: HostLevels = 4,
  ) {
    this.frames = new FrameAllocator(memory, seed);
    this.swap = new SwapArea(swapPages);
  }

  // ---- frames that several pages share

  /** Number of entries that map `frame` as a merged page; 0: it is not a merged page. */
  mergedCount(frame: Hpa): number {
    return this.merged.get(frame) ?? 0;
  }
  /** Adds one entry that maps the merged page. */
  shareFrame(frame: Hpa): void {
    this.merged.set(frame, this.mergedCount(frame) + 1);
  }
  /** put_page: an entry no longer maps these frames; they are freed unless another entry does. */
  putFrames(frame: Hpa, frames = 1): void {
    const left = this.mergedCount(frame) - 1;
    if (left > 0) this.merged.set(frame, left);
    else {
      this.merged.delete(frame);
      this.frames.free(frame, frames);
    }
  }

  /** The bytes of every frame in use. Unused frames need no saving: they are cleared when allocated. */
  save(): HostKernelState {
    const frames = this.frames.save();
    const content = new Uint8Array(this.frames.framesUsed * 4096);
    let at = 0;
    this.eachUsed(frames.used, (address) => {
      content.set(this.memory.read(address, 4096), at);
      at += 4096;
    });
    return { frames, content, swap: this.swap.save(), merged: [...this.merged], vmstat: { ...this.vmstat } };
  }

  restore(s: HostKernelState): void {
    this.frames.restore(s.frames);
    this.swap.restore(s.swap);
    Object.assign(this.vmstat, s.vmstat);
    this.merged.clear();
    for (const [frame, n] of s.merged) this.merged.set(frame, n);
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
  readonly swap: ReturnType<SwapArea['save']>;
  readonly merged: readonly (readonly [Hpa, number])[];
  readonly vmstat: Vmstat;
}

/** Counters by their names in /proc/vmstat; those that this model cannot count are omitted. */
export const VMSTAT = [
  'pgfault',
  'pgmajfault', // … that read from swap
  'pswpin',
  'pswpout',
  'allocstall', // an allocation that had to reclaim first
  'pgscan', // pages scanned by reclaim
  'pgsteal', // … and reclaimed
  'pgmigrate_success',
  'thp_fault_alloc',
  'thp_collapse_alloc',
  'thp_split_pmd',
  'oom_kill',
] as const;
export type Vmstat = Record<(typeof VMSTAT)[number], number>;
const emptyVmstat = (): Vmstat => Object.fromEntries(VMSTAT.map((n) => [n, 0])) as Vmstat;
