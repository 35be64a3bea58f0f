/** The command line with files in memory, and golden files. */
import * as assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/cli';
import type { CliHost } from '../../src/cli/host';

const HERE = dirname(fileURLToPath(import.meta.url));

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What was written, by path. */
  readonly files: Readonly<Record<string, string>>;
}

const text = (content: Uint8Array | string): string =>
  typeof content === 'string' ? content : Buffer.from(content).toString('latin1');

/** Runs `pagewalk <args>` over `files`. What lies in /read-only cannot be opened for writing, what lies in /full not written. */
export async function pagewalk(
  args: readonly string[],
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<CliResult> {
  const out = { stdout: '', stderr: '' };
  const written: Record<string, string> = {};
  const host: CliHost = {
    readFile(path) {
      const content = files[path];
      if (content === undefined) return { ok: false, why: 'there is no such file' };
      return { ok: true, bytes: typeof content === 'string' ? new TextEncoder().encode(content) : content };
    },
    openOutput(path) {
      if (path.startsWith('/read-only/')) return { ok: false, why: 'permission denied' };
      written[path] = '';
      const write = (content: Uint8Array | string): string | undefined => {
        if (path.startsWith('/full/')) return 'no space is left';
        written[path] += text(content);
        return undefined;
      };
      return { ok: true, file: { identity: posix.resolve('/', path), write, close: () => undefined } };
    },
    dap(at, secret) {
      out.stdout += `${JSON.stringify({ ...at, ...(secret ? { secret } : {}) })}\n`;
      return Promise.resolve(0);
    },
    resolve: (name, from) => posix.join(posix.dirname(from), name),
    stdout: (content) => void (out.stdout += text(content)),
    stderr: (content) => void (out.stderr += content),
    version: '0.0.0',
  };
  const code = await runCli(args, host);
  return { code, ...out, files: written };
}

/** The text of one of the guests in examples/. */
export const example = (name: string): string => readFileSync(join(HERE, '../../examples', `${name}.asm`), 'utf8');

/** Compares with test/golden/<path>; UPDATE_GOLDEN=1 writes that file instead. */
export function assertGolden(path: string, actual: string): void {
  const file = join(HERE, '../golden', path);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  assert.equal(actual, readFileSync(file, 'utf8'));
}
