/** What the editor says about an instruction. Written for this project; the facts are those of Intel's manual, volume 2 and volume 3, chapter 25. */
import type { VmxExitName } from '../../isa/exits';

/** A VM exit that an instruction can cause in a guest, and under which setting. */
export interface ExitNote {
  readonly exit: VmxExitName;
  readonly when: string;
}

export interface InstructionDoc {
  readonly title: string;
  /** What it does, in one or two sentences. */
  readonly does: string;
  /** The operation as an assignment. */
  readonly operation?: string;
  /** What the flag table does not say. */
  readonly flags?: string;
  /** Exceptions beside those that any memory operand or LOCK prefix can raise. */
  readonly exceptions?: readonly string[];
  readonly exits?: readonly ExitNote[];
}

/** By mnemonic as NASM spells it, lower case. */
export type InstructionTable = Readonly<Record<string, InstructionDoc>>;

type Details = Pick<InstructionDoc, 'operation' | 'flags' | 'exceptions' | 'exits'>;

export const doc = (title: string, does: string, details: Details | string = {}): InstructionDoc => ({
  title,
  does,
  ...(typeof details === 'string' ? { operation: details } : details),
});

export const exit = (name: VmxExitName, when = 'always'): ExitNote => ({ exit: name, when });
export const CPL0 = '#GP where CPL is above 0';
