/** The KVM Statistics panel against `pagewalk run --json`, and what it says about changes. */
import * as assert from 'node:assert/strict';
import { Live } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

describe('the KVM Statistics panel', () => {
  it('shows the counters of the adapter, and what each gained since the last stop', async function () {
    const live = await Live.start({ example: 'worked-example.asm', at: 'access' });
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'statistics', setup, live, height: 1200 });
    const rows = (): Promise<string[]> => panel.page.locator('.row').allInnerTexts();
    const expected = async (): Promise<Map<string, number>> => {
      const { statistics } = await live.ask<{ statistics: { name: string; value: number }[] }>('pagewalk/statistics');
      return new Map(statistics.map(({ name, value }) => [name, value]));
    };
    const before = await expected();
    await live.go('next');
    await panel.moved(live);
    const after = await expected();
    const wanted = [...after].map(([name, value]) => {
      const gain = value - (before.get(name) ?? 0);
      return [name, gain === 0 ? '' : `+${gain} since the last stop`, value.toLocaleString('en')].join(' ');
    });
    assert.deepEqual(
      (await rows()).map((text) => text.replace(/\n+/g, ' ').replace(/ +/g, ' ')),
      wanted.map((text) => text.replace(/ +/g, ' ')),
    );
    assert.ok(
      wanted.some((text) => text.includes('+')),
      'one instruction changes a counter',
    );
    live.close();
    await panel.close();
  });
});
