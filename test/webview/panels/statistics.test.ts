/** The KVM Statistics panel against `pagewalk run --json`, and what it says about changes. */
import * as assert from 'node:assert/strict';
import { pagewalk } from '../../cli/support';
import { Live, sourceOf } from '../stand-alone/live';
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

  it('says what `pagewalk run --json` says after as many instructions', async function () {
    const guest = { example: 'worked-example.asm', at: 'again' };
    const live = await Live.start(guest);
    const panel = await PanelPage.open(this, {
      panel: 'statistics',
      setup: { moment: live.moment, settings: SETTINGS },
      live,
      height: 1600,
    });
    const { instructions } = await live.ask<{ instructions: number }>('pagewalk/exits');
    const args = ['run', '/g/guest.asm', '--json', '--max-instructions', String(instructions)];
    const { stdout } = await pagewalk(args, { '/g/guest.asm': sourceOf(guest) });
    const { stats } = JSON.parse(stdout) as { stats: Readonly<Record<string, number>> };
    const rows = await panel.page.locator('.row').all();
    const shown = new Map(
      await Promise.all(
        rows.map(
          async (row) => [await row.locator('.name').innerText(), await row.locator('.value').innerText()] as const,
        ),
      ),
    );
    assert.ok(Object.keys(stats).length > 10);
    for (const [name, value] of Object.entries(stats)) assert.equal(shown.get(name), value.toLocaleString('en'), name);
    live.close();
    await panel.close();
  });

  it('says how many stops ago it was looked at last, and compares no two sessions', async function () {
    const guest = { example: 'worked-example.asm', at: 'access' };
    const live = await Live.start(guest);
    const panel = await PanelPage.open(this, {
      panel: 'statistics',
      setup: { moment: live.moment, settings: SETTINGS },
      live,
      height: 1600,
    });
    const gains = (): Promise<string[]> => panel.page.locator('.row.changed .gain').allInnerTexts();
    for (let i = 0; i < 3; i++) await live.go('next');
    await panel.moved(live);
    const seen = await gains();
    assert.ok(seen.length > 0);
    for (const text of seen) assert.match(text, /since the last look, 3 stops ago/);
    // an edit by hand is part of the stop
    await panel.post({ kind: 'moment', moment: { ...live.moment, number: live.moment.number + 1 } });
    assert.deepEqual(await gains(), seen);
    await panel.post({ kind: 'moment', moment: { ...live.moment, number: live.moment.number + 2, session: 'other' } });
    assert.deepEqual(await gains(), []);
    live.close();
    await panel.close();
  });
});
