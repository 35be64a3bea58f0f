/** What the debug adapter needs from Node. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createHash, timingSafeEqual } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { AdapterHost } from '../dap/index';
import { openForWriting, readBytes } from '../node/files';
import { readIncluded } from '../node/include';
import { realPath, sourceFinder } from '../node/moved';
import { Session } from '../session/session';
import { gasFor } from './gas';
import { nasmFor } from './nasm';

export const adapterHost: AdapterHost = {
  createTarget: Session.create,
  readFile: (path) => readBytes(path),
  include: readIncluded,
  folderOf: dirname,
  openOutput: openForWriting,
  nasm: nasmFor,
  gas: (file) => gasFor(file),
  sourceFinder,
  realPath,
  absolute: (path) => resolve(path),
  turn: (callback) => void setImmediate(callback),
  now: () => performance.now(),
};

/** Compares with a secret in constant time. */
export const knows = (secret: string): ((candidate: string) => boolean) => {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const known = digest(secret);
  return (candidate) => timingSafeEqual(known, digest(candidate));
};

/** This program again, with arguments that make it an adapter on its standard streams. */
export const startAdapter =
  (...args: string[]) =>
  (): ChildProcessWithoutNullStreams =>
    spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args]);
