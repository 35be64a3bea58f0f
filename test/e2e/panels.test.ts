/** The panels in a real VS Code: as editor tabs, by keyboard, and with a guest whose tables drift from KVM's. */
import * as assert from 'node:assert/strict';
import { inVSCode, lineOf } from './vscode';

describe('panels', () => {
  it('Page Tables: opened, searched and followed by keyboard alone', () =>
    inVSCode('panel-page-tables', { 'worked-example.asm': true }, async (code) => {
      await code.debug('worked-example.asm', lineOf('worked-example.asm', /^access:/) + 1);
      await code.command('Pagewalk: Open Page Tables in Editor');
      const view = code.translation();
      await view.locator('.pane.guest .row').first().waitFor();
      await code.translationHasFocus();
      const { keyboard } = code.page;
      // The two choices come first, then the box to search in.
      await view.locator('select').first().focus();
      await keyboard.press('Tab');
      await keyboard.type('EPT');
      await view.locator('.pane.ept').waitFor();
      await keyboard.press('Tab');
      await keyboard.type('rbx');
      await keyboard.press('Enter');
      await view.locator('.found', { hasText: 'found 0x7f8a3b2a0100' }).waitFor();
      await keyboard.press('Tab');
      await keyboard.press('Tab');
      await view.locator('.pane.guest .row:focus', { hasText: '[160] PTE' }).waitFor();
      await keyboard.press('ArrowUp');
      await keyboard.press('ArrowDown');
      await view.locator('.pane.ept .row[aria-selected="true"]', { hasText: '0x1a2b3000' }).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));
});
