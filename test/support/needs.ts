/**
 * Tests against a program that a machine may lack ask for it here: where it is absent the test is skipped by name, and
 * `npm test` prints why.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, appendFileSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * Notes why a test, or every test of a suite, is skipped, where scripts/mocha-reporter.cjs asked for it: a line of JSON in
 * the file of this variable, since a test may run in a process of its own.
 */
function noteReason(title: string, why: string): void {
  const notes = process.env['PAGEWALK_SKIP_REASONS'];
  if (notes !== undefined) appendFileSync(notes, `${JSON.stringify({ title, why })}\n`);
}

/** The full path of a program on PATH, or undefined. */
export function which(program: string): string | undefined {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Skips the running test (or, from a `before` hook, its whole suite) and notes why. */
export function skipBecause(context: Mocha.Context, why: string): never {
  const runnable = context.runnable();
  const isHook = 'type' in runnable && runnable.type === 'hook';
  noteReason((isHook && runnable.parent ? runnable.parent : runnable).fullTitle(), why);
  return context.skip();
}

/** The path of `program`, for a test or `before` hook that cannot do without: `const nasm = needs(this, 'nasm')`. */
export function needs(context: Mocha.Context, program: string): string {
  return which(program) ?? skipBecause(context, `no ${program} on PATH`);
}

/** Oldest nasm that the comparisons know: earlier ones lack instructions, or word warnings differently. */
const NASM: readonly [number, number] = [2, 16];

/** Why comparisons with nasm cannot be made, in words; undefined where they can. */
export function whyNoNasm(): string | undefined {
  const nasm = which('nasm');
  if (nasm === undefined) return 'no nasm on PATH';
  const said = spawnSync(nasm, ['-v'], { encoding: 'utf8' }).stdout;
  const [major, minor] = /version (\d+)\.(\d+)/.exec(said)?.slice(1).map(Number) ?? [];
  if (major === undefined || minor === undefined) return `nasm -v said ${JSON.stringify(said.slice(0, 80))}`;
  const isOlder = major < NASM[0] || (major === NASM[0] && minor < NASM[1]);
  return isOlder ? `nasm ${major}.${minor} is older than ${NASM.join('.')}` : undefined;
}

/** Runs `commands` one after the other in a scratch folder that holds `files`; the first that fails, in words. */
function whyNot(files: Readonly<Record<string, string>>, commands: readonly (readonly string[])[]): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-needs-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    for (const [program = '', ...args] of commands) {
      const done = spawnSync(program, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
      if (done.status === 0) continue;
      const why =
        done.error?.message ?? done.stderr.split('\n').find((line) => line !== '') ?? `status ${done.status ?? '?'}`;
      return `${[program, ...args].join(' ')}: ${why}`;
    }
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Why GNU's tools cannot build x86 code here (absent, or made for another processor), in words. */
export const whyNoGas = (): string | undefined =>
  whyNot({ 'a.s': ' nop\n' }, [
    ['cpp', '-o', 'b.s', 'a.s'],
    ...['--32 elf_i386', '--64 elf_x86_64'].flatMap((each) => {
      const [width = '', target = ''] = each.split(' ');
      return [
        ['as', width, '-o', 'a.o', 'a.s'],
        ['ld', '-m', target, '--no-warn-rwx-segments', '-o', 'a.elf', 'a.o'],
      ];
    }),
  ]);

/** Why this gcc cannot build a program for x86-64 (no C library's headers, no linker, another target), in words. */
export const whyNoProgram = (gcc: string): string | undefined =>
  whyNot(
    {
      'a.c': [
        ...['signal', 'stdio', 'ucontext'].map((name) => `#include <${name}.h>`),
        '#ifndef __x86_64__\n#error another target\n#endif',
        'int main(void) { return puts("") < 0; }\n',
      ].join('\n'),
    },
    [[gcc, '-o', 'a', 'a.c']],
  );
