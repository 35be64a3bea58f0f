/** Finds the sources of an executable that was compiled elsewhere: its line table names paths of another machine, or of a folder that has moved. */
import { realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Sources that are looked for: an executable with more of them has most of them in the same folders. */
const MOST = 20_000;
/** Of a path, so many of its last parts are looked for at the most. */
const MOST_PARTS = 12;

const exists = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false; // a part of the path is no folder, or may not be looked into
  }
};

/**
 * For each source its path now: as it was compiled, where that exists; else by as many of the path's last parts as fit, beside `program` and in `folders`, in this order.
 * A folder that moved as a whole is found once: what lay in it is looked for there first.
 */
export function sourceFinder(program: string, folders: readonly string[]): (path: string) => string {
  const places = [...new Set([dirname(program), ...folders])];
  /** Old and new beginnings of paths, those found last first. */
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
