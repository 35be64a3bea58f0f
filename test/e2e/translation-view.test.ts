/** The Translation view's browser side on its own: narrow, in every theme kind, by keyboard, and across a reload. */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { ViewState } from '../../src/protocol/view';
import { COLD, UNTOUCHED } from './translation-page';
import { ARTIFACTS, ROOT, newPage } from './vscode';

/** The colours that VS Code's own themes give the variables which the view reads; the rest of a theme does not matter here. */
const THEMES = {
  dark: {
    foreground: '#cccccc',
    'sideBar-background': '#181818',
    descriptionForeground: '#9d9d9d',
    errorForeground: '#f85149',
  },
  light: {
    foreground: '#3b3b3b',
    'sideBar-background': '#f8f8f8',
    descriptionForeground: '#3b3b3b',
    errorForeground: '#c72e0f',
  },
  contrast: {
    foreground: '#ffffff',
    'sideBar-background': '#000000',
    contrastBorder: '#6fc3df',
    focusBorder: '#f38518',
  },
} as const;
const CHARTS = {
  'charts-blue': '#3794ff',
  'charts-green': '#388a34',
  'charts-purple': '#b180d7',
  'charts-orange': '#ea5c0055',
};

const shown = (reply: typeof COLD): ViewState => ({ kind: 'translation', asked: '[rbx]', reply });

interface Stub {
  sent: unknown[];
  kept: unknown;
}

/** VS Code's interface, as a script: a function passed to the page would carry helpers of the test's own compiler. */
const stubWith = (kept: unknown): string => `
  const stub = { sent: [], kept: ${JSON.stringify(kept) ?? 'undefined'} };
  const acquireVsCodeApi = () => ({
    postMessage: (message) => stub.sent.push(message),
    getState: () => stub.kept,
    setState: (value) => { stub.kept = value; },
  });`;

/** Loads the bundled view with a stub of VS Code's interface; `kept` is the state that an earlier life left. */
async function load(width: number, theme: keyof typeof THEMES, kept?: unknown): Promise<Page> {
  const page = await newPage({ width, height: 900 });
  const variables = Object.entries({ ...CHARTS, ...THEMES[theme], 'font-family': 'sans-serif', 'font-size': '13px' });
  const style = variables.map(([name, value]) => `--vscode-${name}: ${value};`).join(' ');
  const css = readFileSync(join(ROOT, 'dist/webview.css'), 'utf8');
  await page.setContent(
    `<html lang="en"><style>:root { ${style} } body { background: var(--vscode-sideBar-background); } ${css}</style><body></body></html>`,
  );
  await page.addScriptTag({ content: stubWith(kept) });
  await page.addScriptTag({ content: readFileSync(join(ROOT, 'dist/webview.js'), 'utf8') });
  return page;
}

const post = (page: Page, state: ViewState): Promise<unknown> =>
  page.evaluate(`postMessage({ kind: 'state', state: ${JSON.stringify(state)} }, '*')`);
const stub = (page: Page): Promise<Stub> => page.evaluate<Stub>('stub');

describe('the Translation view', () => {
  for (const theme of ['dark', 'light', 'contrast'] as const)
    it(`fits 220 px, 300 px and 700 px (${theme})`, async () => {
      for (const width of [220, 300, 700]) {
        const page = await load(width, theme);
        await post(page, shown(theme === 'light' ? COLD : UNTOUCHED));
        await page.locator('.chain').waitFor();
        for (const summary of await page.locator('.nested > summary').all()) await summary.click();
        const widest = await page.evaluate(
          'Math.max(...[...document.querySelectorAll("*")].map((e) => e.getBoundingClientRect().right))',
        );
        await page.screenshot({ path: join(ARTIFACTS, `view-${theme}-${width}.png`), fullPage: true });
        assert.ok(Number(widest) <= width + 1, `nothing reaches beyond ${width} px (${widest})`);
        await page.context().close();
      }
    });

  it('moves through the loads by arrow keys, and leads to the entry', async () => {
    const page = await load(300, 'dark');
    await post(page, shown(COLD));
    await page.locator('.grid button').first().focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowRight']) await page.keyboard.press(key);
    await page.locator('.detail', { hasText: 'Load 12: EPT PDPTE for the PDE' }).waitFor();
    assert.equal(await page.locator('.grid button[tabindex="0"]').count(), 1, 'the grid is one stop of the Tab key');
    await page.keyboard.press('Enter');
    const focused = page.locator('.step:focus');
    assert.match(await focused.innerText(), /EPT PDPTE/);
    assert.ok(await focused.isVisible());
    await page.context().close();
  });

  it('says in words what failed, and what a stale TLB entry still answers', async () => {
    const page = await load(300, 'dark');
    await post(page, shown(UNTOUCHED));
    await page.locator('.banner.bad', { hasText: 'level 1: not present' }).waitFor();
    await page.locator('.banner.stale', { hasText: 'until INVEPT' }).waitFor();
    assert.match(await page.locator('[role=status]').innerText(), /does not translate: not present/);
    await page.context().close();
  });

  it('asks for what is typed, and keeps the drawing beside an error', async () => {
    const page = await load(300, 'dark');
    await post(page, shown(COLD));
    await page.getByLabel('Address or expression').fill('rsp + 8');
    await page.getByLabel('Access').selectOption('w');
    const { sent } = await stub(page);
    assert.deepEqual(sent.at(-1), { kind: 'translate', expression: 'rsp + 8', space: 'gva', access: 'w' });
    await post(page, { kind: 'error', asked: 'rsp + 8', message: 'no such register' });
    await page.getByRole('alert').filter({ hasText: 'no such register' }).waitFor();
    assert.equal(await page.locator('.chain').count(), 1);
    await page.context().close();
  });

  it('comes back as it was after the view was hidden', async () => {
    const before = await load(300, 'dark');
    await post(before, shown(COLD));
    await before.locator('.nested > summary').first().click();
    await before.locator('.rights > summary').click();
    // the element tells of its toggling in a task of its own
    await before.waitForFunction('stub.kept.open.length === 2');
    const { kept } = await stub(before);
    await before.context().close();
    const page = await load(300, 'dark', kept);
    await page.locator('.chain').waitFor();
    assert.equal(await page.getByLabel('Address or expression').inputValue(), '[rbx]');
    assert.equal(await page.locator('.nested[open]').count(), 1);
    assert.equal(await page.locator('.rights[open]').count(), 0);
    await page.context().close();
  });

  it('draws text of a guest as text', async () => {
    const page = await load(300, 'dark');
    await post(page, { kind: 'translation', asked: '<img src=x onerror=alert(1)>', reply: COLD });
    await page.locator('h1', { hasText: '<img' }).waitFor();
    assert.equal(await page.locator('img').count(), 0);
    await page.context().close();
  });
});
