/**
 * What a person waits for before a panel: from the adapter's stop to the panel painted, in Chromium over the built bundles. Run by
 * `npm run bench`; prints nothing where there is no Chromium.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Connection } from '../dap/connection';
import { which } from '../support/needs';
import { ROOT, SETTINGS, asset, pageHtml, stubJs } from '../webview/stand-alone/site';
import type { Adapter } from '../../src/dap/adapter';
import { exitsRequests } from '../../src/dap/panels/exits';
import type { PanelId } from '../../src/protocol/panels';
import { ExitHistory } from '../../src/session/exits/history';
import { activationTimes } from './activation';
import { summary, type Times } from './adapter';
import { longRun } from './exits';

/** A guest whose own tables have so many present entries more than it started with, and which edits one of them at each step. */
function tablesGuest(entries: number): string {
  const tables = Math.ceil(entries / 512);
  const directories = Math.ceil(tables / 512);
  return `; @guest start=flat64 memory=64M
bits 64
        mov     rdi, 0x1000000
        mov     rax, 0x3
        mov     ecx, ${entries}
fill:   mov     [rdi], rax
        add     rax, 0x1000
        add     rdi, 8
        dec     ecx
        jnz     fill
        mov     rdi, 0x2000000
        mov     rax, 0x1000003
        mov     ecx, ${tables}
dirs:   mov     [rdi], rax
        add     rax, 0x1000
        add     rdi, 8
        dec     ecx
        jnz     dirs
        mov     rdi, 0x2010000
        mov     rax, 0x2000003
        mov     ecx, ${directories}
tops:   mov     [rdi], rax
        add     rax, 0x1000
        add     rdi, 8
        dec     ecx
        jnz     tops
        mov     rax, cr3
        mov     qword [rax + 8], 0x2010003
ready:  xor     qword [0x1000000], 0x20
        jmp     ready
`;
}

type Ask = (name: string, args: object) => Promise<unknown>;

/** VS Code's side asks the adapter over a binding of the page. */
async function openPanel(browser: Browser, panel: PanelId, ask: Ask): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 900 } })).newPage();
  await page.exposeFunction('pagewalkAsk', async (name: string, args: object) => ({ reply: await ask(name, args) }));
  const html = pageHtml({ panel, theme: 'dark', place: 'editor' }, '/setup.js');
  const setup = stubJs({ moment: { standing: 'stopped', number: 1, session: 'bench', stop: 1 }, settings: SETTINGS });
  await page.route('**/*', async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/') return route.fulfill({ contentType: 'text/html', body: html });
    if (pathname === '/setup.js') return route.fulfill({ contentType: 'text/javascript', body: setup });
    const found = await asset(pathname);
    return found
      ? route.fulfill({ contentType: found.type, body: found.body })
      : route.fulfill({ status: 204, body: '' });
  });
  await page.goto('http://pagewalk.test/');
  await page.locator('.row').first().waitFor();
  return page;
}

/** Resolves to the milliseconds from the moment's arrival to the frame that shows what came of it. */
const PAINTED = (number: number): string => `new Promise((done) => {
  const start = performance.now();
  standAlone.post({ kind: 'moment', moment: { standing: 'stopped', number: ${number}, session: 'bench', stop: ${number} } });
  let asked = false;
  const look = () => {
    asked ||= standAlone.open > 0;
    if (asked && standAlone.open === 0) requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
    else setTimeout(look);
  };
  look();
})`;

