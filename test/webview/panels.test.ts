/** Every panel as a person sees it, from recorded sessions: three themes, two widths; sound, accessible, photographed. */
import * as assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PANELS } from '../../src/protocol/panels';
import { RECORDINGS, type RecordingSpec } from './recordings';
import { Live } from './stand-alone/live';
import { PanelPage, WIDTHS } from './stand-alone/page';
import { IDLE, RECORDED, SETTINGS, SHOT_THEMES, readRecording, type Exchange, type Setup } from './stand-alone/site';

const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

const setupOf = (spec: RecordingSpec, moment: Setup['moment'], exchanges: readonly Exchange[]): Setup => ({
  moment,
  settings: SETTINGS,
  ...(spec.command ? { command: spec.command } : {}),
  ...(spec.cursor ? { cursor: spec.cursor } : {}),
  exchanges,
});

/** Opens the panel at both widths over a live guest, and writes down what was asked and answered. */
async function record(context: Mocha.Context, spec: RecordingSpec): Promise<void> {
  const live = await Live.start(spec.guest);
  const seen = new Map<string, Exchange>();
  let { moment } = live;
  for (const width of Object.values(WIDTHS)) {
    const page = await PanelPage.open(context, {
      panel: spec.panel,
      width,
      setup: setupOf(spec, live.moment, []),
      live,
    });
    // Only the first opening walks on: the second sees where the guest stands then.
    if (width === WIDTHS.narrow)
      for (const step of spec.then ?? []) {
        if (typeof step === 'string') await live.go(step);
        else await live.runTo(step.runTo);
        await page.moved(live);
      }
    ({ moment } = live);
    await spec.play?.(page);
    await page.settled();
    for (const each of page.exchanges) seen.set(`${each.name} ${JSON.stringify(each.arguments)}`, each);
    await page.close();
  }
  live.close();
  mkdirSync(RECORDED, { recursive: true });
  const exchanges = [...seen.keys()].sort().map((key) => seen.get(key));
  const lines = exchanges.map((each) => JSON.stringify(each)).join(',\n');
  const { exchanges: _, ...setup } = setupOf(spec, moment, []);
  const head = JSON.stringify({ panel: spec.panel, setup }).slice(0, -2);
  writeFileSync(join(RECORDED, `${spec.name}.json`), `${head},"exchanges":[\n${lines}\n]}}\n`);
}

describe('panels', function () {
  it('has a recording of each', () =>
    assert.deepEqual([...new Set(RECORDINGS.map(({ panel }) => panel))].sort(), PANELS.map(({ id }) => id).sort()));

  for (const spec of RECORDINGS)
    describe(spec.name, () => {
      if (UPDATE)
        before(async function () {
          await record(this, spec);
        });

      for (const theme of SHOT_THEMES)
        for (const [name, width] of Object.entries(WIDTHS))
          it(`${theme}, ${width} px`, async function () {
            const recording = readRecording(spec.name);
            assert.ok(recording, 'recorded: run with UPDATE_GOLDEN=1');
            const page = await PanelPage.open(this, { panel: spec.panel, theme, width, setup: recording.setup });
            await spec.play?.(page);
            await page.settled();
            await page.shot(`panel-${spec.name}-${theme}-${name}`);
            assert.deepEqual(await page.missing(), [], 'not recorded: run with UPDATE_GOLDEN=1');
            await page.assertSound();
            await page.assertAccessible();
            await page.close();
          });

      it('forced colours, less motion, 300 px', async function () {
        const setup = readRecording(spec.name)?.setup;
        assert.ok(setup, 'recorded: run with UPDATE_GOLDEN=1');
        const page = await PanelPage.open(this, { panel: spec.panel, theme: 'contrast', setup, forced: true });
        await spec.play?.(page);
        await page.settled();
        await page.shot(`panel-${spec.name}-forced-narrow`);
        assert.equal(await page.page.evaluate('document.getAnimations().length'), 0);
        await page.assertSound();
        await page.close();
      });
    });

  for (const { id } of PANELS)
    describe(`${id} without a session`, () => {
      it('says what to do', async function () {
        const page = await PanelPage.open(this, { panel: id, setup: IDLE });
        await page.page.locator('.empty', { hasText: 'F5' }).waitFor();
        await page.page.getByRole('button', { name: 'Debug Guest File' }).click();
        assert.deepEqual(await page.acts(), [{ kind: 'debug' }]);
        await page.assertSound();
        await page.assertAccessible();
        await page.close();
      });

      it('keeps what it showed after the end and over a reload', async function () {
        const spec = RECORDINGS.find(({ panel }) => panel === id);
        const recording = readRecording(spec?.name ?? '');
        assert.ok(recording);
        const { setup } = recording;
        const body = (page: PanelPage): Promise<string> => page.page.locator('.panel').innerText();
        const first = await PanelPage.open(this, { panel: id, setup });
        const before = await body(first);
        await first.post({ kind: 'moment', moment: { ...setup.moment, standing: 'none' } });
        await first.page.locator('.notice', { hasText: 'ended' }).waitFor();
        assert.equal(await body(first), before);
        const kept = await first.kept();
        await first.close();
        const again = await PanelPage.open(this, { panel: id, setup: { ...IDLE, kept } });
        await again.page.locator('.notice', { hasText: 'ended' }).waitFor();
        assert.equal(await body(again), before);
        await again.assertSound();
        await again.close();
      });
    });
});
