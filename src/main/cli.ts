/** The command line on Node: files, standard streams, Ctrl-C. */
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { runCli } from '../cli/index';
import type { CliHost } from '../cli/host';
import { serve } from '../dap/index';
import { adapterHost, startAdapter } from './dap-host';
import { gasFor } from './gas';
import { nasmFor } from './nasm';
import { version } from '../../package.json';

const why = (e: unknown): string => {
  const code = e instanceof Error && 'code' in e ? e.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EISDIR':
      return 'it is a folder';
    case 'EACCES':
    case 'EPERM':
      return 'permission is denied';
    default:
      return e instanceof Error ? e.message : String(e);
  }
};

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

let interrupted = false;
const interrupt = (): void => {
  interrupted = true;
};
process.on('SIGINT', interrupt);

const host: CliHost = {
  readFile(path) {
    try {
      return { ok: true, bytes: readFileSync(path) };
    } catch (e) {
      return { ok: false, why: why(e) };
    }
  },
  writeFile(path, content) {
    try {
      writeFileSync(path, content);
      return undefined;
    } catch (e) {
      return why(e);
    }
  },
  nasm: (file) => nasmFor(resolve(file)),
  gas: (file) => gasFor(resolve(file)),
  dap: (at) => {
    // between its requests nothing asks whether Ctrl-C was pressed
    process.removeListener('SIGINT', interrupt);
    return serve(adapterHost, at, startAdapter('dap'));
  },
  resolve: (name, from) => resolve(dirname(from), name),
  stdout: (text) => put(1, text),
  stderr: (text) => put(2, text),
  turn: () => new Promise((done) => setImmediate(done)),
  get interrupted() {
    return interrupted;
  },
  version,
};

void runCli(process.argv.slice(2), host).then((code) => {
  process.exitCode = code;
});
