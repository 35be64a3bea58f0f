/** The grammar's scopes in every colour theme that comes with VS Code: what a reader must tell apart has colours of its own. */
import * as assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parse } from './jsonc';
import { ROOT } from './vscode';

const EXTENSIONS = join(ROOT, 'test/vscode-host/node_modules/code-server/lib/vscode/extensions');

interface Rule {
  readonly scope?: string | readonly string[];
  readonly settings?: { readonly foreground?: string };
}
interface Theme {
  readonly include?: string;
  readonly tokenColors?: readonly Rule[] | string;
  readonly colors?: Readonly<Record<string, string>>;
}

/** The rules of a theme, those of the one it builds on first. */
function rulesOf(file: string): readonly Rule[] {
  const theme = parse(readFileSync(file, 'utf8')) as Theme;
  const base = theme.include === undefined ? [] : rulesOf(join(dirname(file), theme.include));
  const plain: Rule = { settings: { foreground: theme.colors?.['editor.foreground'] ?? '' } };
  return [...base, ...(theme.colors?.['editor.foreground'] ? [plain] : []), ...listOf(theme.tokenColors)];
}
const listOf = (rules: Theme['tokenColors']): readonly Rule[] => (Array.isArray(rules) ? (rules as Rule[]) : []);

/** The colour of a scope below the grammar's own: the longest selector that matches, of equals the last. */
function colourOf(rules: readonly Rule[], scope: string): string {
  let [best, depth] = ['', -1];
  for (const { scope: written, settings } of rules) {
    const foreground = settings?.foreground;
    if (foreground === undefined) continue;
    const selectors = written === undefined ? [''] : [written].flat().flatMap((each) => each.split(','));
    for (const selector of selectors.map((each) => each.trim())) {
      const matches = selector === '' || scope === selector || scope.startsWith(`${selector}.`);
      const length = selector === '' ? 0 : selector.split('.').length;
      if (matches && length >= depth) [best, depth] = [foreground, length];
    }
  }
  return best.toLowerCase();
}

/** The scope of the grammar that ends in these words. */
function scopeOf(grammar: string, words: string): string {
  const found = new RegExp(`"name": "([a-z.]+\\.)?${words.replaceAll('.', '\\.')}\\.pagewalk-asm"`).exec(grammar);
  assert.ok(found, words);
  return /"name": "(.*)"/.exec(found[0])?.[1] ?? '';
}

describe('colours of guest assembly', () => {
  const grammar = readFileSync(join(ROOT, 'syntaxes/pagewalk-asm.tmLanguage.json'), 'utf8');
  const PAIRS = [
    ['label', 'mnemonic'],
    ['label', 'flow'],
    ['label.local', 'mnemonic'],
    ['register', 'control.directive'],
    ['register', 'mnemonic'],
  ] as const;
  for (const extension of readdirSync(EXTENSIONS).filter((name) => name.startsWith('theme-'))) {
    const { contributes } = JSON.parse(readFileSync(join(EXTENSIONS, extension, 'package.json'), 'utf8')) as {
      readonly contributes: { readonly themes?: readonly { readonly path: string }[] };
    };
    for (const { path } of contributes.themes ?? [])
      it(basename(path, '.json'), () => {
        const rules = rulesOf(join(EXTENSIONS, extension, path));
        for (const [a, b] of PAIRS)
          assert.notEqual(colourOf(rules, scopeOf(grammar, a)), colourOf(rules, scopeOf(grammar, b)), `${a} and ${b}`);
      });
  }
});
