/** The debug adapter as VS Code starts it: a process of its own that speaks over stdio, or with `--server=PORT` over TCP. */
import { dirname, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { serve } from '../dap/index';
import { openForWriting, readBytes } from '../node/files';
import { readIncluded } from '../node/include';
import { Session } from '../session/session';
import { gasFor } from './gas';
import { nasmFor } from './nasm';

serve(
  {
    createTarget: Session.create,
    readFile: readBytes,
    include: readIncluded,
    folderOf: dirname,
    openOutput: openForWriting,
    nasm: nasmFor,
    gas: (file) => gasFor(file),
    absolute: (path) => resolve(path),
    turn: (callback) => void setImmediate(callback),
    now: () => performance.now(),
  },
  process.argv.slice(2),
);
