/** package.json against the code: what it contributes exists, and what the code registers is contributed. */
import * as assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filled, type Manifest } from '../../scripts/manifest';
import { GUEST_LANGUAGES } from '../../src/extension/guest-languages';
import { PANELS } from '../../src/protocol/panels';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Contributed extends Manifest {
  readonly icon: string;
  readonly engines: { readonly vscode: string };
  readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly contributes: Manifest['contributes'] & {
    readonly commands: readonly { readonly command: string }[];
    readonly views: {
      readonly pagewalk: readonly { readonly id: string; readonly name: string; readonly type?: string }[];
    };
    readonly grammars: readonly { readonly path: string }[];
    readonly languages: readonly { readonly id: string; readonly configuration: string }[];
  };
}
const manifest = JSON.parse(read('package.json')) as Contributed;
const { contributes } = manifest;

const filesBelow = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));

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

  it('repeats tables of the code as `npm run manifest` writes them', () => {
    assert.deepEqual(manifest, filled(manifest), 'package.json is out of date: run `npm run manifest`');
    assert.equal(contributes.languages[0]?.id, GUEST_LANGUAGES[0]);
  });

  it('shows every command on the rows of trees in their menu, where a row says that it can, and nowhere else', () => {
    const { 'view/item/context': rows = [], commandPalette = [] } = contributes.menus;
    for (const id of quoted(read('src/extension/host-commands.ts'), /^ {2}'(pagewalk\.[\w.]+)':/gm)) {
      const items = rows.filter(({ command }) => command === id);
      assert.equal(items.length, 1, `${id} in view/item/context`);
      assert.match(items[0]?.when ?? '', /viewItem =~ \/\\bcan:[a-z-]+\(/, id);
      assert.equal(commandPalette.find(({ command }) => command === id)?.when, 'false', `${id} in the palette`);
    }
  });

  it('contributes exactly the settings that the extension reads', () => {
    const files = [...filesBelow('src/extension'), 'src/main/extension.ts', 'src/main/extension-web.ts'];
    const source = files.map(read).join('\n');
    const contributed = Object.keys(contributes.configuration.properties).map((key) => key.replace('pagewalk.', ''));
    const isNamed = (key: string): boolean => source.includes(`'${key}'`) || source.includes(`'pagewalk.${key}'`);
    assert.deepEqual(
      contributed.filter((key) => !isNamed(key)),
      [],
    );
    const reads = quoted(
      source,
      /\b(?:settings|configuration|getConfiguration\([^)]*\))\s*\.get(?:<[^>]*>)?\(\s*'([\w.]+)'/g,
    );
    assert.ok(reads.length > 4);
    assert.deepEqual(
      reads.filter((key) => !contributed.includes(key)),
      [],
    );
  });

  it('contributes the views that the extension fills', () => {
    const trees = quoted(read('src/extension/index.ts'), /'(pagewalk\.\w+)'/g);
    assert.deepEqual(
      contributes.views.pagewalk.map(({ id }) => id).sort(),
      [...trees, ...PANELS.map(({ view }) => view)].sort(),
    );
  });

  it('contributes each panel as a view, and its command in the title of it', () => {
    for (const { view, title } of PANELS) {
      const { name, type } = contributes.views.pagewalk.find(({ id }) => id === view) ?? {};
      assert.deepEqual({ name, type }, { name: title, type: 'webview' });
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
