/** What the scripts share: progress lines, child processes, and the set-up of a fresh machine. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** One line per step, before it starts. */
export const progress = (text) => console.log(`• ${text}`);

/** The full path of a program on PATH, or undefined. */
export function which(name) {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(dir, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Debian calls it chromium, others chromium-browser or google-chrome; CHROME overrides. */
export const findChromium = () =>
  process.env.CHROME ?? which('chromium') ?? which('chromium-browser') ?? which('google-chrome');

/** Runs a program with our output and no input; resolves to its exit code (128 + signal where a signal ended it). */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ? 128 : code));
  });
}

/** Runs a JavaScript tool of node_modules/.bin under this Node. */
export const tool = (name, args, options) => run(join(root, 'node_modules/.bin', name), args, options);

/** npm ci, where node_modules is missing or older than the lockfile. */
export async function installDependencies() {
  const installed = join(root, 'node_modules/.package-lock.json');
  const lock = join(root, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  progress('installing the packages (npm ci)');
  const code = await run('npm', ['ci', '--no-fund', '--no-audit']);
  if (code !== 0) throw new Error(`npm ci failed with exit code ${code}`);
}

export async function buildBundles() {
  progress('building the bundles');
  const { build } = await import('./build.mjs');
  await build({});
}

export async function installVSCodeHost() {
  const { isReady, setUp } = await import('../test/vscode-host/setup.mjs');
  if (!isReady()) setUp((step) => progress(`VS Code host: ${step}`));
}

/** dist/pagewalk.vsix: what a user installs, from production bundles. */
export async function packageExtension() {
  progress('packaging the extension');
  const code = await run('npm', ['run', '--silent', 'package']);
  if (code !== 0) throw new Error(`the extension could not be packaged (exit code ${code})`);
}
