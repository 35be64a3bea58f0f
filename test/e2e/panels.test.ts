/** The panels in a real VS Code: as editor tabs, by keyboard, and with a guest whose tables drift from KVM's. */
import * as assert from 'node:assert/strict';
import { DRIFT_GUEST } from '../webview/drift-guest';
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

  it('Page Tables: drift is seen after the guest edits its table without INVLPG, and gone after it', () =>
    inVSCode('panel-drift', { 'drift.asm': DRIFT_GUEST }, async (code) => {
      const line = (label: string): number => DRIFT_GUEST.split('\n').findIndex((text) => text.startsWith(label)) + 1;
      await code.debug('drift.asm', line('edited:'));
      await code.command('Pagewalk: Open Page Tables in Editor');
      const view = code.translation();
      await view.locator('.pane.guest .row').first().waitFor();
      await view.locator('select').nth(1).selectOption('shadow');
      await view.locator('.pane.shadow .row').first().waitFor();
      await view.getByLabel('Address or symbol').fill('rbx');
      await view.getByLabel('Address or symbol').press('Enter');
      const entry = view.locator('.pane.shadow .row', { hasText: '0x300000' }).last();
      await entry.filter({ hasText: 'stale' }).waitFor();
      await view.locator('.pane.guest .row', { hasText: 'stale' }).last().waitFor();
      await code.shot('edited');
      await code.page.keyboard.press('F10');
      await code.frame('14:1');
      await code.page.keyboard.press('F10');
      await view.locator('.pane .drift.stale').first().waitFor({ state: 'detached' });
      assert.deepEqual(await code.notifications(), []);
    }));
});
