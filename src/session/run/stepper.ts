/** Where a step in the guest begins and ends. */
import { disassemble } from '../../asm/index';
import { SEG } from '../../hw/state/layout';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';
import type { SymbolTable } from '../guest/symbols';

export type Granularity = 'instruction' | 'line';

export interface Place {
  readonly linear: bigint;
  readonly instructions: number;
  /** `file:line`, or undefined outside the source. */
  readonly line: string | undefined;
}

export type StepGoal =
  | {
      readonly kind: 'step';
      /** `call`: into calls, over exits. */
      readonly into: boolean | 'call';
      readonly unit: Granularity;
      readonly start: Place;
    }
  /** Until a return leaves the stack above `rsp`. */
  | { readonly kind: 'out'; readonly rsp: bigint };

/** A call stepped over: reached when the CPU is back at `address` with the stack unwound to `rsp` or above. */
export interface CallReturn {
  readonly address: bigint;
  readonly rsp: bigint;
}

const RSP = 4;
const MAX_INSTRUCTION = 15;
const RETURNS = /^(o16 |o32 |o64 |repn?e? )?(ret|iret)/;
const CALLS = /^(call|int\b|int3|into|syscall|sysenter)/;

export class Stepper {
  /** The instruction just executed was a RET or IRET. */
  private returned = false;

  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly symbols: SymbolTable,
  ) {}

  get rsp(): bigint {
    return this.guest.state.get(RSP);
  }
  place(): Place {
    const linear = this.guest.linearRip;
    const at = this.symbols.lineAt(linear);
    return { linear, instructions: this.guest.retired, line: at && `${at.file}:${at.line}` };
  }

  /** Looks at the next instruction of a step over or out: a call is to be run to its return, and a return is remembered. */
  look(goal: StepGoal): CallReturn | undefined {
    if (goal.kind === 'step' && goal.into !== false) return undefined;
    const { rip } = this.guest.state;
    const { bytes } = this.memory.read({ space: 'gva', value: this.guest.linearRip }, MAX_INSTRUCTION);
    const [insn] = disassemble(bytes, rip, this.guest.bits, 1);
    const text = insn?.valid ? insn.text : '';
    this.returned = RETURNS.test(text);
    if (!insn || !CALLS.test(text)) return undefined;
    return { address: this.guest.linear(SEG.CS, rip + BigInt(insn.length)), rsp: this.rsp };
  }

  /** Whether the guest now stands where the step ends. */
  reached(goal: StepGoal): boolean {
    if (goal.kind === 'out') return this.returned && this.rsp > goal.rsp;
    const now = this.place();
    const { start } = goal;
    // one iteration of a REP instruction moves nothing, but is as far as an instruction step goes into it
    if (now.linear === start.linear && now.instructions === start.instructions)
      return goal.into === true && goal.unit === 'instruction';
    if (goal.unit === 'instruction' || start.line === undefined) return true;
    // another line, or the same one again: a jump back to its first instruction
    return now.line !== start.line || this.symbols.lineStart(now.linear) === now.linear;
  }
}
