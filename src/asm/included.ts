/** Names and text of included files. */

/** What a file is read for: `text` by %include, `bytes` by incbin. */
export type FileUse = 'text' | 'bytes';

/** The bytes of the file that `from` names `path`; undefined where there is none, or it may not be read. */
export type ReadFile = (path: string, from: string, use: FileUse) => Uint8Array | undefined;

export interface FoundFile {
  readonly bytes: Uint8Array;
  /** Its name from here on. */
  readonly name: string;
}
export type FindFile = (path: string, from: string, use: FileUse) => FoundFile | undefined;

/** Limit in bytes of a source: each of its tokens takes a hundred times its size in memory. */
export const MAX_SOURCE = 8 * 1024 * 1024;

/** The name by which a folder stands for itself where a file's name is asked for: what it names lies inside it. */
export const insideOf = (folder: string): string => (folder === '' ? '.' : `${folder.replace(/[\\/]+$/, '')}/.`);

/**
 * Where a file named in `from` is searched, in this order: beside `from`, beside the main file, in each folder of the
 * include path.
 */
export const searchPlaces = (from: string, main: string, includePath: readonly string[]): readonly string[] => [
  ...new Set([from, main, ...includePath.map(insideOf)]),
];

/** Looks for a file in all of its places. */
export function fileFinder(read: ReadFile, main: string, includePath: readonly string[]): FindFile {
  return (path, from, use) => {
    for (const place of searchPlaces(from, main, includePath)) {
      const bytes = read(path, place, use);
      if (bytes) return { bytes, name: fileBeside(path, place) };
    }
    return undefined;
  };
}

/** The error about a file that was not found, by its name as it is written. */
export const notFound = (written: string): string =>
  `the file ${written} does not exist or cannot be read; Pagewalk looks beside this file, beside the main file, in the current folder and in the folders of \`include\` (from a debug session only inside the workspace)`;

/**
 * The name of an included file from here on: `path` relative to the folder of the including file. An editor finds the
 * file by that name, and its own includes are searched beside it.
 */
export function fileBeside(path: string, from: string): string {
  if (/^([a-z]:)?[\\/]/i.test(path)) return path;
  const parts = from
    .replace(/[^\\/]*$/, '')
    .split(/(?<=[\\/])/)
    .filter((part) => part !== '');
  for (const step of path.split(/(?<=[\\/])/)) {
    const up = /^\.\.[\\/]$/.test(step) && parts.length > 0 && !/^(\.\.)?[\\/]$/.test(parts.at(-1) ?? '');
    if (up) parts.pop();
    else if (!/^\.[\\/]$/.test(step)) parts.push(step);
  }
  return parts.join('');
}

/** Written out because the core has no TextDecoder; invalid UTF-8 is read as Latin-1. */
export function decodeUtf8(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 4096) binary += String.fromCharCode(...bytes.subarray(i, i + 4096));
  try {
    return decodeURIComponent(
      binary.replace(/[%\u0080-\u00ff]/g, (c) => '%' + c.charCodeAt(0).toString(16).padStart(2, '0')),
    );
  } catch {
    return binary;
  }
}
