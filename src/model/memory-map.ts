/** Guest physical memory as KVM, VMM and host kernel have it, in runs of pages rather than pages. */
import type { Value } from './value';

/** [from, to) */
export interface Interval<N extends Value> {
  readonly from: N;
  readonly to: N;
}

export interface SlotInfo<N extends Value> {
  readonly id: number;
  readonly gpa: N;
  /** Bytes. */
  readonly size: N;
  readonly hva: N;
  readonly readOnly: boolean;
  /** The dirty bitmap, where the slot is logged: GPA runs, how many pages are set, and how many runs were left off. */
  readonly dirty?: { readonly pages: number; readonly runs: readonly Interval<N>[]; readonly left: number };
}

/** A virtual memory area of the VMM's process, and what its pages have come to. */
export interface VmaInfo<N extends Value> {
  /** `slots` are memory regions of a VMM that emulates the processor itself. */
  readonly regions?: true;
  readonly start: N;
  readonly end: N;
  readonly name: string;
  /** `rw-` as /proc/PID/maps writes it. */
  readonly protection: string;
  readonly backing: '4k' | 'thp' | '2m' | '1g';
  /** Bytes in memory, of these in pages larger than 4 KiB and merged with others (KSM); and bytes in swap. */
  readonly resident: N;
  readonly huge: N;
  readonly merged: N;
  readonly swapped: N;
  /** The memslots that map a part of it. */
  readonly slots: readonly number[];
}

/**
 * Consecutive pages of one slot in the same condition. `hpa` is given where their frames are consecutive too; a run without it is one of several frames
 * (`frames` of them), told together because there were too many.
 */
export interface MemoryRun<N extends Value> {
  readonly slot: number;
  readonly gpa: N;
  readonly hva: N;
  /** Bytes. */
  readonly size: N;
  /** absent: nobody has touched it, or it was given back. */
  readonly state: 'resident' | 'swapped' | 'absent';
  readonly hpa?: N;
  /** Separate ranges of host memory, or of swap slots. */
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

export interface MemoryMap<N extends Value> {
  /** `slots` are memory regions of a VMM that emulates the processor itself. */
  readonly regions?: true;
  /** Of the memslots: counts their changes. */
  readonly generation: number;
  readonly slots: readonly SlotInfo<N>[];
  /** Guest physical ranges of no slot: MMIO. The last one ends where physical addresses do. */
  readonly holes: readonly Interval<N>[];
  readonly vmas: readonly VmaInfo<N>[];
  readonly runs: readonly MemoryRun<N>[];
  /** Where the runs stop short of `to`: the first GPA that is not told. */
  readonly next?: N;
  /** Frames of the host and pages of its swap area. */
  readonly host: {
    readonly frames: number;
    readonly used: number;
    readonly swapPages: number;
    readonly swapUsed: number;
    /** HPA of the first frame. */
    readonly base: N;
  };
}
