/** The Memory Map panel: its runs are where `pagewalk translate` finds them; the drawing's columns are in order and nothing overlaps. */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import type { MemoryMapReply, MemoryRun } from '../../../src/protocol/memory-map';
import { layout } from '../../../src/webview/panels/memory-map/layout';
import { pagewalk } from '../../cli/support';
import { MAPPED } from '../recordings';
import { Live } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

async function translated(gpa: string): Promise<{ readonly hva?: string; readonly hpa?: string }> {
  const args = ['translate', 'map.asm', '--address', gpa, '--space', 'gpa', '--at', 'done', '--json'];
  const { stdout } = await pagewalk(args, { 'map.asm': MAPPED.source ?? '' });
  return JSON.parse(stdout) as { hva?: string; hpa?: string };
}

describe('the Memory Map panel', () => {
  it('tells of each run what pagewalk translate tells of its first page', async function () {
    const live = await Live.start(MAPPED);
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'memoryMap', setup, live, width: 1100, height: 1400 });
    const { page } = panel;
    for (const gpa of ['0x200000', '0x202000', '0x900000', '0x2000000']) {
      await page.locator('.row.run', { hasText: gpa }).first().click();
      const at = async (space: string): Promise<string | undefined> => {
        const found = page.locator(`.detail code.${space}`);
        return (await found.count()) === 0 ? undefined : (await found.innerText()).split('–')[0];
      };
      const { hva, hpa } = await translated(gpa);
      assert.deepEqual([await at('hva'), await at('hpa')], [hva, hpa], gpa);
    }
    const text = (gpa: string): Promise<string> => page.locator('.row.run', { hasText: gpa }).first().innerText();
    assert.match(await text('0x202000'), /in swap, slot 0 · not mapped/);
    assert.match(await text('0x900000'), /dirty · mapped by 4 KiB/);
    await panel.assertSound();
    live.close();
    await panel.close();
  });

  it('a click on a block selects its run, and the other way round', async function () {
    const live = await Live.start(MAPPED);
    const setup = { moment: live.moment, settings: SETTINGS };
    const panel = await PanelPage.open(this, { panel: 'memoryMap', setup, live, width: 1100 });
    const { page } = panel;
    await page.locator('svg g[data-run="1"] rect.gpa').click();
    assert.match(await page.locator('.row[aria-selected="true"]').innerText(), /^0x100000/);
    await page.locator('.row[aria-selected="true"]').focus();
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.locator('svg g.selected').first().getAttribute('data-run'), '2');
    live.close();
    await panel.close();
  });
});

describe('the layout of the memory map', () => {
  const PAGE = 4096n;
  const hex = (n: bigint): string => `0x${n.toString(16)}`;
  const pages = fc.array(
    fc.record({
      size: fc.integer({ min: 1, max: 5000 }),
      state: fc.constantFrom('resident' as const, 'swapped' as const, 'absent' as const),
      frame: fc.integer({ min: 0, max: 1 << 20 }),
      told: fc.boolean(),
    }),
    { maxLength: 40 },
  );
  const replies = pages.map((list): MemoryMapReply => {
    let at = 0n;
    const runs = list.map(({ size, state, frame, told }): MemoryRun => {
      const bytes = BigInt(size) * PAGE;
      const run = {
        slot: 0,
        gpa: hex(at),
        hva: hex(0x7f00_0000_0000n + at),
        size: hex(bytes),
        state,
        frames: told ? 1 : 3,
        pageSize: 4096,
        writable: true,
        merged: false,
        dirty: false,
        mapped: 0,
        ...(state === 'resident' && told ? { hpa: hex(BigInt(frame) * PAGE) } : {}),
      };
      at += bytes;
      return run;
    });
    const slot = { id: 0, gpa: '0x0', size: hex(at), hva: hex(0x7f00_0000_0000n), readOnly: false };
    const host = { frames: 0, used: 0, swapPages: 0, swapUsed: 0, base: '0x0' };
    return { generation: 1, slots: at > 0n ? [slot] : [], holes: [], vmas: [], runs, host };
  });

  it('has each run once in each column where it is, without overlaps, and ribbons between its blocks', () =>
    fc.assert(
      fc.property(replies, (reply) => {
        const { blocks, ribbons, height } = layout(reply, true);
        for (const column of ['gpa', 'hva', 'hpa'] as const) {
          const own = blocks.filter((b) => b.column === column);
          const inOrder = own.every((b, i) => i === 0 || b.top >= (own[i - 1]?.top ?? 0) + (own[i - 1]?.height ?? 0));
          assert.ok(inOrder, `${column}: nothing overlaps`);
          assert.ok(own.every((b) => b.top + b.height <= height));
          const told = own.flatMap((b) => b.runs).sort((a, b) => a - b);
          const wanted = reply.runs.flatMap((run, i) => (column !== 'hpa' || run.state !== 'absent' ? [i] : []));
          assert.deepEqual(told, wanted, column);
        }
        const away = reply.runs.filter(({ state }) => state !== 'absent').length;
        assert.equal(ribbons.length, reply.runs.length + away);
      }),
      { numRuns: 200, seed: 7 },
    ));
});
