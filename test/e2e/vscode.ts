/**
 * A real VS Code for the end-to-end tests: one code-server for the whole run with the packaged extension installed, and a
 * fresh browser context per test (the workbench keeps its layout in the browser's storage).
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Frame, type Locator, type Page } from 'playwright-core';
import { startServer, type Server } from '../vscode-host/server.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const ARTIFACTS = join(ROOT, 'test/.artifacts');

/** Beside the rows' text, whose hovers would catch the wheel. */
const EDGE = { x: 4, y: 40 };

/** How long anything may take on a busy machine. */
const PATIENCE_MS = 40_000;
/** After so long, what was done is taken to be lost, and is done again. */
const LOST_MS = 10_000;

/** What makes the workbench quick and still for a test. */
const SETTINGS = {
  'debug.internalConsoleOptions': 'neverOpen',
  'debug.toolBarLocation': 'floating',
  'editor.accessibilitySupport': 'off',
  'editor.hover.delay': 100,
  'editor.minimap.enabled': false,
  'files.simpleDialog.enable': true,
  'git.enabled': false,
  'npm.autoDetect': 'off',
  'typescript.disableAutomaticTypeAcquisition': true,
  'workbench.colorTheme': 'Default Dark Modern',
  // a parent that sticks lies over the row that a test clicks
  'workbench.tree.enableStickyScroll': false,
};

let server: Server | undefined;
let browser: Browser | undefined;

export async function startVSCode(): Promise<void> {
  server = await startServer({ vsix: [join(ROOT, 'dist/pagewalk.vsix')], settings: SETTINGS });
  browser = await chromium.launch({
    executablePath: process.env['CHROME'] ?? 'chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-sync',
    ],
  });
}

export async function stopVSCode(): Promise<void> {
  await browser?.close();
  await server?.stop();
}

/** The number of the first line of an example that matches. */
export function lineOf(example: string, pattern: RegExp): number {
  const at = readFileSync(join(ROOT, 'examples', example), 'utf8')
    .split('\n')
    .findIndex((text) => pattern.test(text));
  if (at < 0) throw new Error(`no line ${pattern} in ${example}`);
  return at + 1;
}

export interface Fixture {
  /** Path → content, or `true` for the file of that name in examples/. */
  readonly [file: string]: string | true;
}

/** An empty page of its own browser context. */
export async function newPage(viewport: { width: number; height: number }): Promise<Page> {
  if (!browser) throw new Error('the browser was not started');
  mkdirSync(ARTIFACTS, { recursive: true });
  return (await browser.newContext({ viewport })).newPage();
}

let folders = 0;

/** Opens the workbench on a fresh folder that holds `files`, runs `test`, and keeps a screenshot of its end. */
export async function inVSCode(
  name: string,
  files: Fixture,
  test: (code: Workbench) => Promise<void>,
  size = { width: 1400, height: 900 },
): Promise<void> {
  if (!server || !browser) throw new Error('VS Code was not started');
  const folder = join(server.root, `w${folders++}`);
  mkdirSync(folder);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    if (content === true) cpSync(join(ROOT, 'examples', file), join(folder, file));
    else writeFileSync(join(folder, file), content);
  }
  mkdirSync(ARTIFACTS, { recursive: true });
  const context = await browser.newContext({ viewport: size });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  try {
    await page.goto(server.url(folder), { waitUntil: 'domcontentloaded' });
    await page.locator('.monaco-workbench').waitFor();
    await test(new Workbench(page, name));
    await page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
  } catch (error) {
    await page.screenshot({ path: join(ARTIFACTS, `${name}.failed.png`) });
    throw error;
  } finally {
    await context.close();
  }
}

/** Repeats what a redraw may undo until it holds. @throws what failed last */
async function again(action: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
    const done = await action().then(
      () => true,
      () => false,
    );
    if (done) return;
  }
  await action();
}

