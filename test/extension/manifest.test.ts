/** package.json against the code: what it contributes exists, and what the code registers is contributed. */
import * as assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PANELS } from '../../src/protocol/panels';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Manifest {
  readonly icon: string;
  readonly activationEvents: readonly string[];
  readonly engines: { readonly vscode: string };
  readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly contributes: {
    readonly breakpoints: readonly { readonly language: string }[];
    readonly debuggers: readonly { readonly type: string; readonly languages: readonly string[] }[];
    readonly commands: readonly { readonly command: string }[];
    readonly menus: Readonly<Record<string, readonly { readonly command: string }[]>>;
    readonly views: {
      readonly pagewalk: readonly { readonly id: string; readonly name: string; readonly type?: string }[];
    };
    readonly grammars: readonly { readonly path: string }[];
    readonly languages: readonly { readonly id: string; readonly configuration: string }[];
    readonly configuration: { readonly properties: Readonly<Record<string, unknown>> };
  };
}
const manifest = JSON.parse(read('package.json')) as Manifest;
const { contributes } = manifest;

const quoted = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, id = '']) => id);

describe('package.json', () => {
  it('contributes exactly the commands that the extension registers', () => {
    const registered = [
      ...quoted(read('src/extension/commands.ts'), /^ {4}'(pagewalk\.\w+)':/gm),
      ...quoted(read('src/extension/host-commands.ts'), /^ {2}'(pagewalk\.[\w.]+)':/gm),
      ...PANELS.map(({ view }) => `${view}.openInEditor`),
    ];
    const internal = ['pagewalk.showMore'];
    assert.deepEqual(
      contributes.commands.map(({ command }) => command).sort(),
      registered.filter((id) => !internal.includes(id)).sort(),
    );
  });

  it('has only contributed commands in its menus', () => {
    const known = new Set(contributes.commands.map(({ command }) => command));
    const used = Object.values(contributes.menus).flatMap((items) => items.map(({ command }) => command));
    assert.deepEqual(
      used.filter((command) => !known.has(command)),
      [],
    );
  });

  it('names the same languages for breakpoints, the debugger and the code', () => {
    const inCode = quoted(
      /GUEST_LANGUAGES = \[([^\]]*)\]/.exec(read('src/extension/guest-files.ts'))?.[1] ?? '',
      /'([\w-]+)'/g,
    );
    const compiled = quoted(
      /COMPILED_LANGUAGES[^[]*\[([^;]*)\]/.exec(read('src/extension/guest-files.ts'))?.[1] ?? '',
      /\['(\w+)'/g,
    );
    assert.deepEqual(
      contributes.breakpoints.map(({ language }) => language),
      [...inCode, ...compiled],
    );
    assert.deepEqual(contributes.debuggers[0]?.languages, inCode);
    assert.equal(inCode[0], contributes.languages[0]?.id);
  });

  it('contributes the views that the extension fills', () => {
    const trees = quoted(read('src/extension/index.ts'), /'(pagewalk\.\w+)'/g);
    assert.deepEqual(
      contributes.views.pagewalk.map(({ id }) => id).sort(),
      [...trees, ...PANELS.map(({ view }) => view)].sort(),
    );
  });

  it('contributes each panel as a view, as an editor tab, with its command in the title, and in the setting', () => {
    const setting = contributes.configuration.properties['pagewalk.panels.updateAtStop'] as {
      readonly items: { readonly enum: readonly string[] };
      readonly default: readonly string[];
    };
    const ids: readonly string[] = PANELS.map(({ id }) => id);
    assert.deepEqual(setting.items.enum, ids);
    assert.deepEqual(setting.default, ids);
    for (const { view, title } of PANELS) {
      const { name, type } = contributes.views.pagewalk.find(({ id }) => id === view) ?? {};
      assert.deepEqual({ name, type }, { name: title, type: 'webview' });
      assert.ok(manifest.activationEvents.includes(`onWebviewPanel:${view}`), view);
      const inTitle = contributes.menus['view/title']?.some(({ command }) => command === `${view}.openInEditor`);
      assert.ok(inTitle, `${view} in its title's menu`);
    }
  });

  it('restricts in an untrusted workspace every setting that names a program', () => {
    const programs = Object.keys(contributes.configuration.properties).filter((key) => /assembler|Path$/.test(key));
    assert.deepEqual([...manifest.capabilities.untrustedWorkspaces.restrictedConfigurations].sort(), programs.sort());
  });

  it('is typed against the oldest VS Code that it supports', () =>
    assert.equal(manifest.engines.vscode, `^${manifest.devDependencies['@types/vscode']}`));

  it('names files that exist', () => {
    for (const path of [
      manifest.icon,
      ...contributes.grammars.map((each) => each.path),
      ...contributes.languages.map((each) => each.configuration),
    ])
      assert.ok(existsSync(join(ROOT, path)), path);
  });

  it('leaves registry hosts out of the lockfiles', () => {
    for (const file of ['package-lock.json', 'test/vscode-host/package-lock.json'])
      assert.ok(!read(file).includes('"resolved"'), file);
  });
});
