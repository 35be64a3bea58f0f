/**
 * Bundles src/main/* into dist/ with esbuild:
 *
 *   extension.js  CommonJS, run by VS Code's extension host; `vscode` stays external
 *   dap.js        the debug adapter, a process of its own
 *   server.js     the language server, a process of its own
 *   cli.js        the command line, executable
 *   webview.js    the browser side of the views
 *   extension.browser.js, server.browser.js   the language features where VS Code runs in a browser
 */
import { build as esbuild, context } from 'esbuild';
import { chmod, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What is replaced in iced-x86's loader; each is there once. */
const ICED_LOADER = [
  ['where its text codecs come from', /const \{ TextDecoder, TextEncoder \} = require\(`util`\);/, ''],
  [
    'where its WebAssembly lies',
    /const path = require\('path'\)\.join\(__dirname, '(.+\.wasm)'\);/,
    "const bytes = require('./$1');",
  ],
  ['how its WebAssembly is read', /const bytes = require\('fs'\)\.readFileSync\(path\);/, ''],
];

/**
 * The npm build of iced-x86 reads its WebAssembly file from beside itself and takes the text codecs from `util`. In a bundle
 * neither place exists: the bytes are inlined, and the codecs are globals in every host that we run in.
 */
const icedX86 = {
  name: 'iced-x86',
  setup(plugin) {
    plugin.onLoad({ filter: /iced_x86\.js$/ }, async ({ path }) => {
      let contents = await readFile(path, 'utf8');
      for (const [what, pattern, replacement] of ICED_LOADER) {
        if (contents.match(pattern) === null)
          return {
            errors: [{ text: `iced-x86 has changed ${what} (no ${pattern}); adapt ICED_LOADER in this script` }],
          };
        contents = contents.replace(pattern, replacement);
      }
      if (/__dirname|require\(['"`](?!\.\/)/.test(contents.replace(/^\s*\*.*$/gm, '')))
        return { errors: [{ text: 'iced-x86 takes more from Node than ICED_LOADER in this script replaces' }] };
      return { contents, loader: 'js' };
    });
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  logLevel: 'warning',
  loader: { '.wasm': 'binary' },
  plugins: [icedX86],
  legalComments: 'none',
};

export const nodeBundle = { ...shared, platform: 'node', format: 'cjs', target: 'node20' };

/** The language server for a browser's worker. */
export const browserWorkerBundle = {
  ...shared,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  entryPoints: ['src/main/server-web.ts'],
};

function bundles({ production = false } = {}) {
  const common = { minify: production, sourcemap: production ? false : 'linked', define: {} };
  return [
    {
      ...nodeBundle,
      ...common,
      entryPoints: ['src/main/extension.ts'],
      outfile: 'dist/extension.js',
      external: ['vscode'],
    },
    { ...nodeBundle, ...common, entryPoints: ['src/main/dap.ts'], outfile: 'dist/dap.js' },
    { ...nodeBundle, ...common, entryPoints: ['src/main/server.ts'], outfile: 'dist/server.js' },
    {
      ...nodeBundle,
      ...common,
      entryPoints: ['src/main/cli.ts'],
      outfile: 'dist/cli.js',
      banner: { js: '#!/usr/bin/env node' },
    },
    {
      ...shared,
      ...common,
      platform: 'browser',
      format: 'cjs',
      target: 'es2022',
      entryPoints: ['src/main/extension-web.ts'],
      outfile: 'dist/extension.browser.js',
      external: ['vscode'],
    },
    { ...browserWorkerBundle, ...common, outfile: 'dist/server.browser.js' },
    {
      ...shared,
      ...common,
      platform: 'browser',
      format: 'iife',
      target: 'es2022',
      entryPoints: ['src/main/webview.ts'],
      outfile: 'dist/webview.js',
    },
  ];
}

export async function build(options) {
  await Promise.all(bundles(options).map((bundle) => esbuild(bundle)));
  await chmod(join(root, 'dist/cli.js'), 0o755);
}

async function watch() {
  const contexts = await Promise.all(
    bundles().map((bundle) => {
      // VS Code's background task matcher reads these two lines.
      const report = {
        name: 'report',
        setup(plugin) {
          plugin.onStart(() => console.log(`[watch] build started ${bundle.outfile}`));
          plugin.onEnd(({ errors }) => {
            for (const { text, location } of errors)
              console.error(`✘ [ERROR] ${text}\n    ${location?.file}:${location?.line}:${location?.column}:`);
            console.log(`[watch] build finished ${bundle.outfile}`);
          });
        },
      };
      return context({ ...bundle, plugins: [...bundle.plugins, report], logLevel: 'silent' });
    }),
  );
  await Promise.all(contexts.map((each) => each.watch()));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const done = process.argv.includes('--watch')
    ? watch()
    : build({ production: process.argv.includes('--production') });
  done.catch(() => {
    process.exitCode = 1; // esbuild has printed what is wrong
  });
}
