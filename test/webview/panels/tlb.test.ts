/** The TLB panel: what it marks stale is what `pagewalk translate` calls stale, and an invalidation takes the mark away. */
import * as assert from 'node:assert/strict';
import { pagewalk } from '../../cli/support';
import { STALE } from '../recordings';
import { Live } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

interface Answer {
  readonly hpa?: string;
  readonly tlb: { readonly hit: boolean; readonly stale: unknown };
}

async function translated(address: string, label: string): Promise<Answer> {
  const args = ['translate', 'stale.asm', '--address', address, '--at', label, '--json'];
  const { stdout } = await pagewalk(args, { 'stale.asm': STALE.source ?? '' });
  return JSON.parse(stdout) as Answer;
}

/** Address of each entry that the list shows, and whether it is marked stale. */
async function listed(panel: PanelPage): Promise<Map<string, boolean>> {
  const rows = await panel.page.locator('.vlist .row').all();
  const read = rows.map(async (row): Promise<[string, boolean]> => [
    (await row.locator('code.gva').innerText()).trim(),
    (await row.locator('.stale-word').count()) > 0,
  ]);
  return new Map(await Promise.all(read));
}

describe('the TLB panel', () => {
  it('marks what the tables no longer bear out, names the invalidation, and forgets it after INVLPG', async function () {
    const live = await Live.start(STALE);
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'tlb', setup, live, height: 1400 });
    const check = async (label: string, stale: readonly string[]): Promise<void> => {
      const rows = await listed(panel);
      assert.deepEqual(
        [...rows].filter(([, is]) => is).map(([address]) => address),
        stale,
        label,
      );
      for (const [address, is] of rows) {
        const { tlb } = await translated(address, label);
        // the TLB answers either way; where it does not answer as the tables do, that is told
        assert.deepEqual([tlb.hit, tlb.stale !== null], [true, is], `${address} at ${label}`);
      }
    };
    await check('touched', []);
    await live.runTo('edited');
    await panel.moved(live);
    await check('edited', ['0x200000', '0x201000']);
    assert.match(await panel.page.locator('.summary').innerText(), /2 stale$/);
    assert.match(
      await panel.page.locator('.details .stale-box').innerText(),
      /Missing: INVLPG, INVPCID or a load of CR3\./,
    );
    await live.runTo('flushed');
    await panel.moved(live);
    await check('flushed', []);
    assert.match(await panel.page.locator('.news').innerText(), /2 dropped \(0x200000, 0x201000\)/);
    live.close();
    await panel.close();
  });

  it('is walked by keyboard, and leads to the chain', async function () {
    const live = await Live.start({ ...STALE, at: 'edited' });
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'tlb', setup, live });
    const { page } = panel;
    await panel.post({ kind: 'command', command: { kind: 'focus' } });
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    assert.match(await page.locator('.details h2').innerText(), /Set 0, way 1/);
    await page.getByRole('button', { name: 'Translate' }).click();
    assert.deepEqual((await panel.acts()).at(-1), {
      kind: 'open-panel',
      panel: 'translation',
      command: { kind: 'translate', expression: '0x200000', space: 'gva', access: 'r' },
    });
    await panel.assertSound();
    live.close();
    await panel.close();
  });
});
