/** The adapter and the command line as users have them: one file for Node each, built once for all tests of a process. */
import { build } from 'esbuild';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error the build script has no types
import { nodeBundle } from '../../scripts/build.mjs';

const built = new Map<string, Promise<string>>();
let folder: string | undefined;

/** The path of the bundle of `src/main/<main>.ts`, which `process.execPath` runs. */
export function bundle(main: 'cli' | 'dap'): Promise<string> {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'pagewalk-bundle-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const outfile = join(folder, `${main}.js`);
  const ready =
    built.get(main) ??
    build({ ...(nodeBundle as object), entryPoints: [`src/main/${main}.ts`], outfile }).then(() => outfile);
  built.set(main, ready);
  return ready;
}
