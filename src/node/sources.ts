/** Finds the assembly sources in the folders that the user opened. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = /\.(asm|nasm|inc|mac|s)$/i;
/** Limit on sources and on folders; beyond it a folder is searched only in part. */
const MAX_FILES = 2000;
const MAX_FOLDERS = 5000;

/**
 * Paths of sources, breadth first and sorted by name; hidden folders and node_modules are skipped, links are not
 * followed.
 */
export function findSources(folders: readonly string[]): string[] {
  const found: string[] = [];
  const queue = [...folders];
  for (let next = 0; next < queue.length && next < MAX_FOLDERS && found.length < MAX_FILES; next++) {
    const folder = queue[next] ?? '';
    for (const entry of entriesOf(folder)) {
      if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
        queue.push(join(folder, entry.name));
      else if (entry.isFile() && SOURCE.test(entry.name) && found.length < MAX_FILES)
        found.push(join(folder, entry.name));
    }
  }
  return found;
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return []; // gone or not readable
  }
}
