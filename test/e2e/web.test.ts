/** The extension where VS Code runs it in a browser: in the workbench's web worker extension host, its server in a worker. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer, type Server } from '../vscode-host/server.mjs';
import { ARTIFACTS, newPage, ROOT } from './vscode';

describe('the extension in a browser', () => {
  let server: Server;
  before(async () => {
    // A remote extension runs in the browser where the settings say so and it can.
    const settings = { 'extensions.webWorker': true, 'remote.extensionKind': { 'pagewalk.pagewalk': ['web'] } };
    server = await startServer({ vsix: [join(ROOT, 'dist/pagewalk.vsix')], settings });
  });
  after(() => server.stop());

  it('warns, knows included files and shows addresses', async () => {
    const folder = join(server.root, 'w');
    mkdirSync(join(folder, 'lib'), { recursive: true });
    writeFileSync(
      join(folder, 'main.asm'),
      'bits 64\n%include "lib/a.inc"\nstart: mov rax, N\n hlt\n mov rax, N\n times 3 nop\n',
    );
    writeFileSync(join(folder, 'lib/a.inc'), 'N equ 5\n');
    const page = await newPage({ width: 1400, height: 900 });
    page.setDefaultTimeout(60_000);
    try {
      await page.goto(server.url(folder), { waitUntil: 'domcontentloaded' });
      await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'main.asm' }).dblclick();
      const editor = page.locator('.editor-instance .monaco-editor').first();
      await editor.locator('.view-line', { hasText: /100005:\sf4/ }).waitFor();
      await editor.locator('.view-line', { hasText: 'hlt' }).click();
      await page.keyboard.type('x');
      await editor.locator('.squiggly-warning').first().waitFor({ state: 'attached' });
      await page.screenshot({ path: join(ARTIFACTS, 'web.png') });
    } catch (error) {
      await page.screenshot({ path: join(ARTIFACTS, 'web.failed.png') });
      throw error;
    } finally {
      await page.context().close();
    }
  });
});
