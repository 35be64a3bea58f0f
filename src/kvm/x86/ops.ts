import type { Gva, Hpa } from '../../base/address';
import type { Interruption } from '../../hw/state/interruption';
import type { VmcsAccess, Work } from '../../trace/step';
import type { UnmetCheck } from '../userspace-exit';
import type { CpuStop } from '../../hw/cpu/cpu';
import type { ExitInfo } from '../exit-info';
import type { GuestRegisters } from './registers';

/** The outcome of an attempt to enter the guest. `how`: the instruction used. */
export type Entered =
  | { readonly ok: true; readonly how: 'VMLAUNCH' | 'VMRESUME' | 'VMRUN' }
  | {
      readonly ok: false;
      readonly why: string;
      readonly hardwareReason: number;
      readonly unmet: readonly UnmetCheck[];
    };

/**
 * The interface of KVM's common code to the virtualization extension, for one VCPU (struct kvm_x86_ops,
 * arch/x86/include/asm/kvm_host.h): VMX (kvm/vmx) or SVM (kvm/svm). Everything else is shared: the MMU, memslots,
 * event queues and exit handlers.
 */
export interface X86Ops {
  /** The prefix of this extension's Linux function names. */
  readonly name: 'vmx' | 'svm';
  readonly regs: GuestRegisters;
  /** For observers: reads through it appear in no step. */
  readonly looking: GuestRegisters;
  /** The tag of this VCPU's translations: VPID or ASID; 0: none. */
  readonly tag: number;
  /** VMCS or VMCB accesses since the last call, for the next step. */
  takeAccesses(): readonly VmcsAccess[];
  /** Cycles of `n` accesses to the guest state that hardware saves. */
  accessCost(n: number): number;

  // ---- registers that depend on the extension

  setCr0(cr0: bigint): void;
  setCr4(cr4: bigint): void;
  setEfer(efer: bigint): void;
  tscOffset: bigint;
  /** Where the instruction that exited ends, as reported by hardware. */
  nextRip(): bigint;
  /** dr_intercepts: whether MOV to and from debug registers exits. */
  interceptDebugRegisters(on: boolean): void;

  // ---- events

  /** complete_interrupts: the event whose delivery the exit interrupted, to be reinjected. */
  completeInterrupts(): Interruption | undefined;
  /** Makes the next entry inject an event. */
  inject(event: Interruption): void;
  /** Removes and returns the event that the next entry would inject. */
  takeInjected(): Interruption | undefined;
  /**
   * Makes the guest exit as soon as it can take an interrupt or an NMI. Result: the hardware itself will deliver the
   * NMI (SVM's virtual NMIs).
   */
  enableIrqWindow(): void;
  enableNmiWindow(): boolean;

  // ---- translations

  /** flush_tlb_current: drops what is cached of the tables that hardware walks now. `why`: the reason. */
  flushCurrent(why: string): Work<void>;
  /** load_mmu_pgd: sets the root that hardware walks for the guest under shadow paging. */
  loadRoot(root: Hpa, pcid: bigint): void;
  /** flush_tlb_guest: drops what the guest's own flush would drop. */
  flushGuest(): Work<void>;
  /** flush_tlb_gva. */
  flushGva(linear: Gva): void;

  // ---- entry and exit

  /** Work due before the guest is entered, after flushes and before event injection. */
  beforeEntry(): Work<void>;
  /** The rest of it, and the entry. Registers that hardware does not load are already in the CPU. */
  enter(): Entered;
  /** Limit on the instructions that may run now: the guest's timer, if no hardware counts for it. */
  runGuest(budget: number): CpuStop;
  /** Saves what hardware does not from the CPU; general registers are already saved. */
  saveGuest(): void;
  exitInfo(): ExitInfo;
  /** The exit itself, and what comes first at every exit: the log of written pages. */
  atExit(info: ExitInfo): Work<void>;
  /** The dispatch, recorded after interrupted events are requeued. */
  tellExit(info: ExitInfo): Work<void>;
  /** Moves the pages that hardware logged as written into the dirty bitmaps. */
  drainLog(): void;

  save(): OpsState;
  restore(s: OpsState): void;
}

/** An extension's state besides VMCS or VMCB, which are in host memory. */
export interface OpsState {
  readonly vmx?: {
    /** The page-modification log's buffer, and whether it is on. */
    readonly log: { readonly buffer: Hpa | undefined; readonly on: boolean };
    readonly launched: boolean;
  };
}
