import * as assert from 'node:assert/strict';
import { inVSCode } from './vscode';

const SOURCE = 'bits 64\norg 0x7c00\nstart:\n    mov rcx, start\n    jmp nowhere\n.again:\n    jmp .again\n';

describe('the editor', () => {
  it('knows guest assembly, and says nothing about a good file', () =>
    inVSCode('editor-example', { 'worked-example.asm': true }, async (code) => {
      await code.open('worked-example.asm');
      await code.language('Guest Assembly');
      await code.page.locator('.editor-actions [aria-label^="Debug Guest File"]').waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));

  it('underlines a mistake, and lists it with its number', () =>
    inVSCode('editor-mistake', { 'main.asm': SOURCE }, async (code) => {
      await code.open('main.asm');
      await code.language('Guest Assembly');
      await code.editor.locator('.squiggly-error').first().waitFor();
      await code.command('View: Toggle Problems');
      await code.page.locator('.markers-panel .monaco-list-row', { hasText: 'PW101' }).waitFor();
    }));

  it('shows what a label is worth, and goes to its definition', () =>
    inVSCode('editor-label', { 'main.asm': SOURCE }, async (code) => {
      await code.open('main.asm');
      await code.language('Guest Assembly');
      await code.hover(/mov\srcx/, 'start', /label.*0x7c00/s);
      const word = code.editor
        .locator('.view-line', { hasText: /jmp\s\.again/ })
        .locator('span > span')
        .last();
      await code.page.keyboard.press('Escape');
      await word.click();
      await code.page.keyboard.press('F12');
      await code.page.locator('#status\\.editor\\.selection', { hasText: 'Ln 6' }).waitFor();
    }));

  it('says in the Pagewalk container what to do first', () =>
    inVSCode('views-empty', { 'hello.asm': true }, async (code) => {
      await code.open('hello.asm');
      await code.language('Guest Assembly');
      await code.activity('Pagewalk');
      await code.translation().locator('.empty', { hasText: 'press F5' }).waitFor();
      await code.page.locator('.pane-body', { hasText: 'Shown while a guest is stopped' }).first().waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));
});
