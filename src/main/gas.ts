/** An installed GNU as in the place of the built-in assembler: what the adapter and the command line are given. */
import { assembledFromGas, gasBits } from '../asm/gas-output';
import type { Assembled } from '../asm/index';
import { runGas } from '../node/gas';
import type { Given } from '../session/launch/assembly';
import { absoluteFolders } from './nasm';

/** Assembles `file` (absolute) with the GNU as at `program`; its text is read by as itself. */
export const gasFor =
  (file: string, program?: string) =>
  (source: string, origin: bigint, given: Given): Assembled =>
    assembledFromGas(source, file, runGas(file, origin, gasBits(source), absoluteFolders(given), program));
