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
import { summary, type Times } from './adapter';

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

/** VS Code's side asks the adapter over a binding of the page. */
async function openPanel(browser: Browser, client: Connection): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 900 } })).newPage();
  await page.exposeFunction('pagewalkAsk', async (name: string, args: object) => ({
    reply: await client.ask(name, args),
  }));
  const html = pageHtml({ panel: 'page-tables', theme: 'dark', place: 'editor' }, '/setup.js');
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
    const page = await openPanel(browser, client);
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

/** Our own code at activation, in processor time: loading the extension's bundle, with VS Code's API as an empty shell. */
function loadTimes(count: number): Times {
  const bundle = readFileSync(join(ROOT, 'dist/extension.js'), 'utf8');
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const script = join(mkdtempSync(join(tmpdir(), 'pagewalk-bench-')), 'extension.cjs');
    const shell = `const vscode = new Proxy(function () {}, { get: (_, k) => (k === 'prototype' ? {} : vscode), apply: () => vscode, construct: () => vscode });\n`;
    writeFileSync(
      script,
      `${shell}const load = (module, exports, require) => {${bundle}\n};module.exports = () => { const start = process.cpuUsage(); load({ exports: {} }, {}, (n) => n === 'vscode' ? vscode : require(n)); const { user, system } = process.cpuUsage(start); return (user + system) / 1000; };`,
    );
    const load = process.getBuiltinModule('node:module').createRequire(script)(script) as () => number;
    times.push(load());
    rmSync(join(script, '..'), { recursive: true });
  }
  return summary(times);
}

const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
const text = ({ median, p95, count }: Times): string =>
  `median ${median.toFixed(1)} ms, 95th percentile ${p95.toFixed(1)} ms (${count} times)`;

async function main(): Promise<void> {
  const print = (name: string, value: string): boolean => process.stdout.write(`${name.padEnd(41)}  ${value}\n`);
  for (const file of ['webview.js', 'webview.css', 'extension.js']) {
    const path = join(ROOT, 'dist', file);
    print(`${file} as built`, `${kib(statSync(path).size)}, ${kib(gzipSync(readFileSync(path)).length)} compressed`);
  }
  print('loading the extension, processor time', text(loadTimes(15)));
  const executablePath =
    process.env['CHROME'] ?? ['chromium', 'chromium-browser', 'google-chrome'].map(which).find(Boolean);
  if (executablePath === undefined) return;
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
  try {
    for (const entries of [1_000, 100_000, 1_000_000])
      print(
        `stop to page tables painted, ${entries.toLocaleString('en')}`,
        text(await paintTimes(browser, entries, 40)),
      );
  } finally {
    await browser.close();
  }
}

void main();
