import type { Gva, Hpa } from '../../base/address';
import type { Interruption } from '../../hw/state/interruption';
import type { VmcsAccess, Work } from '../../trace/step';
import type { UnmetCheck } from '../userspace-exit';
import type { CpuStop } from '../../hw/cpu/cpu';
import type { ExitInfo } from '../exit-info';
import type { GuestRegisters } from './registers';

/** What an attempt to enter the guest came to. `how`: the instruction that entered. */
export type Entered =
  | { readonly ok: true; readonly how: 'VMLAUNCH' | 'VMRESUME' | 'VMRUN' }
  | {
      readonly ok: false;
      readonly why: string;
      readonly hardwareReason: number;
      readonly unmet: readonly UnmetCheck[];
    };

/**
 * What KVM's common code asks of the virtualization extension that it runs on, for one VCPU (struct kvm_x86_ops, arch/x86/include/asm/kvm_host.h): VMX (kvm/vmx) or SVM
 * (kvm/svm). Everything else, the MMU, memslots, event queues and the handlers of what exits, is one.
 */
export interface X86Ops {
  /** What the names of the functions of Linux on this side begin with. */
  readonly name: 'vmx' | 'svm';
  readonly regs: GuestRegisters;
  /** For looking: what is read through it shows in no step. */
  readonly looking: GuestRegisters;
  /** What tags this VCPU's translations: VPID or ASID; 0: none. */
  readonly tag: number;
  /** Accesses to VMCS or VMCB since the last call, for the step about to be told. */
  takeAccesses(): readonly VmcsAccess[];
  /** Cycles of `n` accesses to what the hardware saves of the guest. */
  accessCost(n: number): number;

  // ---- registers that the hardware treats in its own way

  setCr0(cr0: bigint): void;
  setCr4(cr4: bigint): void;
  setEfer(efer: bigint): void;
  tscOffset: bigint;
  /** Where the instruction that exited ends, as the hardware told. */
  nextRip(): bigint;
  /** dr_intercepts: whether MOV to and from debug registers exits. */
  interceptDebugRegisters(on: boolean): void;

  // ---- events

  /** complete_interrupts: the event whose delivery the exit interrupted, in order to be injected again. */
  completeInterrupts(): Interruption | undefined;
  /** Has the next entry inject an event. */
  inject(event: Interruption): void;
  /** The event that the next entry would inject, which then it does not. */
  takeInjected(): Interruption | undefined;
  /** Makes the guest exit as soon as it can take an interrupt, or an NMI. Result: the hardware itself will deliver the NMI (virtual NMIs of SVM). */
  enableIrqWindow(): void;
  enableNmiWindow(): boolean;

  // ---- translations

  /** flush_tlb_current: what is cached of the tables that hardware walks now is dropped. `why`: what made that necessary. */
  flushCurrent(why: string): Work<void>;
  /** load_mmu_pgd: the root that the hardware walks from for the guest under shadow paging. */
  loadRoot(root: Hpa, pcid: bigint): void;
  /** flush_tlb_guest: what the guest's own flush would drop. */
  flushGuest(): Work<void>;
  /** flush_tlb_gva. */
  flushGva(linear: Gva): void;

  // ---- entry and exit

  /** What is due before the guest is entered, while flushes are already carried out and events not yet injected. */
  beforeEntry(): Work<void>;
  /** The rest of it, and the entry. Registers that hardware does not load are in the CPU. */
  enter(): Entered;
  /** Bound on the instructions that may run now; the guest's timer, where no hardware counts to it. */
  runGuest(budget: number): CpuStop;
  /** Takes what hardware does not save out of the CPU; general registers are done. */
  saveGuest(): void;
  exitInfo(): ExitInfo;
  /** The exit itself, and what comes first at every exit: the log of written pages. */
  atExit(info: ExitInfo): Work<void>;
  /** The dispatch, told once interrupted events are put back. */
  tellExit(info: ExitInfo): Work<void>;
  /** What hardware logged of written pages goes into the dirty bitmaps. */
  drainLog(): void;

  save(): OpsState;
  restore(s: OpsState): void;
}

/** What an extension's side keeps beside VMCS or VMCB, which lie in host memory. */
export interface OpsState {
  readonly vmx?: {
    /** The page-modification log's buffer, and whether it is on. */
    readonly log: { readonly buffer: Hpa | undefined; readonly on: boolean };
    readonly launched: boolean;
  };
}
