/**
 * Runs an installed GNU as and ld (and cpp for `.S`) on a file, in its own temporary directory, and returns the
 * linked file.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { AssemblerGifts } from './nasm';

const TIMEOUT_MS = 30_000;
const MAX_MESSAGES = 4 * 1024 * 1024;

export interface GasRun {
  readonly ok: boolean;
  readonly elf: Uint8Array;
  /** Standard error of the steps, or why one could not be run. */
  readonly messages: string;
}

/**
 * Assembles with a line table and links the text at `origin`. No shell is involved: `program` is one path or name; ld
 * and cpp are looked up by name.
 * @param bits of the code at its start: 64 for x86-64, else i386, which also holds 16-bit code
 */
export function runGas(
  file: string,
  origin: bigint,
  bits: 16 | 32 | 64,
  { defines, includePath }: AssemblerGifts,
  program = 'as',
): GasRun {
  const scratch = mkdtempSync(join(tmpdir(), 'pagewalk-gas-'));
  const at = (name: string): string => join(scratch, name);
  let messages = '';
  const step = (command: string, args: readonly string[]): boolean => {
    const done = spawnSync(command, args, {
      cwd: dirname(file),
      encoding: 'utf8',
      // messages are parsed: English regardless of the user's locale
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: MAX_MESSAGES,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    messages += done.error
      ? `${command} cannot be run (${done.error.message}); install GNU binutils, or write the source in NASM syntax for the built-in assembler\n`
      : (done.stderr ?? '');
    return done.status === 0;
  };
  try {
    const source = file.endsWith('.S') ? at('a.s') : file;
    const folders = [dirname(file), ...includePath].flatMap((folder) => ['-I', folder]);
    const macros = Object.entries(defines).map(([name, text]) => `-D${name}${text === '' ? '' : `=${text}`}`);
    // Without cpp there are only numbers; a name without a value is 1, as in cpp.
    const symbols = Object.entries(defines).flatMap(([name, text]) => ['--defsym', `${name}=${text || '1'}`]);
    const [width, target] = bits === 64 ? ['--64', 'elf_x86_64'] : ['--32', 'elf_i386'];
    const ok =
      (source === file || step('cpp', ['-x', 'assembler-with-cpp', ...folders, ...macros, '-o', source, file])) &&
      step(program, [
        width,
        '-g',
        '--gdwarf-4',
        ...folders,
        ...(source === file ? symbols : []),
        '-o',
        at('a.o'),
        source,
      ]) &&
      step('ld', [
        '-m',
        target,
        '-nostdlib',
        '-static',
        '--no-warn-rwx-segments',
        '-N',
        '-Ttext',
        `0x${origin.toString(16)}`,
        '-e',
        `0x${origin.toString(16)}`,
        '-o',
        at('a.elf'),
        at('a.o'),
      ]);
    return { ok, elf: ok && existsSync(at('a.elf')) ? readFileSync(at('a.elf')) : new Uint8Array(0), messages };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
