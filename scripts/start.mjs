/**
 * Opens VS Code on the examples with this extension loaded: the desktop VS Code where `code` is on PATH, else code-server at
 * a printed local address, until Ctrl-C.
 */
import { join } from 'node:path';
import {
  buildBundles,
  installDependencies,
  installVSCodeHost,
  packageExtension,
  progress,
  root,
  run,
  which,
} from './lib.mjs';

const examples = join(root, 'examples');

async function desktop(code) {
  progress('opening the desktop VS Code on examples/');
  const status = await run(code, ['--new-window', `--extensionDevelopmentPath=${root}`, examples]);
  if (status !== 0) throw new Error(`code ended with exit code ${status}`);
}

async function browser() {
  progress('no desktop VS Code (`code`) on PATH: using code-server');
  await installVSCodeHost();
  await packageExtension();
  progress('starting code-server');
  const { startServer } = await import('../test/vscode-host/server.mjs');
  const server = await startServer({ vsix: [join(root, 'dist/pagewalk.vsix')] });
  console.log(`\nVS Code is at  ${server.url(examples)}\nPress Ctrl-C to stop it.`);
  const interrupted = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, resolve);
  });
  await Promise.race([interrupted, server.exited]);
  progress('stopping code-server');
  await server.stop();
}

try {
  await installDependencies();
  await buildBundles();
  const code = which('code');
  await (code ? desktop(code) : browser());
} catch (error) {
  console.error(`npm start: ${error.message}`);
  process.exitCode = 1;
}
