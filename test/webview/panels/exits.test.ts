/** The VM Exits panel against `pagewalk trace`, by keyboard, and where it leads. */
import * as assert from 'node:assert/strict';
import { pagewalk } from '../../cli/support';
import { EXITING, LONG } from '../recordings';
import { Live, sourceOf, type Guest } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

interface Opened {
  readonly live: Live;
  readonly panel: PanelPage;
}
async function open(context: Mocha.Context, guest: Guest, width = 1100): Promise<Opened> {
  const live = await Live.start({ ...guest, at: 'done' });
  const panel = await PanelPage.open(context, {
    panel: 'exits',
    width,
    setup: { moment: live.moment, settings: SETTINGS },
    live,
  });
  await panel.page.locator('.selected h2').waitFor();
  return { live, panel };
}
const tidy = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** `pagewalk trace` of the same run up to `done`, which nothing exits behind but HLT. */
async function csv(guest: Guest): Promise<readonly Readonly<Record<string, string>>[]> {
  const { stdout } = await pagewalk(['trace', '/g/guest.asm', '--format', 'csv'], { '/g/guest.asm': sourceOf(guest) });
  const [head = '', ...lines] = stdout.trimEnd().split('\n');
  const columns = head.split(',');
  // titles have commas and stand in quotes
  const fields = (line: string): string[] =>
    [...line.matchAll(/("[^"]*"|[^,]*)(,|$)/g)].map(([, f = '']) => f.replace(/^"|"$/g, ''));
  return lines
    .map((line) => Object.fromEntries(fields(line).map((f, i) => [columns[i] ?? '', f])))
    .filter((r) => r['reason'] !== 'HLT');
}

describe('the VM Exits panel', () => {
  it('says what `pagewalk trace` says: exits, counts, Steps', async function () {
    const { live, panel } = await open(this, EXITING);
    const { page } = panel;
    const rows = await csv(EXITING);
    assert.match(await page.locator('.total').innerText(), new RegExp(`^${rows.length} VM exits`));
    const counts = new Map<string, number>();
    for (const { reason = '' } of rows) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    const bars = await page.locator('[aria-label="By reason"] button').allInnerTexts();
    assert.deepEqual(
      bars.map((text) => tidy(text).split(' ').slice(0, 2)).sort(),
      [...counts].map(([name, n]) => [name, String(n)]).sort(),
    );
    const list = page.locator('.vlist');
    await list.evaluate((element) => (element.scrollTop = 0));
    await page.locator('.row[data-index="0"]').waitFor();
    const shown = await page
      .locator('.row')
      .evaluateAll((elements) =>
        elements.map((e) => [
          e.getAttribute('data-index') ?? '',
          e.querySelector('.title')?.textContent ?? '',
          e.querySelector('.cost')?.firstChild?.textContent ?? '',
        ]),
      );
    assert.ok(shown.length > 10);
    for (const [index, title, cost] of shown) {
      const row = rows[Number(index)];
      assert.deepEqual([title, cost], [row?.['title'], Number(row?.['cost']).toLocaleString('en')], `row ${index}`);
    }
    // the Steps of the exit that is shown: those of the JSON lines
    const { stdout } = await pagewalk(['trace', '/g/guest.asm'], { '/g/guest.asm': sourceOf(EXITING) });
    const steps = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { function: string; what: string });
    const starts = steps.flatMap((s, i) => (s.function === 'VM exit' ? [i] : []));
    const last = steps.slice(starts[rows.length - 1], starts[rows.length]);
    const said = await page
      .locator('.sequence li')
      .evaluateAll((elements) =>
        elements.flatMap((e) =>
          e.querySelector('.what')
            ? [[e.querySelector('.fn')?.textContent, e.querySelector('.what')?.textContent?.trim()]]
            : [],
        ),
      );
    assert.deepEqual(
      said,
      last.map((s) => [s.function, s.what]),
    );
    live.close();
    await panel.close();
  });

  it('goes from exit to exit by keyboard, and leads to the instruction and the walk', async function () {
    const { live, panel } = await open(this, EXITING);
    const { page } = panel;
    await page.locator('.bars button', { hasText: 'EPT_VIOLATION' }).click();
    await page.locator('.filter', { hasText: 'Only EPT_VIOLATION' }).waitFor();
    await page.locator('.row').first().focus();
    for (const key of ['Home', ...Array.from({ length: 7 }, () => 'ArrowDown'), 'Enter'])
      await page.keyboard.press(key);
    const chosen = (await csv(EXITING)).filter((r) => r['reason'] === 'EPT_VIOLATION')[7];
    assert.ok(chosen);
    await page.locator('.selected h2', { hasText: `Exit ${chosen['number']}:` }).waitFor();
    const acts = await panel.acts();
    assert.deepEqual(acts.at(-1), {
      kind: 'open-source',
      path: live.file,
      line: Number(chosen['line']),
      keepFocus: true,
    });
    await page.getByTitle('Show its walk').last().click();
    assert.deepEqual((await panel.acts()).at(-1), {
      kind: 'open-panel',
      panel: 'translation',
      command: { kind: 'translate', expression: chosen['gpa'], space: 'gpa', access: 'r' },
    });
    await page.locator('canvas').focus();
    await page.keyboard.press('ArrowUp');
    await page.locator('.selected h2', { hasText: `Exit ${Number(chosen['number']) - 1}:` }).waitFor();
    for (const key of ['+', '+', '+']) await page.keyboard.press(key);
    await page.locator('.in-sight', { hasText: 'cycles' }).waitFor();
    await page.keyboard.press('0');
    assert.equal(await page.locator('.in-sight').innerText(), '');
    await panel.assertSound();
    live.close();
    await panel.close();
  });

  it('finds the exit under the pointer, and zooms and moves by wheel and drag', async function () {
    const { live, panel } = await open(this, LONG);
    const { page } = panel;
    const box = await page.locator('canvas').boundingBox();
    assert.ok(box);
    const middle = { x: box.x + box.width / 2, y: box.y + 80 };
    await page.mouse.move(middle.x, middle.y);
    for (let i = 0; i < 8; i++) await page.mouse.wheel(0, -240);
    await page.locator('.in-sight', { hasText: 'cycles' }).waitFor();
    await page.mouse.down();
    await page.mouse.move(middle.x - 60, middle.y, { steps: 4 });
    await page.mouse.up();
    await page.mouse.click(middle.x, middle.y);
    await page.locator('.selected h2:not(:text("Exit 6,755"))').waitFor();
    const range = await page.locator('.in-sight').innerText();
    await page.getByRole('button', { name: 'Zoom to the selected exit' }).click();
    assert.notEqual(await page.locator('.in-sight').innerText(), range);
    await panel.shot('panel-exits-one');
    live.close();
    await panel.close();
  });

  it('saves what it shows as a trace, as CSV and as SVG', async function () {
    const { live, panel } = await open(this, EXITING);
    const { page } = panel;
    for (const name of [/trace for Perfetto/, /as CSV/, /as SVG/]) await page.getByRole('button', { name }).click();
    await panel.settled();
    const saved = (await panel.acts()).flatMap((act) =>
      (act as { kind: string }).kind === 'save' ? [act as { name: string; text: string }] : [],
    );
    assert.deepEqual(saved.map(({ name }) => name).sort(), ['exits.csv', 'exits.svg', 'exits.trace.json']);
    const text = (name: string): string => saved.find((each) => each.name === name)?.text ?? '';
    const { stdout } = await pagewalk(['trace', '/g/guest.asm', '--format', 'csv'], {
      '/g/guest.asm': sourceOf(EXITING),
    });
    const ofCli = stdout.replaceAll('/g/guest.asm', live.file);
    assert.ok(ofCli.startsWith(text('exits.csv')) && text('exits.csv').split('\n').length > 20);
    assert.ok((JSON.parse(text('exits.trace.json')) as { traceEvents: unknown[] }).traceEvents.length > 100);
    assert.match(text('exits.svg'), /^<svg xmlns[^]*Host kernel[^]*<\/svg>\n$/);
    live.close();
    await panel.close();
  });

  it('replays the run to an exit whose Steps are kept no more', async function () {
    const { live, panel } = await open(this, LONG);
    const { page } = panel;
    await page.locator('.vlist').evaluate((element) => (element.scrollTop = 0));
    await page.locator('.row[data-index="8"]').click();
    await page.locator('.selected h2', { hasText: 'Exit 9:' }).waitFor();
    assert.equal(await page.locator('.sequence .what').count(), 0);
    await page.getByRole('button', { name: 'Replay' }).click();
    await page.locator('.sequence .what').first().waitFor();
    const { stdout } = await pagewalk(['trace', '/g/guest.asm'], { '/g/guest.asm': sourceOf(LONG) });
    const lines = stdout.trimEnd().split('\n');
    const steps = lines.map((line) => JSON.parse(line) as { function: string; what: string });
    const starts = steps.flatMap((step, i) => (step.function === 'VM exit' ? [i] : []));
    assert.deepEqual(
      (await page.locator('.sequence li .what').allInnerTexts()).map(tidy),
      steps.slice(starts[8], starts[9]).map(({ what }) => tidy(what)),
    );
    assert.equal(await page.getByRole('button', { name: 'Replay' }).count(), 0);
    await panel.assertSound();
    live.close();
    await panel.close();
  });
});
