import type { FaultEvent } from '../hw/state/event';
import type { UnmetCheck } from '../kvm/userspace-exit';
import type { ExitInfo } from '../kvm/exit-info';
import type { FaultInChain } from './fault-reasons';

/** How a run ended for good. */
export interface MachineEnd {
  readonly kind: 'halt' | 'idle' | 'exit-port' | 'triple-fault' | 'limit' | 'entry-failure' | 'internal-error';
  /** Exit code of the command line: odd ones are the guest's, even ones say how it ended. */
  readonly code: number;
  readonly rip: bigint;
  /** One sentence for a person. */
  readonly why: string;
  /** Entry failures: the VM-entry checks that did not hold. */
  readonly unmet: readonly UnmetCheck[];
  /** It stands where a BIOS would go on; there is none. */
  readonly unserved?: true;
  /** The guest's exceptions that led there, innermost last. */
  readonly reason?: readonly FaultInChain[];
}

/** Exit codes of the ends that are not the guest's own word. */
export const END_CODES = {
  halt: 0,
  idle: 0,
  'triple-fault': 4,
  limit: 6,
  'entry-failure': 8,
  'internal-error': 8,
} as const;

/** A VM exit before anything is done about it. */
export interface PendingExit extends ExitInfo {
  /** 0 for the first exit of the run. */
  readonly number: number;
}

/** The function of the VMM's that an instruction went into, and why no VM exit led there. */
export interface OutsideCause {
  readonly fn: string;
  readonly why: string;
}

/** Why `Machine.run` returned. */
export type MachineStop =
  | { readonly kind: 'budget' }
  /** Before the instruction at a breakpoint. */
  | { readonly kind: 'breakpoint'; readonly vcpu: number; readonly linear: bigint }
  /** Before an exception is delivered to the guest, because the CPU's fault observer asked. */
  | { readonly kind: 'fault'; readonly vcpu: number; readonly event: FaultEvent }
  /** After a VM exit and before anything was done about it, because `pauseAtExits` asked. */
  | { readonly kind: 'exit-pending'; readonly exit: PendingExit }
  /** Before what an instruction causes in the VMM is done, without an exit, because `pauseOutside` asked. */
  | { readonly kind: 'outside-pending'; readonly about: OutsideCause }
  | { readonly kind: 'end'; readonly end: MachineEnd };
