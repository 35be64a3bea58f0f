import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { formatDiagnostic } from '../../src/base/diagnostic';
import { assemble } from '../../src/asm/index';
import { HAS_NASM } from './native';

/**
 * Guests of other people, against native nasm: PAGEWALK_GUESTS names a folder with one folder per project. Every source that nasm itself
 * assembles from some folder of its project must come out byte for byte the same.
 */
const GUESTS = process.env['PAGEWALK_GUESTS'];
if (GUESTS === undefined) console.log('skipped: guests of other people (PAGEWALK_GUESTS names no folder)');

const isSource = (name: string): boolean => /\.(asm|nasm)$/i.test(name);

function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : sourcesBelow(path);
    return entry.isFile() && isSource(entry.name) ? [path] : [];
  });
}

/** The folders nasm may have been started in: the file's own and those above it, up to the project's. */
function foldersUpTo(project: string, file: string): string[] {
  const out: string[] = [];
  for (let at = dirname(file); ; at = dirname(at)) {
    out.push(at);
    if (at === project || relative(project, at).startsWith('..')) return out;
  }
}

function native(file: string, folder: string, into: string): Uint8Array | undefined {
  const output = join(into, 'a.bin');
  rmSync(output, { force: true });
  const done = spawnSync('nasm', ['-w-all', '-f', 'bin', '-o', output, relative(folder, file)], {
    cwd: folder,
    timeout: 20_000,
    stdio: 'ignore',
  });
  return done.status === 0 && existsSync(output) ? readFileSync(output) : undefined;
}

/** Undefined where the images are equal, else the first thing that is wrong. */
function difference(file: string, folder: string, expected: Uint8Array): string | undefined {
  const source = readFileSync(file, 'latin1');
  const ours = assemble(source, {
    fileName: relative(folder, file),
    readFile: (path) => {
      const at = resolve(folder, path);
      return existsSync(at) && statSync(at).isFile() ? readFileSync(at) : undefined;
    },
  });
  const error = ours.diagnostics.find((d) => d.severity === 'error');
  if (error)
    return `${formatDiagnostic(error)} (${ours.diagnostics.filter((d) => d.severity === 'error').length} errors)`;
  const at = expected.findIndex((byte, i) => ours.image[i] !== byte);
  if (at < 0 && ours.image.length === expected.length) return undefined;
  const line = [...ours.lines].reverse().find((l) => Number(l.address - ours.origin) <= at);
  return `${ours.image.length} bytes, nasm ${expected.length}; first difference at ${at}, ${line?.file ?? ''}:${line?.line ?? 0}`;
}

describe('asm: guests of other people', () => {
  if (GUESTS === undefined || !HAS_NASM) return;
  for (const name of readdirSync(GUESTS).sort()) {
    const project = resolve(GUESTS, name);
    if (!statSync(project).isDirectory()) continue;
    it(`equal nasm: ${name}`, function () {
      this.timeout(600_000);
      const scratch = mkdtempSync(join(tmpdir(), 'pagewalk-guests-'));
      const differ: string[] = [];
      let compared = 0;
      let parts = 0;
      try {
        for (const file of sourcesBelow(project).sort()) {
          const folder = foldersUpTo(project, file).find((f) => native(file, f, scratch) !== undefined);
          const expected = folder === undefined ? undefined : native(file, folder, scratch);
          if (folder === undefined || expected === undefined) {
            parts++;
            continue;
          }
          compared++;
          const why = difference(file, folder, expected);
          if (why !== undefined) differ.push(`${relative(project, file)}: ${why}`);
        }
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
      console.log(
        `    ${name}: ${compared} sources compared, ${differ.length} differ, ${parts} are no program by themselves`,
      );
      assert.deepStrictEqual(differ, []);
    });
  }
});
