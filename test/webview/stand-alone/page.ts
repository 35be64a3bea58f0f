/** A panel's stand-alone page in Chromium, for tests: with a recording, or asking a live guest. */
import * as assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { ToPanel } from '../../../src/protocol/panels';
import { needs, which } from '../../support/needs';
import type { Live } from './live';
import { ROOT, asset, pageHtml, stubJs, type Exchange, type PageOptions, type Setup } from './site';

const ARTIFACTS = join(ROOT, 'test/.artifacts');

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
let browser: Browser | undefined;
after(async () => {
  await browser?.close();
  browser = undefined;
});

async function launch(context: Mocha.Context): Promise<Browser> {
  const found = process.env['CHROME'] ?? PROGRAMS.map(which).find((each) => each !== undefined);
  const executablePath = found ?? needs(context, 'chromium');
  return (browser ??= await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
  }));
}

export interface OpenOptions extends Partial<Omit<PageOptions, 'panel'>>, Pick<PageOptions, 'panel'> {
  readonly width?: number;
  readonly height?: number;
  readonly setup: Setup;
  /** Answers what the setup's recording does not. */
  readonly live?: Live;
  /** As Windows' contrast themes and an operating system that is asked for less motion have it. */
  readonly forced?: boolean;
}

/** Widths of a narrow side bar, and of an editor tab. */
export const WIDTHS = { narrow: 300, full: 1100 } as const;

export class PanelPage {
  /** What a live guest was asked, with its answers: what a recording consists of. */
  readonly exchanges: Exchange[] = [];
  private readonly problems: string[] = [];

  private constructor(
    readonly page: Page,
    private readonly context: BrowserContext,
  ) {}

  static async open(context: Mocha.Context, options: OpenOptions): Promise<PanelPage> {
    const { panel, setup, live, width = WIDTHS.narrow, height = 900 } = options;
    const started = await launch(context);
    const own = await started.newContext({
      viewport: { width, height },
      ...(options.forced ? { forcedColors: 'active', reducedMotion: 'reduce' } : {}),
    });
    const page = await own.newPage();
    const panelPage = new PanelPage(page, own);
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => panelPage.problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') panelPage.problems.push(message.text());
    });
    const place = options.place ?? (width > 500 ? 'editor' : 'sidebar');
    const html = pageHtml({ panel, theme: options.theme ?? 'dark', place }, '/setup.js');
    if (live)
      await page.exposeFunction('pagewalkAsk', async (name: string, args: object) => {
        const answer = await live.answer(name, args);
        panelPage.exchanges.push({ name, arguments: args, ...answer });
        return answer;
      });
    await page.route('**/*', async (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: html });
      if (pathname === '/setup.js') return route.fulfill({ contentType: 'text/javascript', body: stubJs(setup) });
      const found = await asset(pathname);
      return found
        ? route.fulfill({ contentType: found.type, body: found.body })
        : route.fulfill({ status: 204, body: '' });
    });
    await page.goto('http://pagewalk.test/');
    await panelPage.settled();
    return panelPage;
  }

  /** Waits until no request is open and what came of them is drawn. */
  readonly settled = async (): Promise<void> => {
    await this.page.evaluate(`new Promise((done) => {
      let quiet = 0;
      const look = () => {
        quiet = standAlone.open === 0 ? quiet + 1 : 0;
        if (quiet > 4) done(); else requestAnimationFrame(look);
      };
      look();
    })`);
  };

  async post(message: ToPanel): Promise<void> {
    await this.page.evaluate(`standAlone.post(${JSON.stringify(message)})`);
    await this.settled();
  }

  /** Tells the panel that the live guest stands at another moment now. */
  moved(live: Live): Promise<void> {
    return this.post({ kind: 'moment', moment: live.moment });
  }

  /** What the page asked for and was not recorded. */
  missing(): Promise<string[]> {
    return this.page.evaluate<string[]>('standAlone.missing');
  }
  acts(): Promise<unknown[]> {
    return this.page.evaluate<unknown[]>('standAlone.acts');
  }
  /** What the panel stored, once its delay is over: what the page's going would store. */
  kept(): Promise<unknown> {
    return this.page.evaluate('window.onpagehide?.(), standAlone.kept');
  }

  async shot(name: string): Promise<void> {
    mkdirSync(ARTIFACTS, { recursive: true });
    await this.page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });
  }

  /** Nothing reaches beyond the width, nothing was blocked or thrown. */
  async assertSound(): Promise<void> {
    const overflow = await this.page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    assert.ok(overflow <= 0, `the page scrolls sideways by ${overflow} px`);
    assert.deepEqual(this.problems, []);
  }

  /** No finding of axe that is serious or critical. */
  async assertAccessible(): Promise<void> {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await this.page.evaluate(axe);
    const found = await this.page.evaluate<readonly string[]>(`axe
      .run(document, { resultTypes: ['violations'] })
      .then(({ violations }) => violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 160) + ' ' + failureSummary).join(' | ')))`);
    assert.deepEqual(found, []);
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
