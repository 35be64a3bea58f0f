/** Reading a guest's file and writing its outputs, with reasons in words where that fails. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'its file system is read-only',
  ENOSPC: 'no space is left',
  ERR_FS_FILE_TOO_LARGE: 'it is larger than 2 GiB',
};

function inWords(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}

export type ReadOutcome =
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly why: string };

export function readBytes(path: string): ReadOutcome {
  try {
    return { ok: true, bytes: readFileSync(path) };
  } catch (error) {
    return { ok: false, why: inWords(error) };
  }
}

export interface OpenFile {
  write(text: string): void;
  close(): void;
}
export type OpenOutcome = { readonly ok: true; readonly file: OpenFile } | { readonly ok: false; readonly why: string };

/** Creates or empties the file at `path`; each write is in it when the call returns. */
export function openForWriting(path: string): OpenOutcome {
  try {
    const descriptor = openSync(path, 'w');
    let open = true;
    return {
      ok: true,
      file: {
        write: (text) => {
          if (open) writeSync(descriptor, text);
        },
        close: () => {
          if (open) closeSync(descriptor);
          open = false;
        },
      },
    };
  } catch (error) {
    return { ok: false, why: inWords(error) };
  }
}
