/**
 * Finds the sources of an executable that was compiled elsewhere: its line table names paths on another machine, or
 * in a folder that has moved.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Limit on the sources searched for: an executable with more has most of them in the same folders. */
const MOST = 20_000;
/** Limit on the trailing path components that are tried. */
const MOST_PARTS = 12;

const exists = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false; // a path component is not a folder, or is not accessible
  }
};

/**
 * The current path of each source: where it was compiled, if it exists; otherwise matched by as many trailing path
 * components as possible, beside `program` and then in `folders`. For a folder that moved as a whole, the new
 * location is tried first.
 */
export function sourceFinder(program: string, folders: readonly string[]): (path: string) => string {
  const places = [...new Set([dirname(program), ...folders])];
  /** Old and new path prefixes, the most recently found first. */
  let moves: (readonly [from: string, to: string])[] = [];
  let left = MOST;
  return (path) => {
    if (left <= 0 || exists(path)) return path;
    left--;
    for (const [from, to] of moves)
      if (path.startsWith(from) && exists(to + path.slice(from.length))) return to + path.slice(from.length);
    const parts = path.split(/[\\/]/);
    for (let n = Math.min(parts.length - 1, MOST_PARTS); n > 0; n--) {
      const rest = parts.slice(-n);
      if (rest.some((part) => part === '' || part === '..' || part === '.')) continue;
      for (const place of places) {
        const found = join(place, ...rest);
        if (!exists(found)) continue;
        const length = rest.join('/').length;
        moves = [[path.slice(0, -length), found.slice(0, -length)] as const, ...moves].slice(0, 8);
        return found;
      }
    }
    return path;
  };
}

export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
