import type { Gpa, Gva, Hpa, Hva } from '../base/address';
import type { TableKind } from '../hw/paging/trace';

/** Who acts. */
export type Actor = 'guest' | 'cpu' | 'kvm' | 'host' | 'vmm';

/** Where that code runs: VMX non-root or root operation for the CPU itself, kernel or user mode of the host for software. */
export type ActorMode = 'non-root' | 'root' | 'kernel' | 'user';

/** The same byte in every address space known at this moment. */
export interface StepAddresses {
  readonly gva?: Gva;
  readonly gpa?: Gpa;
  readonly hva?: Hva;
  readonly hpa?: Hpa;
}

/** One paging-structure entry read or written by software or, in a summary of a hardware walk, by the CPU. */
export interface TableAccess {
  readonly table: TableKind;
  /** 4 … 1: the level of the table that holds the entry. */
  readonly level: number;
  readonly index: number;
  /** Where the entry lies. */
  readonly address: Hpa;
  /** The 64-bit entry: as read, or after the write. */
  readonly value: bigint;
  /** Writes only: the previous value. */
  readonly previous?: bigint;
}

/** One VMREAD or VMWRITE; under SVM a load or store of a VMCB field, whose offset is the encoding. */
export interface VmcsAccess {
  /** Default: a VMCS. */
  readonly of?: 'vmcb';
  readonly op: 'read' | 'write';
  /** The field's encoding (SDM vol. 3, appendix B) and its Linux name. */
  readonly encoding: number;
  readonly field: string;
  readonly value: bigint;
}

/**
 * One action in the handling of an exit, in execution order. `fn` is the Linux function that performs it
 * (arch/x86/kvm, mm/, or the hardware's own name for CPU steps), so a reader can open the kernel source alongside.
 */
export interface Step {
  readonly actor: Actor;
  readonly mode: ActorMode;
  readonly fn: string;
  /** One sentence, present tense. */
  readonly what: string;
  readonly addresses: StepAddresses;
  readonly reads: readonly TableAccess[];
  readonly writes: readonly TableAccess[];
  readonly vmcs: readonly VmcsAccess[];
  /** Table entries loaded in this step. */
  readonly references: number;
  /** From the cost model (costs.ts), never a measurement. */
  readonly cycles: number;
}

const NONE: readonly never[] = [];

export interface StepParts {
  readonly addresses?: StepAddresses;
  readonly reads?: readonly TableAccess[];
  readonly writes?: readonly TableAccess[];
  readonly vmcs?: readonly VmcsAccess[];
  /** References beyond `reads` (which count one each). */
  readonly references?: number;
}

/** A step of host software or hardware; the entries read are its references. */
export function step(
  actor: Actor,
  mode: ActorMode,
  fn: string,
  what: string,
  cycles: number,
  parts: StepParts = {},
): Step {
  const reads = parts.reads ?? NONE;
  return {
    actor,
    mode,
    fn,
    what,
    addresses: parts.addresses ?? {},
    reads,
    writes: parts.writes ?? NONE,
    vmcs: parts.vmcs ?? NONE,
    references: reads.length + (parts.references ?? 0),
    cycles,
  };
}

export const hostStep = (fn: string, what: string, cycles: number, parts?: StepParts): Step =>
  step('host', 'kernel', fn, what, cycles, parts);
export const kvmStep = (fn: string, what: string, cycles: number, parts?: StepParts): Step =>
  step('kvm', 'kernel', fn, what, cycles, parts);
export const vmmStep = (fn: string, what: string, cycles: number, parts?: StepParts): Step =>
  step('vmm', 'user', fn, what, cycles, parts);

/** A piece of work that yields its steps as it proceeds. */
export type Work<T> = Generator<Step, T, void>;

/** Runs the work to completion and keeps only the result. */
export function drain<T>(work: Work<T>, onStep?: (s: Step) => void): T {
  for (;;) {
    const next = work.next();
    if (next.done === true) return next.value;
    onStep?.(next.value);
  }
}
