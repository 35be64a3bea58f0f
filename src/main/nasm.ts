/** An installed nasm in place of the built-in assembler, for the adapter and the command line. */
import { resolve } from 'node:path';
import type { Assembled } from '../asm/index';
import { assembledFromNasm, statesOrigin } from '../asm/nasm-output';
import { runNasm } from '../node/nasm';
import type { Given } from '../session/launch/assembly';

/** The `include` folders as a process with another working directory finds them. */
export const absoluteFolders = (given: Given): Given => ({
  ...given,
  includePath: given.includePath.map((folder) => resolve(folder)),
});

/** Assembles `file` (absolute) with the nasm at `program`; nasm reads the text itself. */
export const nasmFor =
  (file: string, program?: string) =>
  (source: string, origin: bigint, given: Given): Assembled =>
    assembledFromNasm(
      source,
      file,
      runNasm(file, statesOrigin(source) ? undefined : origin, absoluteFolders(given), program),
    );
