/** The Compare panel says what `pagewalk compare` says. */
import * as assert from 'node:assert/strict';
import type { Comparison } from '../../../src/protocol/panels/compare';
import { linesOf } from '../../../src/webview/panels/compare/model';
import { pagewalk } from '../../cli/support';
import { Live, sourceOf } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

const GUEST = { example: 'first-touch.asm' };

describe('the Compare panel', () => {
  it('runs the guest under the methods chosen, and says what the command line says', async function () {
    const live = await Live.start(GUEST);
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'compare', setup, live, width: 1100 });
    const { page } = panel;
    for (const box of await page.getByRole('checkbox').all())
      await box.setChecked(/^(ept|shadow:.*|software)$/.test((await box.inputValue()) || ''));
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.locator('.verdict').waitFor();
    const args = ['compare', 'first-touch.asm', '--mmu', 'ept,shadow,software', '--json'];
    const { stdout } = await pagewalk(args, { 'first-touch.asm': sourceOf(GUEST) });
    const wanted = JSON.parse(stdout) as Comparison;
    const heads = await page.locator('thead th').allInnerTexts();
    assert.deepEqual(
      heads,
      wanted.methods.map(({ title }) => title),
    );
    const rows = await page.locator('tbody tr').all();
    const shown = await Promise.all(
      rows.map(async (row) => [await row.locator('th').innerText(), ...(await row.locator('.number').allInnerTexts())]),
    );
    assert.deepEqual(
      shown,
      linesOf(wanted).map(({ title, values }) => [title, ...values.map((value) => value.toLocaleString('en'))]),
    );
    assert.match(await page.locator('.verdict').innerText(), /cannot tell them apart/);
    await panel.assertSound();
    live.close();
    await panel.close();
  });
});