/** The parts of the workbench that the tests use, by the names a person would give them. */
export class Workbench {
  readonly editor;
  constructor(
    readonly page: Page,
    private readonly name: string,
  ) {
    this.editor = page.locator('.editor-instance .monaco-editor').first();
  }

  /** A screenshot beside the one that each test leaves at its end. */
  async shot(suffix: string): Promise<void> {
    await this.page.screenshot({ path: join(ARTIFACTS, `${this.name}-${suffix}.png`) });
  }

  async open(file: string): Promise<void> {
    const row = this.page.locator('.explorer-folders-view .monaco-list-row', { hasText: file });
    await row.dblclick();
    await this.editor.locator('.view-line').first().waitFor();
  }

  /** Waits until the status bar names the editor's language so (it says Plain Text until the extension host is up). */
  async language(name: string): Promise<void> {
    await this.page.locator('#status\\.editor\\.mode', { hasText: name }).waitFor();
  }

  /** Waits for an answer that only the extension can give: its hover of a word. A key that is pressed before is nobody's. */
  async extensionIsUp(word: string, hover: RegExp): Promise<void> {
    await this.language('Guest Assembly');
    await this.hover(new RegExp(`\\b${word}`), word, hover);
  }

  async command(title: string): Promise<void> {
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first();
    await this.ask('F1', `>${title}`, () => row.click({ timeout: 4000 }));
  }

  /**
   * Opens the quick input by a key, types and goes on. Where the workbench moves its focus meanwhile (a view's frame takes it when it has loaded), the key is lost or the input
   * closes again: then all of it is done anew.
   */
  private async ask(key: string, text: string, then: () => Promise<void>): Promise<void> {
    const input = this.page.locator('.quick-input-widget input').first();
    await this.again(async () => {
      await this.page.keyboard.press(key);
      await input.waitFor({ timeout: 4000 });
      await input.fill(text, { timeout: 2000 });
      await then();
    });
  }

  /** Does what a moving focus may undo until it holds; the last failure is told. */
  private async again(action: () => Promise<void>): Promise<void> {
    for (let attempt = 1; attempt < 10; attempt++) {
      const done = await action().then(
        () => true,
        () => false,
      );
      if (done) return;
    }
    await action();
  }

  private async glyph(line: number): Promise<{ x: number; y: number }> {
    const number = await this.editor
      .locator('.margin-view-overlays .line-numbers', { hasText: new RegExp(`^${line}$`) })
      .boundingBox();
    const margin = await this.editor.locator('.glyph-margin').first().boundingBox();
    if (!number || !margin) throw new Error(`line ${line} is not on the screen`);
    return { x: margin.x + margin.width / 2, y: number.y + number.height / 2 };
  }

  /** Sets a breakpoint by F9 on the line. */
  async breakpoint(line: number): Promise<void> {
    await this.reveal(line);
    await this.editor.locator('.native-edit-context, textarea.inputarea').first().focus();
    const glyph = this.editor.locator('.codicon-debug-breakpoint, .codicon-debug-breakpoint-unverified').first();
    await this.again(async () => {
      await this.page.keyboard.press('F9');
      await glyph.waitFor({ timeout: 4000 });
    });
  }

