/** An installed nasm in the place of the built-in assembler: what the adapter and the command line are given. */
import type { Assembled } from '../asm/index';
import { assembledFromNasm, statesOrigin } from '../asm/nasm-output';
import { runNasm } from '../node/nasm';

/** Assembles `file` (absolute) with the nasm at `program`; its text is read by nasm itself. */
export const nasmFor =
  (file: string, program?: string) =>
  (source: string, origin: bigint): Assembled =>
    assembledFromNasm(source, file, runNasm(file, statesOrigin(source) ? undefined : origin, program));
