/** The Translation panel: narrow, by keyboard, across a reload, and against the command line. */
import * as assert from 'node:assert/strict';
import type { TranslateReply } from '../../../src/protocol/messages';
import type { PanelCommand } from '../../../src/protocol/panels';
import type { Translation } from '../../../src/protocol/translation';
import { pagewalk } from '../../cli/support';
import { Live, sourceOf } from '../stand-alone/live';
import { PanelPage, type OpenOptions } from '../stand-alone/page';
import { SETTINGS, type Setup } from '../stand-alone/site';
import { COLD, UNTOUCHED } from './translation-replies';

const question = (expression: string): PanelCommand => ({ kind: 'translate', expression, space: 'gva', access: 'r' });
const rbx = question('[rbx]');

const shown = (reply: TranslateReply): Setup => ({
  moment: { standing: 'stopped', number: 1, session: 'live', stop: 1 },
  settings: SETTINGS,
  command: rbx,
  exchanges: [
    { name: 'pagewalk/translate', arguments: { expression: '[rbx]', space: 'gva', access: 'r' }, reply },
    {
      name: 'pagewalk/translate',
      arguments: { expression: 'rsp + 8', space: 'gva', access: 'w' },
      refused: 'no such register',
    },
  ],
});
const open = (context: Mocha.Context, setup: Setup, more: Partial<OpenOptions> = {}): Promise<PanelPage> =>
  PanelPage.open(context, { panel: 'translation', setup, ...more });

