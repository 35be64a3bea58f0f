/** Panels over a guest that goes on: a nested walk played to its end, a stale TLB entry until INVLPG, one guest under every method. */
import * as assert from 'node:assert/strict';
import { STALE } from '../webview/recordings';
import { inVSCode, lineOf } from './vscode';

const stale = STALE.source ?? '';
const line = (label: string): number => stale.split('\n').findIndex((text) => text.startsWith(label)) + 2;

describe('panels of a running guest', () => {
  it('Translation: the nested walk is played to its end', () =>
    inVSCode('panel-walk', { 'worked-example.asm': true }, async (code) => {
      await code.debug('worked-example.asm', lineOf('worked-example.asm', /^access:/) + 1);
      await code.command('Pagewalk: Open Translation in Editor');
      const view = code.translation();
      await view.getByLabel('Address or expression').fill('rbx');
      await view.getByLabel('Address or expression').press('Enter');
      await view.locator('.player').waitFor();
      await view.getByRole('button', { name: 'Play', exact: true }).click();
      await view.locator('.player .place', { hasText: '24 / 24' }).waitFor({ timeout: 60_000 });
      await view.locator('.detail', { hasText: 'Load 24: EPT PTE for the page' }).waitFor();
      assert.equal(await view.locator('.grid .now').innerText(), '24');
      assert.deepEqual(await code.notifications(), []);
    }));

  it('TLB: an entry that the tables no longer bear out is marked, and gone after INVLPG', () =>
    inVSCode('panel-tlb', { 'stale.asm': stale }, async (code) => {
      await code.debug('stale.asm', line('edited:'));
      await code.command('Pagewalk: Open TLB in Editor');
      const view = code.translation();
      const marked = view.locator('.row.stale', { hasText: '0x200000' });
      await marked.waitFor();
      await marked.click();
      await view.locator('.stale-box', { hasText: 'Missing: INVLPG, INVPCID or a load of CR3' }).waitFor();
      await code.shot('stale');
      await code.page.keyboard.press('F10');
      await view.locator('.news', { hasText: '1 dropped (0x200000)' }).waitFor();
      await marked.waitFor({ state: 'detached' });
      await view.locator('.row.stale', { hasText: '0x201000' }).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));

  it('Compare: the context switch under every method', () =>
    inVSCode('panel-compare', { 'context-switch.asm': true }, async (code) => {
      await code.debug('context-switch.asm', lineOf('context-switch.asm', /mov +rsi, cr3/));
      await code.command('Pagewalk: Open Compare in Editor');
      const view = code.translation();
      await view.getByRole('button', { name: 'Compare', exact: true }).click();
      await view.locator('.same', { hasText: 'cannot tell them apart' }).waitFor({ timeout: 60_000 });
      const cells = view.locator('tr', { has: view.getByRole('rowheader', { name: 'CR_ACCESS', exact: true }) });
      const heads = await view.locator('thead th').allInnerTexts();
      const exits = (await cells.locator('.number').allInnerTexts()).map((text) => Number(text.replaceAll(',', '')));
      const of = (title: string): number | undefined => exits[heads.indexOf(title)];
      // with EPT the guest loads CR3 itself, and only turning PCIDs on and off exits; shadow paging must see each load
      assert.equal(of('EPT'), 2);
      assert.ok((of('Shadow, classic') ?? 0) > 2, exits.join(', '));
      assert.deepEqual(await code.notifications(), []);
    }));
});
