/**
 * Reads the files that a guest names (%include, incbin, modules), only from within the folders that the user opened.
 */
import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { readBytes } from './files';

/** A larger included file is refused: it could not be part of an image anyway. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Whether `path` lies in `folder`, with symbolic links resolved. */
function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * The bytes of `path` as `from` names it (relative to the folder of `from`), or undefined if it does not exist, is
 * not a regular file, is too large, or leads out of `folders`. Without folders, the limit is the folder of `from`
 * itself.
 */
export function readIncluded(path: string, from: string, folders: readonly string[] = []): Uint8Array | undefined {
  try {
    const target = realpathSync(resolve(dirname(from), path));
    const limits = (folders.length > 0 ? folders : [dirname(from)]).map((folder) => realpathSync(folder));
    if (!limits.some((folder) => isInside(target, folder))) return undefined;
    const read = readBytes(target, MAX_BYTES);
    return read.ok ? read.bytes : undefined;
  } catch {
    return undefined; // missing or unreadable: the assembler reports it at the line that names it
  }
}
