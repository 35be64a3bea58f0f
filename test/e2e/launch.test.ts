/** What a person meets whose guest cannot be started: a message that leads to the reason, and F5 that works at the next try. */
import * as assert from 'node:assert/strict';
import { inVSCode } from './vscode';

const GOOD = 'bits 64\nstart:\n    mov rax, 1\n    hlt\n';
const BAD = 'bits 64\nstart:\n    mov rax, nowhere\n    mov raxx, 1\n    hlt\n';
const NO_PROGRAM = JSON.stringify({ configurations: [{ type: 'pagewalk', request: 'launch', name: 'any' }] });

describe('a guest that cannot be started', () => {
  it('names the errors, leads to the first, and starts once it is mended', () =>
    inVSCode('launch-errors', { 'main.asm': BAD }, async (code) => {
      await code.open('main.asm');
      await code.extensionIsUp('hlt', /Halt/);
      await code.page.keyboard.press('F5');
      const toast = code.toast('The guest was not started: 2 errors in main.asm.');
      await toast.waitFor();
      await code.shot('toast');
      assert.equal(await code.page.locator('.monaco-dialog-box').count(), 0);
      await toast.locator('.monaco-button', { hasText: 'Go to First' }).click();
      await code.page.locator('#status\\.editor\\.selection', { hasText: 'Ln 3,' }).waitFor();
      await code.replaceAll(GOOD);
      await code.breakpoint(3);
      await code.page.keyboard.press('F5');
      await code.stoppedAt(3);
    }));

  it('shows the errors of an included file in Problems', () =>
    inVSCode(
      'launch-included',
      { 'main.asm': '%include "x.inc"\nhlt\n', 'x.inc': 'bits 64\nmov raxx, 1\n' },
      async (code) => {
        await code.open('main.asm');
        await code.extensionIsUp('hlt', /Halt/);
        await code.page.keyboard.press('F5');
        const toast = code.toast('x.inc:2: PW1');
        await toast.waitFor();
        await toast.locator('.monaco-button', { hasText: 'Show Problems' }).click();
        const rows = code.page.locator('.markers-panel .monaco-list-row', { hasText: /^`raxx`/ });
        await rows.first().waitFor();
        assert.equal(await rows.count(), 1);
      },
    ));

  it('says what to open where a configuration names no program, and waits for nobody to close that', () =>
    inVSCode(
      'launch-nothing',
      { 'main.asm': GOOD, 'notes.txt': 'x\n', '.vscode/launch.json': NO_PROGRAM },
      async (code) => {
        await code.open('main.asm');
        await code.extensionIsUp('hlt', /Halt/);
        await code.open('notes.txt');
        await code.language('Plain Text');
        await code.page.keyboard.press('F5');
        const toast = code.toast('Open an assembly file or an ELF');
        await toast.waitFor();
        await code.open('main.asm');
        await code.breakpoint(3);
        await code.page.keyboard.press('F5');
        await code.stoppedAt(3);
        assert.equal(await toast.count(), 1);
      },
    ));
});
