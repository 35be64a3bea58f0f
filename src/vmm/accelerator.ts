import type { Gpa } from '../base/address';
import type { Result } from '../base/result';
import type { Cpu } from '../hw/cpu/cpu';
import type { CpuidModel } from '../hw/cpu/cpuid-model';
import type { SecondLevelTables } from '../hw/paging/second-level';
import type { CpuState } from '../hw/state/cpu-state';
import type { FaultEvent } from '../hw/state/event';
import type { FaultReason } from '../isa/reasons/index';
import type { Step, Work } from '../trace/step';
import type { DirtyLog } from '../kvm/dirty-log';
import type { Memslot, Memslots, SlotChange, UserMemoryRegion } from '../kvm/memslots';
import type { classifyShadowFault } from '../kvm/mmu/shadow/fault';
import type { ShadowMmu } from '../kvm/mmu/shadow/mmu';
import type { TdpMmu } from '../kvm/mmu/tdp-mmu';
import type { ExitInfo } from '../kvm/exit-info';
import type { MachineEnd, OutsideCause } from './machine-stop';

/**
 * Guest physical memory as the accelerator keeps it: ranges of GPAs, each with its HVA, and which of their pages were
 * written.
 */
export interface GuestRam {
  readonly memslots: Memslots;
  readonly dirtyLog: DirtyLog;
  /** Semantics and errors are those of KVM_SET_USER_MEMORY_REGION. */
  setUserMemoryRegion(region: UserMemoryRegion): Work<Result<SlotChange, string>>;
  /**
   * The VMM call that changes or queries it, with its function name and cycles, for steps. `before`: the range being
   * changed or deleted.
   */
  readonly calls: {
    set(region: UserMemoryRegion, before: Memslot | undefined): string;
    readonly dirtyLog: string;
    readonly range: 'slot' | 'region';
    readonly cycles: number;
  };
  /** The pages of a logged range that were written since the last call. */
  getDirtyLog(id: number): Work<Result<readonly Gpa[], string>>;
}

/** How the CPU gets from guest to host addresses. */
export type SecondLevel =
  /** EPT or NPT. */
  | { readonly kind: 'nested'; readonly tables: SecondLevelTables; readonly mmu: TdpMmu }
  /** No second level: the CPU walks the hypervisor's tables, which lead from GVA to HPA. */
  | {
      readonly kind: 'shadow';
      readonly shadow: ShadowMmu;
      /** Why the #PF that just exited, with this address and error code, happened. */
      classify(linear: bigint, errorCode: number): ReturnType<typeof classifyShadowFault>;
    }
  /** No hardware translation: software finds the memory region and its own mapping of it. */
  | { readonly kind: 'software' };

/** Work done outside the guest, step by step; the result: how the machine ended, if it did. */
export type Outside = Work<MachineEnd | undefined>;

/** Why the guest is not running now. */
export type AcceleratorStop =
  | { readonly kind: 'budget' }
  | { readonly kind: 'breakpoint'; readonly linear: bigint }
  /** Before an exception is delivered, because the CPU's fault observer requested it. */
  | { readonly kind: 'fault'; readonly event: FaultEvent }
  /** The guest exited to its hypervisor; `work` is the handling. */
  | { readonly kind: 'exit'; readonly exit: ExitInfo; readonly work: Outside }
  /**
   * There was no exit, yet the VMM or host must act before the guest continues. `about`: what the guest's instruction
   * caused.
   */
  | { readonly kind: 'outside'; readonly work: Outside; readonly about?: OutsideCause };

/** Table entries that steps report as read by software, by owner of the tables. */
export interface SoftwareReads {
  readonly guest: number;
  readonly host: number;
}

/** Entries loaded by completed translations, by owner of the tables; host entries are those that software read. */
export interface References {
  readonly guest: number;
  readonly nested: number;
  readonly shadow: number;
  readonly host: number;
}

/**
 * Modelled cycles besides those of steps: of the guest's instructions (including code translation and software-TLB
 * look-ups), and of walks.
 */
export interface GuestCycles {
  readonly guest: number;
  readonly walks: number;
  readonly translation?: number;
  readonly lookups?: number;
}

/** A register that its instruction checks before loading it: MOV to CRn, WRMSR. */
export type SystemRegister =
  { readonly kind: 'cr'; readonly number: 0 | 4 | 8 } | { readonly kind: 'msr'; readonly index: number };

/**
 * Runs the guest for the VMM, under QEMU's name for it (-accel). A machine and a debug target need only this
 * interface.
 */
export interface Accelerator {
  readonly cpu: Cpu;
  readonly ram: GuestRam;
  readonly second: SecondLevel;
  /** Guest instructions completed, by the CPU or by software in its place. */
  readonly instructions: bigint;
  /** The CPU holds the guest's registers: the guest is between two instructions. */
  readonly running: boolean;
  /** The tag of the guest's translations in the TLB; 0: none. */
  readonly vpid: number;

  /** The guest's registers: the CPU's own, or a copy (writes to a copy need `commitRegisters`). */
  registers(): CpuState;
  /** Writes edited registers back. Editing drops no translation and changes no table. */
  commitRegisters(): void;
  /** The buffer for copies made by `registers`: for inspecting translations while the guest is not in the CPU. */
  readonly copy: CpuState;
  /**
   * Which translations will be dropped before the guest continues: those made from its own tables, and those made
   * from the second level's or the shadow's.
   */
  readonly flushDue: { readonly guest: boolean; readonly second: boolean };
  /** The processor as the guest sees it. */
  readonly guestModel: CpuidModel;
  /** An MSR as RDMSR in the guest reads it; undefined: #GP(0). */
  readMsr(index: number): bigint | undefined;
  /**
   * Loads a register with the checks of the guest's instruction, while the guest is not in one of KVM's CPUs
   * (KVM_SET_SREGS, KVM_SET_MSRS). The result: true, or why it is rejected; false if nothing more is known.
   */
  load(register: SystemRegister, value: bigint): boolean | FaultReason;
  /** Flushes what is cached from the guest's own tables before it continues (KVM_SET_SREGS with another CR3). */
  flushGuest(): void;

  /**
   * Called for what the accelerator does inside an instruction without stopping it; the cycles are already in
   * `cycles`.
   */
  onLookUp?: ((step: Step) => void) | undefined;
  /** A step in the terms of the software being modelled. */
  told(step: Step): Step;

  /** Enters the guest for the first time. */
  start(): Outside;
  /** Runs at most `budget` guest instructions. */
  run(budget: number): AcceleratorStop;

  /** Counters, by their names in KVM's debugfs. */
  stats(): Readonly<Record<string, number>>;
  references(read: SoftwareReads): References;
  /** Modelled cycles besides those of steps: of the guest's instructions, and of the walks for their translations. */
  cycles(): GuestCycles;

  save(): unknown;
  /** Host memory and the address space are restored by their owners, before this. */
  restore(state: unknown): void;
}
