/** The command line on Node: files and standard streams. */
import { writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { runCli } from '../cli/index';
import type { CliHost } from '../cli/host';
import { serve } from '../dap/index';
import { adapterHost, startAdapter } from './dap-host';
import { readBytes, writeWhole } from '../node/files';
import { gasFor } from './gas';
import { nasmFor } from './nasm';
import { version } from '../../package.json';

/** Writes all of it at once: a run's output must not be lost when the process ends, and a reader that went away ends it quietly. */
function put(fd: number, text: string | Uint8Array): void {
  let rest = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (e) {
      const code = e instanceof Error && 'code' in e ? e.code : undefined;
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') process.exit(0);
      throw e;
    }
  }
}

const host: CliHost = {
  readFile: (path) => readBytes(path),
  writeFile: writeWhole,
  nasm: (file) => nasmFor(resolve(file)),
  gas: (file) => gasFor(resolve(file)),
  dap: (at) => serve(adapterHost, at, startAdapter('dap')),
  resolve: (name, from) => resolve(dirname(from), name),
  stdout: (text) => put(1, text),
  stderr: (text) => put(2, text),
  turn: () => new Promise((done) => setImmediate(done)),
  // every signal ends the process as it would any other: at once, in the midst of a long piece of work too
  interrupted: false,
  version,
};

void runCli(process.argv.slice(2), host).then((code) => {
  process.exitCode = code;
});
