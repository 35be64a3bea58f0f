/** The Page Tables panel over live guests: against `pagewalk tables`, by keyboard, side by side, and what changed since the last stop. */
import * as assert from 'node:assert/strict';
import type { TableListing } from '../../../src/session/tables/listing';
import type { Encoded } from '../../../src/wire/encode';
import { pagewalk } from '../../cli/support';
import { Live, sourceOf, type Guest } from '../stand-alone/live';
import { PanelPage, WIDTHS, type OpenOptions } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

const worked: Guest = { example: 'worked-example.asm', at: 'again' };

async function open(
  context: Mocha.Context,
  live: Live,
  more: Partial<OpenOptions['setup']> = {},
  width: number = WIDTHS.full,
): Promise<PanelPage> {
  const setup = { moment: live.moment, settings: SETTINGS, ...more };
  return PanelPage.open(context, { panel: 'page-tables', setup, live, width, height: 1000 });
}

/** The rows in sight, cell by cell. */
const rows = (panel: PanelPage, set: string): Promise<string[][]> =>
  panel.page.evaluate<string[][]>(`[...document.querySelectorAll('.pane.${set} .row')].map((row) =>
    ['label', 'address', 'last', 'entry', 'leads'].map((name) => row.querySelector('.' + name)?.textContent ?? ''))`);

describe('the Page Tables panel', () => {
  for (const [set, mmu] of [
    ['guest', 'ept'],
    ['ept', 'ept'],
    ['host', 'ept'],
    ['npt', 'npt'],
    ['shadow', 'shadow'],
    ['guest', 'shadow'],
  ] as const)
    it(`says what \`pagewalk tables --mmu ${mmu} --of ${set}\` says at the same moment`, async function () {
      const live = await Live.start({ ...worked, options: { mmu } });
      const panel = await open(this, live);
      await panel.page.getByLabel('Tables', { exact: true }).selectOption(set);
      await panel.settled();
      // Everything that can be opened is opened, by keyboard.
      await panel.page.locator(`.pane.${set} .row[tabindex="0"]`).focus();
      for (let i = 0; i < 40; i++) {
        await panel.page.keyboard.press('ArrowRight');
        await panel.settled();
      }
      const { stdout } = await pagewalk(
        ['tables', '/guests/guest.asm', '--mmu', mmu, '--of', set, '--at', 'again', '--json'],
        {
          '/guests/guest.asm': sourceOf(worked),
        },
      );
      const { entries } = JSON.parse(stdout) as { entries: Encoded<TableListing>[] };
      const byName = new Map(entries.map((each) => [`${each.name} ${each.from}`, each]));
      const shown = (await rows(panel, set)).filter(([label]) => !label?.includes('×'));
      assert.ok(shown.length >= 3, `${shown.length} single entries in sight`);
      for (const [label = '', address = '', last = '', entry = '', leads = ''] of shown) {
        const name = label.replace(/^\[\d+\] /, '');
        const listed = byName.get(`${name} ${address}`);
        assert.ok(listed, `${label} ${address} is listed`);
        assert.equal(last, `– ${listed.to}`);
        assert.equal(entry, listed.entry);
        if (listed.leaf) assert.equal(leads, `→ ${listed.target}`);
      }
      live.close();
      await panel.close();
    });

  it('says so where there is no entry yet', async function () {
    const live = await Live.start({ example: 'first-touch.asm' });
    const panel = await open(this, live);
    await panel.page.getByLabel('Tables', { exact: true }).selectOption('ept');
    await panel.page.locator('.pane.ept .none', { hasText: 'No entries yet' }).waitFor();
    await panel.assertAccessible();
    live.close();
    await panel.close();
  });

  it('finds by symbol and follows into EPT, by keyboard alone', async function () {
    const live = await Live.start(worked);
    const panel = await open(this, live);
    const { page } = panel;
    await page.getByLabel('Tables beside').focus();
    await page.keyboard.type('EPT');
    await panel.settled();
    await page.keyboard.press('Tab');
    await page.keyboard.type('rbx');
    await page.keyboard.press('Enter');
    await panel.settled();
    assert.match(await page.locator('.found').innerText(), /Guest: found 0x7f8a3b2a0100/);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    assert.equal(await page.locator(':focus').getAttribute('role'), 'treeitem');
    assert.match(await page.locator(':focus').innerText(), /\[160\] PTE/);
    // Up and down again: the pane beside goes along.
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowDown');
    await panel.settled();
    const beside = page.locator('.pane.ept .row[aria-selected="true"]');
    assert.match(await beside.innerText(), /\[325\] EPT PTE[^]*0x12345000[^]*0x1a2b3000/);
    live.close();
    await panel.close();
  });

  it('marks what changed since the last stop, and above it', async function () {
    const source = [
      '; @guest start=flat64',
      'bits 64',
      'start:  mov rax, cr3',
      '        mov rbx, [rax]',
      '        and rbx, ~0xfff         ; the page-directory-pointer table',
      '        mov qword [rbx + 8 * 3], 0x83',
      'here:   nop',
      '        mov qword [rbx + 8 * 3], 0x81',
      'there:  hlt',
    ].join('\n');
    const live = await Live.start({ source, at: 'here' });
    const panel = await open(this, live);
    const marked = (): Promise<string[]> => panel.page.locator('.row:has(.mark)').allInnerTexts();
    assert.deepEqual(await marked(), []);
    await live.runTo('there');
    await panel.moved(live);
    const texts = (await marked()).map((text) => text.replace(/\s+/g, ' '));
    assert.equal(texts.length, 2);
    assert.match(texts[0] ?? '', /^\[0\] PML4E .*changed below/);
    assert.match(texts[1] ?? '', /^\[3\] PDPTE .*● changed/);
    await panel.page.getByLabel('Show').selectOption('changed');
    await panel.settled();
    assert.deepEqual(
      (await panel.page.locator('.row .label').allInnerTexts()).map((text) => text.replace(/\s+/g, ' ')),
      ['[0] PML4E', '[3] PDPTE'],
    );
    await panel.page.locator('.row', { hasText: '[3] PDPTE' }).click();
    assert.match(await panel.page.locator('.details').innerText(), /was\s+0x83/);
    await panel.shot('panel-page-tables-changed');
    live.close();
    await panel.close();
  });

  it('asks for no more than is in sight', async function () {
    const live = await Live.start({ source: '; @guest start=flat64 memory=64M\nbits 64\nstart: hlt\n', at: 'start' });
    const panel = await open(this, live);
    await panel.page.locator('.row', { hasText: '32 × PDE' }).click();
    await panel.settled();
    await panel.page.locator('.row', { hasText: /^\[7\]\s+PDE/ }).click();
    await panel.settled();
    await panel.page.locator('.row', { hasText: '512 × PTE' }).click();
    await panel.settled();
    assert.ok((await panel.page.locator('.vlist .row').count()) < 80, 'only rows in sight exist');
    for (const { name, arguments: args } of panel.exchanges)
      if (name === 'pagewalk/tables/rows') assert.ok((args as { count: number }).count <= 64);
    await panel.page.keyboard.press('End');
    await panel.settled();
    assert.match(await panel.page.locator('.row:focus').innerText(), /\[31\]\s+PDE/);
    live.close();
    await panel.close();
  });
});
