/** An installed GNU as in place of the built-in assembler, for the adapter and the command line. */
import { assembledFromGas, gasBits } from '../asm/gas-output';
import type { Assembled } from '../asm/index';
import { runGas } from '../node/gas';
import type { Given } from '../session/launch/assembly';
import { absoluteFolders } from './nasm';

/** Assembles `file` (absolute) with the GNU as at `program`; as reads the text itself. */
export const gasFor =
  (file: string, program?: string) =>
  (source: string, origin: bigint, given: Given): Assembled =>
    assembledFromGas(source, file, runGas(file, origin, gasBits(source), absoluteFolders(given), program));
