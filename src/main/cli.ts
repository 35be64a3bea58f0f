/**
 * The command line on Node: files and standard streams. No signal is caught: each ends the process in the default
 * way.
 */
import { writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { runCli } from '../cli/index';
import type { CliHost } from '../cli/host';
import { serve } from '../dap/index';
import { adapterHost, knows, startAdapter } from './dap-host';
import { inWords, openForWriting, readBytes } from '../node/files';
import { gasFor } from './gas';
import { nasmFor } from './nasm';
import { version } from '../../package.json';

/**
 * Writes everything synchronously: a run's output must not be lost when the process ends, and a closed reader ends it
 * quietly.
 */
function put(fd: number, text: string | Uint8Array): void {
  let rest = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (e) {
      const code = e instanceof Error && 'code' in e ? e.code : undefined;
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') process.exit(0);
      // not our failure; and if standard error itself is unwritable, there is nowhere to report it
      if (fd === 1) put(2, `pagewalk: standard output cannot be written: ${inWords(e)}\n`);
      process.exit(2);
    }
  }
}

const host: CliHost = {
  readFile: (path) => readBytes(path),
  openOutput: openForWriting,
  nasm: (file) => nasmFor(resolve(file)),
  gas: (file) => gasFor(resolve(file)),
  dap: (at, secret) =>
    serve(
      secret ? { ...adapterHost, knowsSecret: knows(secret.text) } : adapterHost,
      at,
      startAdapter('dap', ...(secret ? ['--secret', secret.path] : [])),
    ),
  resolve: (name, from) => resolve(dirname(from), name),
  stdout: (text) => put(1, text),
  stderr: (text) => put(2, text),
  version,
};

void runCli(process.argv.slice(2), host).then((code) => {
  process.exitCode = code;
});
