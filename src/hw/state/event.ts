import type { FaultReason } from '../../isa/reasons/index';

/**
 * What a core tells its caller when an instruction did not simply complete. Events are returned data; nothing is thrown.
 * The state is that of the instruction's start (REP progress excepted), except where a trap says otherwise.
 */
export type CpuEvent = FaultEvent | ExitEvent | BusEvent | SuspendEvent;

/** An exception, or a software interrupt on its way to the IDT. */
export interface FaultEvent {
  readonly kind: 'fault';
  readonly vector: number;
  /** The check that failed, with what it looked at: for explanations, nothing else depends on it. */
  readonly why: FaultReason;
  /** Present for the vectors that push one (protected and long mode). */
  readonly errorCode?: number;
  /** The faulting linear address, #PF only. */
  readonly cr2?: bigint;
  /** #PF only: the access that faulted. The error code tells a fetch from a read only while EFER.NXE or CR4.SMEP is set. */
  readonly access?: 'read' | 'write' | 'fetch';
  /** #DB only: the bits that DR6 gains when the exception is delivered (B3–B0, BD, BS); an intercepted one has them as its exit qualification. */
  readonly debug?: bigint;
  /** INT n, INT3, INTO, ICEBP: return address is the next instruction, DPL of the gate is checked (but for ICEBP). */
  readonly software?: 'int' | 'int3' | 'into' | 'icebp';
}

/**
 * A VM exit: what VMX records in the VMCS's exit-information fields (SDM vol. 3, 27.2), or SVM in the VMCB (AMD APM vol. 2, 15.6). Unset fields are zero.
 */
export interface VmExit {
  /** Basic exit reason; SVM: EXITCODE. */
  readonly reason: number;
  /** SVM: EXITINFO1. */
  readonly qualification: bigint;
  /** SVM: EXITINFO2, and the next-RIP field. */
  readonly info2?: bigint;
  readonly nextRip?: bigint;
  /** SVM, an intercepted #DB: the bits that DR6 gains. */
  readonly debug?: bigint;
  /** SVM: the instruction has completed, so that the RIP saved is the next one's and no shadow is left. */
  readonly completed?: boolean;
  /** Bytes, for exits due to instruction execution. */
  readonly instructionLength?: number;
  readonly instructionInfo?: number;
  readonly guestLinearAddress?: bigint;
  readonly guestPhysicalAddress?: bigint;
  /** VM-exit interruption information and its error code. */
  readonly interruptionInfo?: number;
  readonly interruptionErrorCode?: number;
}
export interface ExitEvent {
  readonly kind: 'exit';
  readonly exit: VmExit;
}

/** An access that no RAM answers, on a core without a second-level translation: the caller is the bus. */
export interface BusEvent {
  readonly kind: 'bus';
  readonly space: 'memory' | 'io';
  readonly op: 'read' | 'write';
  /** Physical address or port. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  /** What is written. */
  readonly value?: bigint;
  /** Memory only: what the access is for, where that is not an instruction's own data. */
  readonly purpose?: 'code' | 'table';
}

/** The port has no answer yet (KVM's emulator waiting for an MMIO or PIO reply); the instruction is run again with it. */
export interface SuspendEvent {
  readonly kind: 'suspend';
}
