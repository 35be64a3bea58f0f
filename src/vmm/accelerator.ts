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

/** Guest physical memory as whoever runs the guest keeps it: ranges of GPAs, each with its HVA, and which of their pages were written. */
export interface GuestRam {
  readonly memslots: Memslots;
  readonly dirtyLog: DirtyLog;
  /** The meaning and the errors are KVM_SET_USER_MEMORY_REGION's. */
  setUserMemoryRegion(region: UserMemoryRegion): Work<Result<SlotChange, string>>;
  /** What the VMM calls to change it or to ask, in its own words and cycles, for steps. `before`: the range that is changed or goes. */
  readonly calls: {
    set(region: UserMemoryRegion, before: Memslot | undefined): string;
    readonly dirtyLog: string;
    readonly range: 'slot' | 'region';
    readonly cycles: number;
  };
  /** The pages of a logged range that were written since the last call. */
  getDirtyLog(id: number): Work<Result<readonly Gpa[], string>>;
}

/** What the CPU goes through from guest to host addresses. */
export type SecondLevel =
  /** EPT or NPT. */
  | { readonly kind: 'nested'; readonly tables: SecondLevelTables; readonly mmu: TdpMmu }
  /** No second level: the tables that the CPU walks are the hypervisor's, and lead from GVA to HPA. */
  | {
      readonly kind: 'shadow';
      readonly shadow: ShadowMmu;
      /** Why the #PF that just exited, of this address and error code, happened. */
      classify(linear: bigint, errorCode: number): ReturnType<typeof classifyShadowFault>;
    }
  /** Nothing in hardware: software finds the memory region, and its own mapping of it. */
  | { readonly kind: 'software' };

/** What is done outside the guest, step by step; the result: how the machine ended, if it did. */
export type Outside = Work<MachineEnd | undefined>;

/** Why the guest does not run at this moment. */
export type AcceleratorStop =
  | { readonly kind: 'budget' }
  | { readonly kind: 'breakpoint'; readonly linear: bigint }
  /** Before an exception is delivered, because the CPU's fault observer asked. */
  | { readonly kind: 'fault'; readonly event: FaultEvent }
  /** The guest exited to its hypervisor; `work` is the handling. */
  | { readonly kind: 'exit'; readonly exit: ExitInfo; readonly work: Outside }
  /** Nothing exited, and yet somebody besides the CPU has to act before the guest goes on. `about`: of what the guest's instruction caused. */
  | { readonly kind: 'outside'; readonly work: Outside; readonly about?: OutsideCause };

/** Entries that steps say were read by software, by whose tables they are of. */
export interface SoftwareReads {
  readonly guest: number;
  readonly host: number;
}

/** Entries loaded by translations that completed, by whose tables they are of; host entries are those that software read. */
export interface References {
  readonly guest: number;
  readonly nested: number;
  readonly shadow: number;
  readonly host: number;
}

/** Cycles by the cost model besides what steps tell: of the guest's instructions, of which some may be for translating its code and looking up the software TLB, and of walks. */
export interface GuestCycles {
  readonly guest: number;
  readonly walks: number;
  readonly translation?: number;
  readonly lookups?: number;
}

/** A register that its instruction checks before it loads it: MOV to CRn, WRMSR. */
export type SystemRegister =
  { readonly kind: 'cr'; readonly number: 0 | 4 | 8 } | { readonly kind: 'msr'; readonly index: number };

/** What runs the guest for the VMM, in QEMU's word for it (-accel). A machine and a debug target need no more of it than this. */
export interface Accelerator {
  readonly cpu: Cpu;
  readonly ram: GuestRam;
  readonly second: SecondLevel;
  /** Guest instructions completed, by the CPU or by software in its place. */
  readonly instructions: bigint;
  /** The CPU holds the guest's registers: the guest stands between two instructions. */
  readonly running: boolean;
  /** The tag of the guest's translations in the TLB; 0: none. */
  readonly vpid: number;

  /** The guest's registers, wherever they lie: the CPU's own, or a copy (writes to which need `commitRegisters`). */
  registers(): CpuState;
  /** Puts edited registers back. Editing them drops no translation and changes no table. */
  commitRegisters(): void;
  /** Where `registers` puts its copies: for looking at translations while the guest is not in the CPU. */
  readonly copy: CpuState;
  /** Whether translations are to be dropped before the guest runs on: those made from its own tables, and those made from the second level's or the shadow's. */
  readonly flushDue: { readonly guest: boolean; readonly second: boolean };
  /** The processor as the guest sees it. */
  readonly guestModel: CpuidModel;
  /** An MSR as RDMSR in the guest reads it; undefined: #GP(0). */
  readMsr(index: number): bigint | undefined;
  /**
   * Loads a register as the guest's instruction would, checks and all, while the guest is not in a CPU of KVM's (KVM_SET_SREGS, KVM_SET_MSRS). The result: true, or why it is refused; false where
   * no more is to say.
   */
  load(register: SystemRegister, value: bigint): boolean | FaultReason;
  /** What was cached for the guest's own tables is to go before it runs on (KVM_SET_SREGS with another CR3). */
  flushGuest(): void;

  /** Told of what the software that runs the guest does inside an instruction, where nothing waits for it; its cycles are in `cycles` already. */
  onLookUp?: ((step: Step) => void) | undefined;
  /** A step in the words of the software that is modelled. */
  told(step: Step): Step;

  /** Into the guest for the first time. */
  start(): Outside;
  /** At most `budget` instructions of the guest. */
  run(budget: number): AcceleratorStop;

  /** Counters, by the names that KVM's have in debugfs. */
  stats(): Readonly<Record<string, number>>;
  references(read: SoftwareReads): References;
  /** Cycles by the cost model besides what steps tell: of the guest's instructions, and of the walks that their translation took. */
  cycles(): GuestCycles;

  save(): unknown;
  /** Host memory and the address space are restored by their owners, before this. */
  restore(state: unknown): void;
}