describe('the Translation panel', () => {
  it('fits 220 px', async function () {
    const panel = await open(this, shown(UNTOUCHED), { width: 220 });
    for (const summary of await panel.page.locator('.nested > summary').all()) await summary.click();
    await panel.shot('panel-translation-220');
    await panel.assertSound();
    await panel.close();
  });

  it('moves through the loads by arrow keys, and leads to the entry', async function () {
    const { page } = await open(this, shown(COLD));
    await page.locator('.grid button').first().focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowRight']) await page.keyboard.press(key);
    await page.locator('.detail', { hasText: 'Load 12: EPT PDPTE for the PDE' }).waitFor();
    assert.equal(await page.locator('.grid button[tabindex="0"]').count(), 1, 'the grid is one stop of the Tab key');
    await page.keyboard.press('Enter');
    const focused = page.locator('.step:focus');
    assert.match(await focused.innerText(), /EPT PDPTE/);
    assert.ok(await focused.isVisible());
    await page.context().close();
  });

  it('plays the walk forward to its end and back', async function () {
    const { page } = await open(this, shown(COLD));
    const place = page.locator('.player .place');
    const button = (name: string): ReturnType<typeof page.getByRole> => page.getByRole('button', { name, exact: true });
    await button('Step forward').click();
    await page.locator('.detail', { hasText: 'Load 1: EPT PML4E for the PML4E' }).waitFor();
    await page.getByRole('slider').fill('22');
    await button('Play').click();
    await page.locator('.player .place', { hasText: '24 / 24' }).waitFor();
    await button('Play').waitFor();
    assert.match(await page.locator('.detail').innerText(), /^Load 24: EPT PTE for the page/);
    assert.ok(await button('Step forward').isDisabled());
    await button('Step back').click();
    assert.equal(await place.innerText(), '23 / 24');
    assert.equal(await page.locator('.grid .now').innerText(), '23');
    await page.context().close();
  });

  it('leads on: an entry to memory, the HPA back to every GVA, the symbol to its source', async function () {
    const live = await Live.start({ example: 'worked-example.asm', at: 'access' });
    const setup = { moment: live.moment, settings: SETTINGS, command: question('access') };
    const panel = await open(this, setup, { live });
    const { page } = panel;
    await page
      .locator('h1')
      .getByRole('button', { name: /^worked-example\.asm:/ })
      .click();
    await page.locator('.entry button[data-space="gpa"]').first().click();
    const [source, memory] = (await panel.acts()) as { kind: string; path?: string; line?: number; space?: string }[];
    const line = sourceOf({ example: 'worked-example.asm' })
      .split('\n')
      .findIndex((text) => text.startsWith('access:'));
    assert.deepEqual([source?.kind, source?.path], ['open-source', live.file]);
    assert.ok((source?.line ?? 0) > line, 'the code at the label');
    assert.deepEqual([memory?.kind, memory?.space], ['open-memory', 'gpa']);
    await page.locator('.station.hpa button').click();
    await page.locator('.station.hpa.asked').waitFor();
    assert.match(await page.locator('.station.gva').innerText(), /0x10[0-9a-f]{4}/);
    await panel.assertSound();
    live.close();
    await panel.close();
  });

  it('lays an answer beside one of another method', async function () {
    const at = { example: 'first-touch.asm', at: 'second' };
    const live = await Live.start(at);
    const setup = { moment: live.moment, settings: SETTINGS, command: question('0x180000') };
    const first = await open(this, setup, { live });
    await first.page.getByRole('button', { name: 'Keep to compare' }).click();
    assert.match(await first.page.locator('.comparison .way').innerText(), /Nothing differs/);
    const kept = await first.kept();
    live.close();
    await first.close();
    const other = await Live.start({ ...at, options: { mmu: 'shadow' } });
    const panel = await open(this, { ...setup, kept, moment: { ...other.moment, number: 9 } }, { live: other });
    const { page } = panel;
    assert.deepEqual(await page.locator('.comparison thead th').allInnerTexts(), [
      `0x180000, stop ${setup.moment.number}, EPT`,
      '0x180000, stop 9, SHADOW',
    ]);
    const differing = await page.locator('tr.differs th').allInnerTexts();
    assert.ok(
      differing.some((text) => text.startsWith('References')),
      differing.join('; '),
    );
    assert.ok(!differing.some((text) => text.startsWith('GPA')), 'the guest sees the same');
    await panel.shot('panel-translation-two-methods');
    await panel.assertSound();
    await panel.assertAccessible();
    other.close();
    await panel.close();
  });

  it('says in words what failed, and what a stale TLB entry still answers', async function () {
    const { page } = await open(this, shown(UNTOUCHED));
    await page.locator('.banner.bad', { hasText: 'level 1: not present' }).waitFor();
    await page.locator('.banner.stale', { hasText: 'INVEPT' }).waitFor();
    assert.match(await page.locator('[aria-live].spoken').last().innerText(), /does not translate: not present/);
    await page.context().close();
  });

  it('asks for what is typed, and keeps the drawing beside an error', async function () {
    const { page } = await open(this, shown(COLD));
    await page.getByLabel('Address or expression').fill('rsp + 8');
    await page.getByLabel('Access').selectOption('w');
    await page.getByRole('alert').filter({ hasText: 'no such register' }).waitFor();
    assert.equal(await page.locator('.chain').count(), 1);
    await page.context().close();
  });

  it('shows the access that another place asked about', async function () {
    const live = await Live.start({ example: 'worked-example.asm', at: 'access' });
    const command = { kind: 'translate', expression: 'rsp', space: 'gva', access: 'w' } as const;
    const panel = await open(this, { moment: live.moment, settings: SETTINGS, command }, { live });
    const access = panel.page.getByLabel('Access', { exact: true });
    assert.equal(await access.inputValue(), 'w');
    await panel.post({ kind: 'command', command: { ...command, access: 'x' } });
    assert.equal(await access.inputValue(), 'x');
    assert.deepEqual(
      panel.exchanges.map(({ arguments: args }) => (args as { access: string }).access),
      ['w', 'x'],
    );
    // … and so does the next stop
    await live.go('next');
    await panel.moved(live);
    assert.equal(await access.inputValue(), 'x');
    live.close();
    await panel.close();
  });

  it('comes back as it was after it was hidden', async function () {
    const before = await open(this, shown(COLD));
    await before.page.locator('.nested > summary').first().click();
    await before.page.locator('.rights > summary').click();
    await before.settled();
    const kept = await before.kept();
    await before.close();
    const { command: _, ...setup } = shown(COLD);
    const { page } = await open(this, { ...setup, kept });
    await page.locator('.chain').waitFor();
    assert.equal(await page.getByLabel('Address or expression').inputValue(), '[rbx]');
    assert.equal(await page.locator('.nested[open]').count(), 1);
    assert.equal(await page.locator('.rights[open]').count(), 0);
    await page.context().close();
  });

  it('draws text of a guest as text', async function () {
    const setup = shown({ ...COLD, symbol: '<img src=x onerror=alert(1)>' });
    const { page } = await open(this, setup);
    await page.locator('h1', { hasText: '<img' }).waitFor();
    assert.equal(await page.locator('img').count(), 0);
    await page.context().close();
  });

  it('says what `pagewalk translate` says at the same moment', async function () {
    const guest = { example: 'worked-example.asm', at: 'access' };
    const live = await Live.start(guest);
    const setup: Setup = { moment: live.moment, settings: SETTINGS, command: question('rbx') };
    const { page } = await open(this, setup, { live });
    await page.locator('.chain').waitFor();
    const args = ['translate', '/guests/guest.asm', '--address', '0x7f8a3b2a0100', '--at', 'access', '--json'];
    const { stdout } = await pagewalk(args, { '/guests/guest.asm': sourceOf(guest) });
    const { gva, gpa, hva, hpa, references } = JSON.parse(stdout) as Translation;
    const stations = page.locator('.chain .addresses');
    assert.deepEqual(await stations.allInnerTexts(), [gva, gpa, hva, hpa]);
    assert.match(await page.locator('.facts').innerText(), new RegExp(`\\b${references} references`));
    live.close();
    await page.context().close();
  });
});