  /** Waits until the debugger stands at `line` of the editor. */
  async stoppedAt(line: number): Promise<void> {
    const arrow = this.editor.locator('.codicon-debug-stackframe').first();
    await arrow.waitFor();
    const { y } = await this.glyph(line);
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const box = await arrow.boundingBox().catch(() => null);
      if (box && Math.abs(box.y + box.height / 2 - y) < box.height / 2) return;
      if (Date.now() > end) throw new Error(`the debugger does not stand at line ${line}`);
      await arrow.waitFor();
    }
  }

  /** Opens a file, sets a breakpoint in it, presses F5 and waits until the guest stands there. */
  async debug(file: string, line: number): Promise<void> {
    await this.open(file);
    await this.language('Guest Assembly');
    await this.breakpoint(line);
    await this.page.keyboard.press('F5');
    await this.stoppedAt(line);
  }

  /** Puts the cursor on a line, which scrolls it into sight. */
  async reveal(line: number): Promise<void> {
    const input = this.page.locator('.quick-input-widget input').first();
    const status = this.page.locator('#status\\.editor\\.selection', { hasText: new RegExp(`Ln ${line},`) });
    await this.ask('Control+G', `:${line}`, async () => {
      await input.press('Enter', { timeout: 2000 });
      await status.waitFor({ timeout: 4000 });
    });
  }

  /**
   * Opens the path of rows below Variables and gives the last one's label, for example `rax, value 0x2a`; then keeps a
   * screenshot and closes the scope again.
   */
  async expand(...path: (string | RegExp)[]): Promise<string> {
    let label = '';
    for (const [index, name] of path.entries()) {
      if (index < path.length - 1) await this.turn(name, true);
      label = (await (await this.variable(name)).getAttribute('aria-label')) ?? '';
    }
    const [scope = ''] = path;
    await this.shot(String(scope).toLowerCase().replaceAll(' ', '-'));
    await this.turn(scope, false);
    return label;
  }

  /** Opens or closes a row of the Variables view. A stop may draw the rows again under a click, which then meets another one. */
  private async turn(name: string | RegExp, open: boolean): Promise<void> {
    await this.again(async () => {
      const row = await this.variable(name);
      if ((await row.getAttribute('aria-expanded', { timeout: 4000 })) !== String(open))
        await row.click({ timeout: 4000 });
      await row.and(this.page.locator(`[aria-expanded="${open}"]`)).waitFor({ timeout: 4000 });
    });
  }

  /** The row of the Variables view with that name, scrolled to. */
  private async variable(name: string | RegExp): Promise<Locator> {
    const list = this.page.locator('.debug-variables .monaco-list').first();
    const hasName = (label: string): boolean =>
      typeof name === 'string'
        ? label === `Scope ${name}` || label === name || label.startsWith(`${name}, `)
        : name.test(label);
    return this.scrollTo(list, async () => {
      const labels = await list
        .locator('.monaco-list-row')
        .evaluateAll((all) => all.map((each) => each.getAttribute('aria-label') ?? ''));
      const found = labels.find(hasName);
      return found === undefined
        ? undefined
        : list.locator(`.monaco-list-row[aria-label=${JSON.stringify(found)}]`).first();
    });
  }

  /** The rows of the Call Stack view, topmost frame first. */
  async callStack(): Promise<string[]> {
    return this.page.locator('.debug-call-stack .monaco-list-row').allInnerTexts();
  }

  /** Waits for a frame; VS Code asks for the frames below the first one a moment later. */
  async frame(text: string): Promise<void> {
    await this.page.locator('.debug-call-stack .monaco-list-row', { hasText: text }).first().waitFor();
  }

  async callStackChanges(before: readonly string[]): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const now = await this.callStack().catch(() => before);
      const isSettled =
        now.length > 0 && (await this.page.locator('.debug-toolbar .codicon-debug-pause').count()) === 0;
      if (isSettled && now.join() !== before.join()) return;
      if (Date.now() > end) throw new Error('the call stack did not change');
    }
  }

  /** Checks an exception filter of the Breakpoints view and gives it a condition. */
  async exceptionCondition(filter: string, condition: string): Promise<void> {
    const row = this.page.locator('.debug-breakpoints .monaco-list-row', { hasText: filter });
    const box = row.locator('input[type=checkbox], .monaco-checkbox').first();
    const checked = row.locator('input[type=checkbox]:checked, .monaco-checkbox.checked');
    const input = this.page
      .locator('.debug-breakpoints .monaco-list-row input[type=text], .debug-breakpoints .monaco-inputbox input')
      .first();
    // a stop draws the rows again: under a click, and under what is typed
    await again(async () => {
      await row.scrollIntoViewIfNeeded({ timeout: LOST_MS });
      if ((await checked.count()) === 0) await box.click({ timeout: LOST_MS });
      await checked.waitFor({ timeout: LOST_MS });
    });
    await again(async () => {
      if ((await input.count()) === 0) {
        await row.hover({ timeout: LOST_MS });
        await row.locator('.action-label[aria-label^="Edit Condition"]').click({ timeout: LOST_MS });
      }
      await input.fill(condition, { timeout: LOST_MS });
      await input.press('Enter', { timeout: LOST_MS });
      await row.filter({ hasText: condition }).waitFor({ timeout: LOST_MS });
    });
  }

  /** The drawn line of a line number: the one at the same height. */
  private async viewLine(line: number): Promise<Locator> {
    const { y } = await this.glyph(line);
    for (const each of await this.editor.locator('.view-line').all()) {
      const box = await each.boundingBox();
      if (box && box.y <= y && y < box.y + box.height) return each;
    }
    throw new Error(`line ${line} is not on the screen`);
  }

  /** Hovers `text` in line `line` until a hover shows `expected`; the extension host may not be up at the first try. */
  async hover(line: number | RegExp, text: string, expected: RegExp): Promise<string> {
    const at =
      typeof line === 'number' ? await this.viewLine(line) : this.editor.locator('.view-line', { hasText: line });
    const span = at.locator('span > span', { hasText: text }).last();
    const hover = this.page.locator('.monaco-hover:not(.hidden)', { hasText: expected }).first();
    for (let attempt = 0; attempt < 15; attempt++) {
      const box = await span.boundingBox();
      // the line may just be drawn anew
      if (!box) continue;
      await this.page.mouse.move(box.x + 300, box.y + 300);
      await this.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
      const shown = await hover.waitFor({ timeout: 1500 }).then(
        () => true,
        () => false,
      );
      if (!shown) continue;
      await hover.evaluate((element) =>
        Promise.all(element.getAnimations({ subtree: true }).map((each) => each.finished)).then(() => undefined),
      );
      return hover.innerText();
    }
    throw new Error(`no hover with ${expected}`);
  }

  /** The document inside the Translation view (two nested frames). */
  translation() {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  /** The document inside a panel, by its id: the frame whose page is that panel's. */
  async panel(id: string): Promise<Frame> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      for (const frame of this.page.frames()) {
        const found = await frame
          .locator(`body[data-panel="${id}"]`)
          .count()
          .catch(() => 0);
        if (found > 0) return frame;
      }
      if (Date.now() > end) throw new Error(`the panel ${id} is not on the screen`);
      await this.page.locator('iframe.webview.ready').first().waitFor();
    }
  }

  /** Waits until keys go to the Translation view: VS Code focuses a view's frame a moment after it shows it. */
  async translationHasFocus(): Promise<void> {
    await this.translation()
      .locator('body')
      .evaluate(
        () => document.hasFocus() || new Promise((done) => addEventListener('focus', () => done(true), { once: true })),
      );
  }

  /** A view of the side bar by its title. */
  pane(title: string): Locator {
    return this.page.locator('.split-view-view .pane', {
      has: this.page.locator(`.pane-header[aria-label^="${title}"]`),
    });
  }

  /** Opens a view of the side bar and gives it the keyboard. */
  async showView(title: string): Promise<Locator> {
    await this.command(`Pagewalk: Focus on ${title} View`);
    const pane = this.pane(title);
    await pane.locator('.monaco-list').first().waitFor();
    return pane;
  }

  /** Opens the rows of a tree view from its roots down, scrolling to each; returns the last. Each is found by a text that it shows. */
  async openRows(pane: Locator, ...texts: (string | RegExp)[]): Promise<Locator> {
    let row = pane.locator('.monaco-list-row').first();
    for (const [depth, text] of texts.entries()) {
      row = pane.locator(`.monaco-list-row[aria-level="${depth + 1}"]`, { hasText: text }).first();
      const wanted = row;
      await this.scrollTo(pane.locator('.monaco-list').first(), async () =>
        (await wanted.count()) > 0 ? wanted : undefined,
      );
      await row.click();
      if (depth === texts.length - 1) break;
      if ((await row.getAttribute('aria-expanded')) === 'false') await this.page.keyboard.press('ArrowRight');
      await row.and(pane.locator('[aria-expanded="true"]')).waitFor();
    }
    return row;
  }

  /** A row of a tree view by a text that it shows, scrolled to. */
  async row(pane: Locator, text: string): Promise<Locator> {
    const wanted = pane.locator('.monaco-list-row', { hasText: text }).first();
    return this.scrollTo(pane.locator('.monaco-list').first(), async () =>
      (await wanted.count()) > 0 ? wanted : undefined,
    );
  }

  /** Turns the wheel over a tree, from its top, until `find` finds: only the rows that are in sight are drawn. Children may come a moment after their parent opens. */
  private async scrollTo(list: Locator, find: () => Promise<Locator | undefined>): Promise<Locator> {
    const drawn = (): Promise<string> =>
      list.locator('.monaco-list-row').evaluateAll((all) => all.map((each) => each.id).join());
    const end = Date.now() + PATIENCE_MS;
    while (Date.now() < end) {
      const there = await find();
      if (there) return there;
      await this.again(async () => {
        await list.focus();
        await this.page.keyboard.press('Home');
        await list.locator('.monaco-list-row[data-index="0"]').waitFor({ timeout: 4000 });
      });
      await list.hover({ position: EDGE });
      for (let before = ''; ;) {
        const found = await find();
        if (found) return found;
        // rows keep the mark of the last element when others come behind them: the end is where the wheel moves nothing
        const now = await drawn();
        if (now === before) break;
        before = now;
        await this.page.mouse.wheel(0, 100);
        // the list moves a moment after the wheel does
        for (let looks = 0; looks < 30 && (await drawn()) === before; looks++)
          await list.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
      }
    }
    throw new Error('no such row');
  }

  /** Types at a place of a line that a key leads to. */
  async typeAt(line: number, key: 'Home' | 'End', text: string): Promise<void> {
    await this.reveal(line);
    await this.editor.locator('.native-edit-context, textarea.inputarea').first().focus();
    await this.page.keyboard.press(key);
    await this.page.keyboard.insertText(text);
  }

  /** Writes `text` in place of all that the editor holds. */
  async replaceAll(text: string): Promise<void> {
    await this.editor.locator('.native-edit-context, textarea.inputarea').first().focus();
    await this.page.keyboard.press('Control+A');
    await this.page.keyboard.insertText(text);
    const [line = ''] = text.trim().split('\n').slice(-1);
    await this.editor.locator('.view-line', { hasText: line.trim() }).last().waitFor();
  }

  /** A notification by a text that it shows. */
  toast(text: string): Locator {
    return this.page.locator('.notifications-toasts .notification-list-item', { hasText: text });
  }

  /** Chooses from the context menu of a row. */
  async menu(row: Locator, item: string): Promise<void> {
    await row.click({ button: 'right' });
    // a menu takes no click in the moment after it opens, but the keyboard's choice of what is focused
    const chosen = this.page.locator('.monaco-menu .action-item', { hasText: item }).first();
    await chosen.hover();
    await chosen.and(this.page.locator('.focused')).waitFor();
    await this.page.keyboard.press('Enter');
  }

  async activity(title: string): Promise<void> {
    await this.page.locator(`.activitybar .action-label[aria-label^="${title}"]`).click();
  }

  async notifications(): Promise<string[]> {
    return this.page.locator('.notification-toast').allInnerTexts();
  }
}
