import type { DeviceSpec } from './bus/device';
import { USUAL_DEVICES } from './devices/table';

/** How guest memory is virtualized; the session refuses what is not built by name. */
export const MMU_KINDS = ['ept', 'npt', 'shadow', 'software'] as const;
export type MmuKind = (typeof MMU_KINDS)[number];

export const START_KINDS = ['boot', 'flat16', 'flat32', 'flat64'] as const;
/** The state a guest starts in (ELF files start as flat32 or flat64, by their class). */
export type StartKind = (typeof START_KINDS)[number];

export const HOST_PAGES = ['4k', 'thp', '2m', '1g'] as const;
/** What backs guest RAM on the host: base pages, transparent huge pages, or hugetlbfs pages of one size. */
export type HostPages = (typeof HOST_PAGES)[number];

/** One range of guest RAM as KVM_SET_USER_MEMORY_REGION will get it. */
export interface SlotOption {
  readonly gpa: bigint;
  /** Bytes, a multiple of 4 KiB. */
  readonly size: bigint;
  readonly readonly: boolean;
}

/** `; @host place HVA HPA`: the page at this HVA of the VMM gets this frame when it is first touched. */
export interface Placement {
  readonly hva: bigint;
  readonly hpa: bigint;
}

export interface TlbOptions {
  readonly entries: number;
  readonly ways: number;
}

/** Everything that shapes a machine. Values are checked by Machine.create; strings are parsed above this layer. */
export interface MachineOptions {
  readonly mmu: MmuKind;
  /** Which shadow paging, where `mmu` is that. */
  readonly shadow: 'classic' | 'modern';
  /** Bytes of guest RAM where `slots` is empty: one slot from GPA 0. */
  readonly memory: bigint;
  readonly slots: readonly SlotOption[];
  /** A name of CPU_MODELS: what the processor offers. */
  readonly cpu: string;
  /** 1; more VCPUs need INIT and SIPI, which need an APIC. */
  readonly cpus: number;
  /** Bytes of host physical memory, a multiple of 4 KiB, at most 3 GiB. */
  readonly hostMemory: number;
  /** Bytes of its swap area, a multiple of 4 KiB; undefined: as many as of memory. */
  readonly hostSwap: bigint | undefined;
  /** HPA of its first byte. */
  readonly hostBase: bigint;
  /** HVA at which the VMM maps guest RAM. */
  readonly hvaBase: bigint;
  readonly hostPages: HostPages;
  /** EPT accessed and dirty flags (EPTP bit 6). */
  readonly eptAd: boolean;
  readonly vpid: boolean;
  /** 'off': no translation is cached. */
  readonly tlb: TlbOptions | 'off';
  readonly walkCaches: boolean;
  readonly placements: readonly Placement[];
  /** The run ends as `limit` after this many instructions; undefined: never. */
  readonly maxInstructions: number | undefined;
  /** Of the order in which host frames are handed out. */
  readonly seed: number;
  /** In the order in which they are listed; of two that overlap, the first answers. */
  readonly devices: readonly DeviceSpec[];
}

export const DEFAULT_OPTIONS: MachineOptions = {
  mmu: 'ept',
  shadow: 'modern',
  memory: 64n << 20n,
  slots: [],
  cpu: 'pagewalk-x64',
  cpus: 1,
  hostMemory: 1 << 30,
  hostSwap: undefined,
  hostBase: 0x1_0000_0000n,
  hvaBase: 0x7f5a_0000_0000n,
  hostPages: '4k',
  eptAd: true,
  vpid: true,
  tlb: { entries: 1024, ways: 8 },
  walkCaches: false,
  placements: [],
  maxInstructions: undefined,
  seed: 0,
  devices: USUAL_DEVICES,
};

/** The slots that `options` mean. */
export function slotsOf(options: MachineOptions): readonly SlotOption[] {
  return options.slots.length > 0 ? options.slots : [{ gpa: 0n, size: options.memory, readonly: false }];
}
