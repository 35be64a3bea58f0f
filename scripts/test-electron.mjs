/**
 * Runs the extension-host tests in the desktop VS Code that @vscode/test-electron downloads: for machines with a network and
 * a display. `npm test` needs neither.
 */
import { runTests } from '@vscode/test-electron';
import { build } from 'esbuild';
import { join } from 'node:path';
import { nodeBundle } from './build.mjs';
import { buildBundles, root } from './lib.mjs';

await buildBundles();
const extensionTestsPath = join(root, 'out/electron.js');
await build({
  ...nodeBundle,
  external: ['vscode', 'mocha'],
  entryPoints: ['test/electron/main.ts'],
  outfile: extensionTestsPath,
});
process.exitCode = await runTests({
  extensionDevelopmentPath: root,
  extensionTestsPath,
  launchArgs: [join(root, 'examples'), '--disable-extensions', '--disable-workspace-trust'],
});