/** From a stop to the Page Tables panel painted, over guest tables of so many entries. */
async function paintTimes(browser: Browser, entries: number, count: number): Promise<Times> {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-bench-'));
  const program = join(folder, 'guest.asm');
  writeFileSync(program, tablesGuest(entries));
  const child = spawn(process.execPath, [join(ROOT, 'dist/dap.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const client = new Connection(child.stdin, child.stdout);
    await client.launch({ program, stopOnEntry: true });
    await client.ask('setFunctionBreakpoints', { breakpoints: [{ name: 'ready' }] });
    await client.toStop('configurationDone');
    await client.toStop('continue');
    const page = await openPanel(browser, 'page-tables', (name, args) => client.ask(name, args));
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      await client.toStop('continue');
      times.push(await page.evaluate<number>(PAINTED(i + 2)));
    }
    await page.context().close();
    return summary(times);
  } finally {
    child.kill();
    rmSync(folder, { recursive: true });
  }
}

/** Frames of 20 seconds at 60 a second: closer by 25 octaves, along the run, and back, over and over. */
const FRAMES = `new Promise((done) => {
  const canvas = document.querySelector('canvas.timeline');
  const { left, top, width } = canvas.getBoundingClientRect();
  const times = [];
  let before;
  const frame = (now) => {
    if (before !== undefined) times.push(now - before);
    before = now;
    if (times.length === 1200) return done(times);
    const phase = times.length % 300;
    const [deltaX, deltaY] = phase < 100 ? [0, -60] : phase < 200 ? [30, 0] : [0, 60];
    canvas.dispatchEvent(new WheelEvent('wheel',
      { deltaX, deltaY, clientX: left + width * 0.6, clientY: top + 40, bubbles: true, cancelable: true }));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})`;

/** Zooming and moving the timeline of a run of so many exits: from frame to frame. */
async function timelineFrames(browser: Browser, exits: number): Promise<Times> {
  const { log, moment } = longRun(exits);
  const history = new ExitHistory({ exits: log, moment }, { symbolOf: () => undefined, locationOf: () => undefined });
  const adapter = { stopped: { exits: history }, client: { source: () => ({}) } } as unknown as Adapter;
  const handlers = exitsRequests as Readonly<Record<string, (adapter: Adapter, args: object) => unknown>>;
  const page = await openPanel(browser, 'exits', (name, args) => Promise.resolve(handlers[name]?.(adapter, args)));
  const times = await page.evaluate<number[]>(FRAMES);
  await page.context().close();
  return summary(times);
}

const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
const text = ({ median, p95, count }: Times): string =>
  `median ${median.toFixed(1)} ms, 95th percentile ${p95.toFixed(1)} ms (${count} times)`;

/** An argument narrows it down to rows whose names have that in them. */
const isWanted = (name: string): boolean => name.includes(process.argv[2] ?? '');
const print = (name: string, value: string): boolean => process.stdout.write(`${name.padEnd(41)}  ${value}\n`);

function ofBundles(): void {
  for (const file of ['webview.js', 'webview.css', 'extension.js', 'dap.js', 'server.js']) {
    const path = join(ROOT, 'dist', file);
    print(`${file} as built`, `${kib(statSync(path).size)}, ${kib(gzipSync(readFileSync(path)).length)} compressed`);
  }
  const activation = activationTimes(15);
  print('extension loaded, fresh process', text(activation.load));
  print('… then activate()', text(activation.activate));
  print('… processor time of both', text(activation.processor));
  print('language client, at the first .asm file', text(activation.language));
}

const BROWSER_ROWS: readonly { readonly name: string; readonly measure: (browser: Browser) => Promise<Times> }[] = [
  ...[1_000, 100_000, 1_000_000].map((entries) => ({
    name: `stop to page tables painted, ${entries.toLocaleString('en')}`,
    measure: (browser: Browser) => paintTimes(browser, entries, 40),
  })),
  {
    name: 'frame of a timeline of ten million exits',
    measure: (browser) => timelineFrames(browser, 10_000_000),
  },
];

async function main(): Promise<void> {
  if (isWanted('bundles')) ofBundles();
  const executablePath =
    process.env['CHROME'] ?? ['chromium', 'chromium-browser', 'google-chrome'].map(which).find(Boolean);
  const rows = BROWSER_ROWS.filter(({ name }) => isWanted(name));
  if (executablePath === undefined || rows.length === 0) return;
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
  try {
    for (const { name, measure } of rows) print(name, text(await measure(browser)));
  } finally {
    await browser.close();
  }
}

void main();
