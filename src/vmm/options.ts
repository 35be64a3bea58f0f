import type { DeviceSpec } from './bus/device';
import { USUAL_DEVICES } from './devices/table';

/** How guest memory is virtualized; the session rejects by name what is not built. */
export const MMU_KINDS = ['ept', 'npt', 'shadow', 'software'] as const;
export type MmuKind = (typeof MMU_KINDS)[number];

export const START_KINDS = ['boot', 'flat16', 'flat32', 'flat64'] as const;
/** The state a guest starts in (ELF files start as flat32 or flat64, by class). */
export type StartKind = (typeof START_KINDS)[number];

export const HOST_PAGES = ['4k', 'thp', '2m', '1g'] as const;
/** What backs guest RAM on the host: base pages, transparent huge pages, or hugetlbfs pages of one size. */
export type HostPages = (typeof HOST_PAGES)[number];

/** One range of guest RAM, for KVM_SET_USER_MEMORY_REGION. */
export interface SlotOption {
  readonly gpa: bigint;
  /** Bytes, a multiple of 4 KiB. */
  readonly size: bigint;
  readonly readonly: boolean;
}

/** `; @host place HVA HPA`: the VMM's page at this HVA gets this frame when first touched. */
export interface Placement {
  readonly hva: bigint;
  readonly hpa: bigint;
}

export interface TlbOptions {
  readonly entries: number;
  readonly ways: number;
}

/** Everything that configures a machine. Machine.create checks the values; strings are parsed above this layer. */
export interface MachineOptions {
  readonly mmu: MmuKind;
  /** Shadow-paging generation, if `mmu` is shadow. */
  readonly shadow: 'classic' | 'modern';
  /** Bytes of guest RAM if `slots` is empty: one slot from GPA 0. */
  readonly memory: bigint;
  readonly slots: readonly SlotOption[];
  /** A name in CPU_MODELS: the processor's features. */
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
  /** Seed of the order in which host frames are allocated. */
  readonly seed: number;
  /** In listing order; of two that overlap, the first responds. */
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

/** The slots that `options` describe. */
export function slotsOf(options: MachineOptions): readonly SlotOption[] {
  return options.slots.length > 0 ? options.slots : [{ gpa: 0n, size: options.memory, readonly: false }];
}
