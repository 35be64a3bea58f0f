/** The language server as a browser has it: the bundle in a worker of a real browser, its files asked of the client. */
import * as assert from 'node:assert/strict';
import { build } from 'esbuild';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CompletionItem, DocumentDiagnosticReport, InlayHint } from 'vscode-languageserver';
import { chromium, type Browser, type Page } from 'playwright-core';
// @ts-expect-error the build script has no types
import { browserWorkerBundle } from '../../scripts/build.mjs';
import { needs } from '../support/needs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const FOLDER = 'vscode-vfs://github/someone/guests';

/** What the page answers for the files that the server asks for, and what it can be asked. */
interface Session {
  ask<T>(method: string, params: object): Promise<T>;
  /** How often the server said that diagnostics are to be asked anew. */
  refreshed(): Promise<number>;
  /** Until the server has said so at least `times`. */
  untilRefreshed(times: number): Promise<void>;
}

describe('the language server in a browser worker', () => {
  let server: Server;
  let browser: Browser;
  before(async function () {
    const executablePath = process.env['CHROME'] ?? needs(this, 'chromium');
    const { outputFiles } = await build({ ...(browserWorkerBundle as object), write: false, absWorkingDir: ROOT });
    const script = outputFiles?.[0]?.contents ?? new Uint8Array(0);
    server = createServer((request, response) => {
      const isScript = request.url === '/server.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : '<!doctype html><title>client</title>');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  /** Opens main.asm of a folder with `files`. */
  async function open(
    files: Readonly<Record<string, string>>,
    run: (session: Session) => Promise<void>,
  ): Promise<void> {
    const page: Page = await browser.newPage();
    try {
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(error.message));
      // What the tests' own compiler puts around named functions.
      await page.addInitScript('globalThis.__name = (f) => f');
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await page.evaluate(startClient, { files, folder: FOLDER });
      const session: Session = {
        ask: (method, params) => page.evaluate(([m, p]) => window.client.ask(m, p), [method, params] as const) as never,
        refreshed: () => page.evaluate(() => window.client.refreshed),
        untilRefreshed: async (times) => void (await page.waitForFunction((n) => window.client.refreshed >= n, times)),
      };
      const workspaceFolders = [{ uri: FOLDER, name: 'guests' }];
      const capabilities = { workspace: { diagnostics: { refreshSupport: true } } };
      await session.ask('initialize', { processId: null, rootUri: FOLDER, workspaceFolders, capabilities });
      await page.evaluate(
        ([uri, text]) => {
          window.client.tell('initialized', {});
          window.client.tell('textDocument/didOpen', {
            textDocument: { uri, languageId: 'pagewalk-asm', version: 1, text },
          });
        },
        [`${FOLDER}/main.asm`, files['main.asm'] ?? ''] as const,
      );
      await run(session);
      assert.deepEqual(errors, []);
    } finally {
      await page.close();
    }
  }
  const textDocument = { uri: `${FOLDER}/main.asm` };

  it('tells mistakes, and knows an included file once the client has sent it', async function () {
    const files = {
      'main.asm': 'bits 64\n%include "lib/a b.inc"\n mov rax, N\n mov rax, nowhere\n',
      'lib/a b.inc': 'N equ 5\n',
    };
    await open(files, async ({ ask, untilRefreshed }) => {
      const lines = async (): Promise<number[]> => {
        const report = await ask<DocumentDiagnosticReport>('textDocument/diagnostic', { textDocument });
        return report.kind === 'full' ? report.items.map(({ range }) => range.start.line) : [];
      };
      await lines();
      await untilRefreshed(1);
      // One more where the list of sources came in after the file.
      let seen = await lines();
      for (let times = 2; seen.length > 1 && times < 4; times++) {
        await untilRefreshed(times);
        seen = await lines();
      }
      assert.deepEqual(seen, [3]);
    });
  });

  it('completes, and shows addresses as a run has them', async function () {
    await open({ 'main.asm': 'bits 64\nstart: vmc\n hlt\n' }, async ({ ask }) => {
      const position = { line: 1, character: 10 };
      const items = await ask<CompletionItem[]>('textDocument/completion', { textDocument, position });
      assert.ok(items.some(({ label }) => label === 'vmcall'));
    });
    await open({ 'main.asm': 'bits 64\nstart: hlt\n' }, async ({ ask }) => {
      const range = { start: { line: 0, character: 0 }, end: { line: 3, character: 0 } };
      const hints = await ask<InlayHint[]>('textDocument/inlayHint', { textDocument, range });
      assert.deepEqual(
        hints.map(({ label }) => label),
        ['100000: f4'],
      );
    });
  });

  it('reads nothing outside the folders that are open', async function () {
    await open({ 'main.asm': '%include "../secret.inc"\n%include "/etc/passwd"\n' }, async ({ ask }) => {
      await ask('textDocument/diagnostic', { textDocument });
      await ask('textDocument/diagnostic', { textDocument });
      const asked = await ask<string[]>('test/asked', {});
      assert.deepEqual(asked, []);
    });
  });
});

declare global {
  interface Window {
    client: {
      refreshed: number;
      ask(method: string, params: unknown): Promise<unknown>;
      tell(method: string, params: unknown): void;
    };
  }
  var window: Window;
}

/** Runs in the page: a worker with the server, and the client's side of JSON-RPC. */
function startClient({ files, folder }: { files: Readonly<Record<string, string>>; folder: string }): void {
  interface Message {
    readonly id?: number;
    readonly method?: string;
    readonly params?: { readonly uri?: string };
    readonly result?: unknown;
    readonly error?: { readonly message: string };
  }
  interface Port {
    postMessage(message: unknown): void;
    onmessage: ((event: { data: Message }) => void) | null;
  }
  const worker = new (globalThis as unknown as { Worker: new (url: string) => Port }).Worker('/server.js');
  const waiting = new Map<number, (message: Message) => void>();
  const asked: string[] = [];
  let next = 1;
  const answer = (id: number, result: unknown): void => worker.postMessage({ jsonrpc: '2.0', id, result });
  worker.onmessage = ({ data }) => {
    if (data.method === undefined) return waiting.get(data.id ?? 0)?.(data);
    if (data.method === 'workspace/diagnostic/refresh') window.client.refreshed++;
    if (data.id === undefined) return undefined;
    if (data.method === 'pagewalk/findSources')
      return answer(
        data.id,
        Object.keys(files).map((name) => `${folder}/${name}`),
      );
    if (data.method !== 'pagewalk/readFile') return answer(data.id, null);
    const uri = data.params?.uri ?? '';
    asked.push(uri);
    const text = files[decodeURIComponent(uri.slice(folder.length + 1))];
    return answer(data.id, text === undefined ? null : new TextEncoder().encode(text));
  };
  window.client = {
    refreshed: 0,
    ask: (method, params) =>
      method === 'test/asked'
        ? Promise.resolve(asked)
        : new Promise((done, fail) => {
            const id = next++;
            waiting.set(id, ({ result, error }) => (error ? fail(new Error(error.message)) : done(result)));
            worker.postMessage({ jsonrpc: '2.0', id, method, params });
          }),
    tell: (method, params) => worker.postMessage({ jsonrpc: '2.0', method, params }),
  };
}
