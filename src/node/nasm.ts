/** Runs an installed nasm on a file, in its own temporary directory, and returns everything it wrote. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';

/** Time limit for a source that keeps nasm busy (such as an endless macro). */
const TIMEOUT_MS = 30_000;
const MAX_MESSAGES = 4 * 1024 * 1024;

/** The assembler's input besides the source; folders as full paths. */
export interface AssemblerGifts {
  readonly defines: Readonly<Record<string, string>>;
  readonly includePath: readonly string[];
  /** As `nasm -w` takes them; GNU as has no equivalent. */
  readonly warnings: readonly string[];
}

export interface NasmRun {
  readonly ok: boolean;
  readonly image: Uint8Array;
  readonly listing: string;
  readonly map: string;
  /** Standard error, or why nasm could not be run. */
  readonly messages: string;
}

/**
 * `nasm -f bin` with listing and map. No shell is involved: `program` is one path or name, never a command line.
 * @param origin where the image is placed; undefined if the source has its own `org`
 */
export function runNasm(
  file: string,
  origin: bigint | undefined,
  { defines, includePath, warnings }: AssemblerGifts,
  program = 'nasm',
): NasmRun {
  const scratch = mkdtempSync(join(tmpdir(), 'pagewalk-nasm-'));
  const at = (name: string): string => join(scratch, name);
  try {
    const before = [`[map all ${at('a.map')}]`, ...(origin === undefined ? [] : [`org 0x${origin.toString(16)}`])];
    const options = ['-f', 'bin', '-o', at('a.bin'), '-l', at('a.lst'), '-I', dirname(file) + sep];
    options.push(...warnings.map((each) => `-w${each}`));
    options.push(...includePath.flatMap((folder) => ['-I', folder + sep]));
    options.push(...Object.entries(defines).flatMap(([name, text]) => ['-D', `${name}=${text}`]));
    const done = spawnSync(program, [...options, ...before.flatMap((line) => ['--before', line]), file], {
      cwd: dirname(file),
      encoding: 'utf8',
      // messages are parsed: English regardless of the user's locale
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: MAX_MESSAGES,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    const read = (name: string): string => (existsSync(at(name)) ? readFileSync(at(name), 'utf8') : '');
    const why = done.error
      ? `${program} cannot be run (${done.error.message}); set pagewalk.nasmPath, or use the built-in assembler`
      : '';
    return {
      ok: done.status === 0,
      image: done.status === 0 && existsSync(at('a.bin')) ? readFileSync(at('a.bin')) : new Uint8Array(0),
      listing: read('a.lst'),
      map: read('a.map'),
      messages: why || (done.stderr ?? ''),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
