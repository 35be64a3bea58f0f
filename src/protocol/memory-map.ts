/** `pagewalk/memoryMap`: guest physical memory as KVM, VMM and host kernel have it (src/model/memory-map.ts). */
import type * as model from '../model/memory-map';
import type { Hex } from '../model/value';

export interface MemoryMapArguments {
  /** The part of guest physical memory that `runs` are wanted of; default: all of it. Hex strings. */
  readonly from?: Hex;
  readonly to?: Hex;
  /** At most so many runs, and dirty runs per slot. Default 2048, at most 8192. */
  readonly most?: number;
}

export type Interval = model.Interval<Hex>;
export type SlotInfo = model.SlotInfo<Hex>;
export type VmaInfo = model.VmaInfo<Hex>;
export type MemoryRun = model.MemoryRun<Hex>;
export type MemoryMapReply = model.MemoryMap<Hex>;
