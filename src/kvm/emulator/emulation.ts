import type { TaskSwitch } from '../../hw/cpu/system/task';
import type { FaultEvent, VmExit } from '../../hw/state/event';
import type { Interruption } from '../../hw/state/interruption';
import type { Work } from '../../trace/step';
import type { IoLogState, IoRequest } from './io-log';

export type Emulation =
  | { readonly kind: 'done' }
  /** The instruction waits for user space; run it again after `answer`. */
  | { readonly kind: 'suspend'; readonly request: IoRequest }
  | { readonly kind: 'fault'; readonly event: FaultEvent }
  /** INT n, INT3, INTO or INT1, to be delivered to its handler. */
  | { readonly kind: 'interrupt'; readonly event: Interruption }
  /** A sensitive instruction: the exit it would cause, whose handler emulates it. */
  | { readonly kind: 'intercepted'; readonly exit: VmExit }
  /** The emulator does not support it. */
  | { readonly kind: 'failed'; readonly why: string };

/** The outcome of work that KVM does in the processor's place. */
export type ByHand = Extract<Emulation, { readonly kind: 'done' | 'fault' | 'intercepted' | 'failed' }>;

/**
 * KVM's interface to its instruction emulator (struct x86_emulate_ops and its entry points,
 * arch/x86/kvm/kvm_emulate.h).
 */
export interface InstructionEmulator {
  /** Length of the last decoded instruction; 0: none. */
  readonly mnemonic: number;
  /** Starts a new instruction: no access has been answered yet. */
  begin(): void;
  /** User space's answer to the access that suspended the instruction. */
  answer(value: bigint): void;
  /** The bytes of the instruction at RIP, which has exited; undefined: it is invalid, or its page is gone. */
  peek(): Uint8Array | undefined;
  /** x86_emulate_instruction. */
  run(): Work<Emulation>;
  /** emulate_int: an event through the guest's IVT or IDT. */
  deliver(i: Interruption): Work<ByHand>;
  /** emulator_task_switch. */
  taskSwitch(wanted: TaskSwitch): Work<ByHand>;
  save(): IoLogState;
  restore(s: IoLogState): void;
}
