/** `pagewalk/memoryMap`: guest physical memory as KVM, VMM and host kernel have it, in runs of pages rather than pages. */
import type { Hex } from './translation';

export interface MemoryMapArguments {
  /** The part of guest physical memory that `runs` are wanted of; default: all of it. Hex strings. */
  readonly from?: Hex;
  readonly to?: Hex;
  /** At most so many runs, and dirty runs per slot. Default 2048, at most 8192. */
  readonly most?: number;
}

/** [from, to) */
export interface Interval {
  readonly from: Hex;
  readonly to: Hex;
}

export interface SlotInfo {
  readonly id: number;
  readonly gpa: Hex;
  /** Bytes. */
  readonly size: Hex;
  readonly hva: Hex;
  readonly readOnly: boolean;
  /** The dirty bitmap, where the slot is logged: GPA runs, how many pages are set, and how many runs were left off. */
  readonly dirty?: { readonly pages: number; readonly runs: readonly Interval[]; readonly left: number };
}

/** A virtual memory area of the VMM's process, and what its pages have come to. */
export interface VmaInfo {
  readonly start: Hex;
  readonly end: Hex;
  readonly name: string;
  /** `rw-` as /proc/PID/maps writes it. */
  readonly protection: string;
  readonly backing: '4k' | 'thp' | '2m' | '1g';
  /** Bytes in memory, of these in pages larger than 4 KiB and merged with others (KSM); and bytes in swap. */
  readonly resident: Hex;
  readonly huge: Hex;
  readonly merged: Hex;
  readonly swapped: Hex;
  /** The memslots that map a part of it. */
  readonly slots: readonly number[];
}

/**
 * Consecutive pages of one slot in the same condition. `hpa` is given where their frames are consecutive too; a run without it is one of several frames
 * (`frames` of them), told together because there were too many.
 */
export interface MemoryRun {
  readonly slot: number;
  readonly gpa: Hex;
  readonly hva: Hex;
  /** Bytes. */
  readonly size: Hex;
  /** absent: nobody has touched it, or it was given back. */
  readonly state: 'resident' | 'swapped' | 'absent';
  readonly hpa?: Hex;
  /** Separate stretches of host memory, or of swap slots. */
  readonly frames: number;
  /** First swap slot. */
  readonly swapSlot?: number;
  /** Bytes of the host's page; 4096 for pages that are not there. */
  readonly pageSize: number;
  /** The host's entry allows writes, and the slot does. */
  readonly writable: boolean;
  /** Other pages share the frame (KSM). */
  readonly merged: boolean;
  /** Set in the dirty bitmap. */
  readonly dirty: boolean;
  /** Bytes of the page that EPT, NPT or the shadow tables map it by; 0: not mapped, the next access faults. */
  readonly mapped: number;
}

export interface MemoryMapReply {
  /** `slots` are memory regions of a VMM that emulates the processor itself. */
  readonly regions?: true;
  /** Of the memslots: counts their changes. */
  readonly generation: number;
  readonly slots: readonly SlotInfo[];
  /** Guest physical ranges of no slot: MMIO. The last one ends where physical addresses do. */
  readonly holes: readonly Interval[];
  readonly vmas: readonly VmaInfo[];
  readonly runs: readonly MemoryRun[];
  /** Where the runs stop short of `to`: the first GPA that is not told. */
  readonly next?: Hex;
  /** Frames of the host and pages of its swap area. */
  readonly host: {
    readonly frames: number;
    readonly used: number;
    readonly swapPages: number;
    readonly swapUsed: number;
    /** HPA of the first frame. */
    readonly base: Hex;
  };
}
