/** Guest physical memory as KVM, the VMM and the host kernel see it, in runs of pages. */
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
  /** The dirty bitmap if the slot is logged: GPA runs, the number of dirty pages, and how many runs were omitted. */
  readonly dirty?: { readonly pages: number; readonly runs: readonly Interval<N>[]; readonly left: number };
}

/** A virtual memory area of the VMM's process, and the state of its pages. */
export interface VmaInfo<N extends Value> {
  /** `slots` are memory regions of a VMM that emulates the processor itself. */
  readonly regions?: true;
  readonly start: N;
  readonly end: N;
  readonly name: string;
  /** `rw-` as /proc/PID/maps writes it. */
  readonly protection: string;
  readonly backing: '4k' | 'thp' | '2m' | '1g';
  /**
   * Bytes in memory, how many of them are in pages larger than 4 KiB and how many are merged (KSM); and bytes in
   * swap.
   */
  readonly resident: N;
  readonly huge: N;
  readonly merged: N;
  readonly swapped: N;
  /** The memslots that map part of it. */
  readonly slots: readonly number[];
}

/**
 * Consecutive pages of one slot in the same state. `hpa` is present if their frames are consecutive too; a run
 * without it covers several separate frame ranges (`frames` of them), combined because there were too many.
 */
export interface MemoryRun<N extends Value> {
  readonly slot: number;
  readonly gpa: N;
  readonly hva: N;
  /** Bytes. */
  readonly size: N;
  /** absent: never touched, or given back. */
  readonly state: 'resident' | 'swapped' | 'absent';
  readonly hpa?: N;
  /** Separate ranges of host memory or of swap slots. */
  readonly frames: number;
  /** First swap slot. */
  readonly swapSlot?: number;
  /** Bytes of the host's page; 4096 for pages that are not present. */
  readonly pageSize: number;
  /** Both the host's entry and the slot allow writes. */
  readonly writable: boolean;
  /** Other pages share the frame (KSM). */
  readonly merged: boolean;
  /** Set in the dirty bitmap. */
  readonly dirty: boolean;
  /** Bytes of the page that maps it in EPT, NPT or the shadow tables; 0: not mapped, so the next access faults. */
  readonly mapped: number;
}

export interface MemoryMap<N extends Value> {
  /** `slots` are memory regions of a VMM that emulates the processor itself. */
  readonly regions?: true;
  /** Generation of the memslots: counts their changes. */
  readonly generation: number;
  readonly slots: readonly SlotInfo<N>[];
  /** Guest physical ranges without a slot: MMIO. The last one ends at the physical-address limit. */
  readonly holes: readonly Interval<N>[];
  readonly vmas: readonly VmaInfo<N>[];
  readonly runs: readonly MemoryRun<N>[];
  /** Present if the runs stop short of `to`: the first GPA that is not covered. */
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
