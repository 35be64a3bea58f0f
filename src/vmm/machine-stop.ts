import type { FaultEvent } from '../hw/state/event';
import type { UnmetCheck } from '../kvm/userspace-exit';
import type { ExitInfo } from '../kvm/exit-info';
import type { FaultInChain } from './fault-reasons';

/** How a run ended. */
export interface MachineEnd {
  readonly kind: 'halt' | 'idle' | 'exit-port' | 'triple-fault' | 'limit' | 'entry-failure' | 'internal-error';
  /** Exit code of the command line: odd ones are the guest's, even ones identify the kind of end. */
  readonly code: number;
  readonly rip: bigint;
  /** One sentence for the user. */
  readonly why: string;
  /** Entry failures: the VM-entry checks that failed. */
  readonly unmet: readonly UnmetCheck[];
  /** The guest stopped where a BIOS would continue; there is none. */
  readonly unserved?: true;
  /** The guest's exceptions that led there, innermost last. */
  readonly reason?: readonly FaultInChain[];
}

/** Exit codes of the ends that the guest does not choose. */
export const END_CODES = {
  halt: 0,
  idle: 0,
  'triple-fault': 4,
  limit: 6,
  'entry-failure': 8,
  'internal-error': 8,
} as const;

/** The VMM function that an instruction entered, and why without a VM exit. */
export interface OutsideCause {
  readonly fn: string;
  readonly why: string;
}

/** Why `Machine.run` returned. */
export type MachineStop =
  | { readonly kind: 'budget' }
  /** Before the instruction at a breakpoint. */
  | { readonly kind: 'breakpoint'; readonly vcpu: number; readonly linear: bigint }
  /** Before an exception is delivered to the guest, because the CPU's fault observer requested it. */
  | { readonly kind: 'fault'; readonly vcpu: number; readonly event: FaultEvent }
  /** After a VM exit and before it is handled, because `pauseAtExits` requested it. */
  | { readonly kind: 'exit-pending'; readonly exit: ExitInfo }
  /** Before the VMM acts on an instruction that does not exit, because `pauseOutside` requested it. */
  | { readonly kind: 'outside-pending'; readonly about: OutsideCause }
  | { readonly kind: 'end'; readonly end: MachineEnd };
