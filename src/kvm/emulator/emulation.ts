import type { TaskSwitch } from '../../hw/cpu/system/task';
import type { FaultEvent, VmExit } from '../../hw/state/event';
import type { Interruption } from '../../hw/state/interruption';
import type { Work } from '../../trace/step';
import type { IoLogState, IoRequest } from './io-log';

export type Emulation =
  | { readonly kind: 'done' }
  /** The instruction waits for user space; run again after `answer`. */
  | { readonly kind: 'suspend'; readonly request: IoRequest }
  | { readonly kind: 'fault'; readonly event: FaultEvent }
  /** INT n, INT3, INTO or INT1, on its way to the handler. */
  | { readonly kind: 'interrupt'; readonly event: Interruption }
  /** A sensitive instruction: the exit that it would be, whose handler does it. */
  | { readonly kind: 'intercepted'; readonly exit: VmExit }
  /** The emulator cannot do it. */
  | { readonly kind: 'failed'; readonly why: string };

/** How something that KVM does in the processor's place ended. */
export type ByHand = Extract<Emulation, { readonly kind: 'done' | 'fault' | 'intercepted' | 'failed' }>;

/** What KVM asks of its instruction emulator (struct x86_emulate_ops and its entry points, arch/x86/kvm/kvm_emulate.h). */
export interface InstructionEmulator {
  /** Of the instruction that it decoded last; 0: of none. */
  readonly mnemonic: number;
  /** A new instruction: nothing is answered yet. */
  begin(): void;
  /** User space's answer to the access that suspended the instruction. */
  answer(value: bigint): void;
  /** The bytes of the instruction at RIP, which has exited; undefined: it has no meaning, or its page is gone. */
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
