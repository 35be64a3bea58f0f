/** Bundles test/bench/main.ts as the products are bundled, so that what is measured is what ships, and runs it; then the panels in a browser. */
import { build } from 'esbuild';
import { join } from 'node:path';
import { buildBundles, installDependencies, root, run } from './lib.mjs';
import { nodeBundle } from './build.mjs';

await installDependencies();
await buildBundles();
const outfile = join(root, 'out/bench.js');
await build({ ...nodeBundle, entryPoints: ['test/bench/main.ts'], outfile });
process.exitCode = await run(process.execPath, [outfile, ...process.argv.slice(2)]);
if (process.argv.length === 2)
  process.exitCode ||= await run(process.execPath, ['--import', 'tsx', 'test/bench/panels.ts']);
