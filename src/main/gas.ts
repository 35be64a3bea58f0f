/** An installed GNU as in the place of the built-in assembler: what the adapter and the command line are given. */
import { assembledFromGas, gasBits } from '../asm/gas-output';
import type { Assembled } from '../asm/index';
import { runGas } from '../node/gas';

/** Assembles `file` (absolute) with the GNU as at `program`; its text is read by as itself. */
export const gasFor =
  (file: string, program?: string) =>
  (source: string, origin: bigint): Assembled =>
    assembledFromGas(source, file, runGas(file, origin, gasBits(source), program));
