/**
 * The only way to open a file that a user or a guest names: a regular file of bounded size, opened without blocking.
 * A FIFO, a device or an endless file is refused with a message. The files read are remembered, so no output
 * overwrites an input under any name.
 */
import type { Stats } from 'node:fs';
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'its file system is read-only',
  ENOSPC: 'no space is left',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'it has reached the size that the system allows',
  EIO: 'the device reports an error',
  // a FIFO without a reader, or a socket
  ENXIO: 'it is not an ordinary file',
  ELOOP: 'its symbolic links go in a circle',
};

/** What went wrong with a file. */
export function inWords(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}

/** Limit for any guest, firmware, module or disk that is read into memory as a whole. */
const MAX_READ = 1 << 30;
/** Files that report a size of zero without being empty (/proc): read up to this limit to find out. */
const CHUNK = 1 << 16;

/** Device and inode of what was read, with its name. */
const inputs = new Map<string, string>();
const identity = (s: Stats): string => `${s.dev}:${s.ino}`;

function kindOf(s: Stats): string {
  if (s.isDirectory()) return 'it is a folder';
  if (s.isFIFO()) return 'it is a FIFO, not an ordinary file';
  if (s.isCharacterDevice() || s.isBlockDevice()) return 'it is a device, not an ordinary file';
  return 'it is not an ordinary file';
}

export type ReadOutcome =
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };

/** Reads a regular file of at most `most` bytes. */
export function readBytes(path: string, most = MAX_READ): ReadOutcome {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const status = fstatSync(descriptor);
    if (!status.isFile()) return { ok: false, why: kindOf(status) };
    if (status.size > most) return { ok: false, why: `it is ${status.size} bytes long; the maximum is ${most}` };
    const bytes = Buffer.alloc(status.size);
    let length = 0;
    while (length < bytes.length) {
      const n = readSync(descriptor, bytes, length, bytes.length - length, length);
      if (n === 0) break;
      length += n;
    }
    // a file that reports no size but is not empty
    const more = readSync(descriptor, Buffer.alloc(CHUNK), 0, CHUNK, length);
    if (more > 0) return { ok: false, why: 'its size is not known before it is read; copy it to an ordinary file' };
    inputs.set(identity(status), path);
    return { ok: true, bytes: bytes.subarray(0, length) };
  } catch (error) {
    return { ok: false, why: inWords(error) };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const NOBODY = '/dev/null';

/** A descriptor of a regular file, truncated, with the file's identity; or of /dev/null, which has none. */
function openEmpty(path: string): { readonly descriptor: number; readonly identity: string | undefined } | string {
  try {
    const descriptor = openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
    if (path === NOBODY) return { descriptor, identity: undefined };
    const status = fstatSync(descriptor);
    const input = inputs.get(identity(status));
    if (!status.isFile() || input !== undefined) {
      closeSync(descriptor);
      return input === undefined ? kindOf(status) : `it is the same file as the input ${input}; name another`;
    }
    ftruncateSync(descriptor, 0);
    return { descriptor, identity: identity(status) };
  } catch (error) {
    return inWords(error);
  }
}

export interface OpenFile {
  /** The file's identity, under any name; undefined for /dev/null. */
  readonly identity: string | undefined;
  /** Undefined on success, or why not everything was written. */
  write(content: Uint8Array | string): string | undefined;
  close(): void;
}
export type OpenOutcome = { readonly ok: true; readonly file: OpenFile } | { readonly ok: false; readonly why: string };

/** Creates or truncates the file at `path`; each write is in the file when the call returns. */
export function openForWriting(path: string): OpenOutcome {
  const opened = openEmpty(path);
  if (typeof opened === 'string') return { ok: false, why: opened };
  const { descriptor, identity } = opened;
  let open = true;
  return {
    ok: true,
    file: {
      identity,
      write: (content) => {
        if (!open) return undefined;
        const bytes = typeof content === 'string' ? Buffer.from(content) : content;
        try {
          for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
          return undefined;
        } catch (error) {
          return inWords(error);
        }
      },
      close: () => {
        if (!open) return;
        open = false;
        try {
          closeSync(descriptor);
        } catch {
          // a network file system may report errors only at close, when nobody is left to read them
        }
      },
    },
  };
}
