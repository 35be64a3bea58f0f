/** Hosts for adapters under test: guests and outputs live in memory. */
import { posix } from 'node:path';
import type { AdapterHost, TargetFactory } from '../../src/dap/index';

export interface MemoryHost extends AdapterHost {
  /** May be edited between two launches. */
  readonly files: Map<string, string | Uint8Array>;
}

export function memoryHost(
  files: Readonly<Record<string, string | Uint8Array>>,
  createTarget: TargetFactory,
): MemoryHost {
  const kept = new Map(Object.entries(files));
  let time = 0;
  const bytesOf = (path: string): Uint8Array | undefined => {
    const content = kept.get(path);
    return typeof content === 'string' ? new TextEncoder().encode(content) : content;
  };
  return {
    files: kept,
    createTarget,
    readFile: (path) => {
      const bytes = bytesOf(path);
      return bytes ? { ok: true, bytes } : { ok: false, why: 'there is no such file' };
    },
    include: (name, from) => bytesOf(posix.resolve(posix.dirname(from), name)),
    folderOf: posix.dirname,
    openOutput: (path) => {
      if (path.startsWith('/forbidden/')) return { ok: false, why: 'permission denied' };
      kept.set(path, '');
      return {
        ok: true,
        file: {
          identity: path,
          write: (content) => {
            if (path.startsWith('/full/')) return 'no space is left';
            kept.set(path, String(kept.get(path)) + Buffer.from(content as Uint8Array).toString('latin1'));
            return undefined;
          },
          close: () => undefined,
        },
      };
    },
    absolute: (path) => posix.resolve('/guests', path),
    turn: (callback) => void setImmediate(callback),
    // A clock that makes every slice look just right: budgets, and with them transcripts, are the same each time.
    now: () => (time += 10),
  };
}
