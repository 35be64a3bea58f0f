/** `pagewalk/memoryMap`: guest physical memory as KVM, the VMM and the host kernel see it (src/model/memory-map.ts). */
import type * as model from '../model/memory-map';
import type { Hex } from '../model/value';

export interface MemoryMapArguments {
  /** The part of guest physical memory to report `runs` for; default: all of it. Hex strings. */
  readonly from?: Hex;
  readonly to?: Hex;
  /** Limit on the number of runs, and on dirty runs per slot. Default 2048, at most 8192. */
  readonly most?: number;
}

export type Interval = model.Interval<Hex>;
export type SlotInfo = model.SlotInfo<Hex>;
export type VmaInfo = model.VmaInfo<Hex>;
export type MemoryRun = model.MemoryRun<Hex>;
export type MemoryMapReply = model.MemoryMap<Hex>;
