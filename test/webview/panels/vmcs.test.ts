/** The VMCS panel says what Variables and `pagewalk trace` say, marks what changed between two exits, sets fields, and names the VM-entry checks that break. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { pagewalk } from '../../cli/support';
import { Live, sourceOf } from '../stand-alone/live';
import { PanelPage } from '../stand-alone/page';
import { SETTINGS } from '../stand-alone/site';

const EXIT = 'exit:IO_INSTRUCTION';
const start = (): Promise<Live> => Live.start({ example: 'hello.asm', at: EXIT });
const open = (context: Mocha.Context, live: Live): Promise<PanelPage> =>
  PanelPage.open(context, { panel: 'vmcs', setup: { moment: live.moment, settings: SETTINGS }, live, height: 1400 });

async function variables(live: Live, variablesReference: number): Promise<Dap.Variable[]> {
  return (await live.ask<Dap.VariablesResponse['body']>('variables', { variablesReference })).variables;
}
/** Name and value of each exit-information field, as Variables has them. */
async function fromVariables(live: Live): Promise<string[]> {
  const { stackFrames } = await live.ask<Dap.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
  const { scopes } = await live.ask<Dap.ScopesResponse['body']>('scopes', { frameId: stackFrames.at(-1)?.id });
  const vmcs = scopes.find(({ name }) => name === 'VMCS');
  assert.ok(vmcs);
  const area = (await variables(live, vmcs.variablesReference)).find(({ name }) => name === 'Exit Information');
  assert.ok(area);
  return (await variables(live, area.variablesReference)).map(({ name, value }) => `${name} ${value}`);
}
async function shown(panel: PanelPage): Promise<string[]> {
  const rows = await panel.page.locator('.row[aria-level="2"]').all();
  const text = async (row: (typeof rows)[number], part: string): Promise<string> =>
    ((await row.locator(part).textContent()) ?? '').replace(/ changed$/, '');
  return Promise.all(
    rows.map(async (row) =>
      [await text(row, '.name'), await text(row, '.value'), await text(row, '.meaning')].join(' ').trim(),
    ),
  );
}

describe('the VMCS panel', () => {
  it('says what Variables says, and what changed since the exit before, which nobody looked at', async function () {
    const live = await Live.start({ example: 'hello.asm' });
    await live.ask('setExceptionBreakpoints', { filters: ['vm-exit'] });
    for (let i = 0; i < 8; i++) await live.go('continue');
    const before = await fromVariables(live);
    await live.go('continue');
    const now = await fromVariables(live);
    const panel = await open(this, live);
    assert.deepEqual(await shown(panel), now);
    const changed = await panel.page.locator('.row.changed .name').allInnerTexts();
    const nameOf = (row: string): string => /\w+/.exec(row)?.[0] ?? '';
    assert.deepEqual(changed.map(nameOf), now.filter((row, i) => row !== before[i]).map(nameOf));
    assert.ok(changed.length > 0);
    await panel.page.getByLabel('Changed since exit 8 (IO_INSTRUCTION)').check();
    assert.ok(
      (await shown(panel)).some((row) => row.startsWith('GUEST_RIP ')),
      'areas that were closed open',
    );
    await panel.assertSound();
    live.close();
    await panel.close();
  });

  for (const [mmu, fields] of [
    ['ept', { rip: 'GUEST_RIP', qualification: 'EXIT_QUALIFICATION' }],
    ['npt', { rip: 'RIP', qualification: 'EXITINFO1' }],
  ] as const)
    it(`says of the last two exits what \`pagewalk trace --mmu ${mmu} --format csv\` says`, async function () {
      const guest = { example: 'hello.asm', options: { mmu } };
      const live = await Live.start(guest);
      await live.ask('setExceptionBreakpoints', { filters: ['vm-exit'] });
      for (let i = 0; i < 9; i++) await live.go('continue');
      const panel = await open(this, live);
      const { page } = panel;
      const args = ['trace', '/g/guest.asm', '--mmu', mmu, '--format', 'csv'];
      const { stdout } = await pagewalk(args, { '/g/guest.asm': sourceOf(guest) });
      const [head = '', ...lines] = stdout.split('\n');
      // the title, which is quoted, is the last column
      const told = (exit: number, column: string): string =>
        lines[exit - 1]?.split(',')[head.split(',').indexOf(column)] ?? '';
      for (const [column, field] of Object.entries(fields)) {
        await page.getByLabel('Find a field').fill(field);
        await page
          .locator('.row:not(.area)', { has: page.locator(`.name:text-matches("^${field}( changed)?$")`) })
          .click();
        const [last, before] = [told(9, column), told(8, column)];
        const was = last === before ? '' : ` was ${before} at exit 8 (${told(8, 'reason')})`;
        assert.equal(await page.locator('.details .value').innerText(), last + was, field);
      }
      live.close();
      await panel.close();
    });

  it('says where there was no exit before', async function () {
    const live = await Live.start({ example: 'hello.asm' });
    await live.ask('setExceptionBreakpoints', { filters: ['vm-exit'] });
    await live.go('continue');
    const panel = await open(this, live);
    assert.ok(await panel.page.getByLabel('Changed: there was no exit before').isDisabled());
    assert.equal(await panel.page.locator('.row.changed').count(), 0);
    live.close();
    await panel.close();
  });

  it('sets a field, and leads from a check that breaks to its field', async function () {
    const live = await start();
    const panel = await open(this, live);
    const { page } = panel;
    const set = async (field: string, value: string): Promise<void> => {
      await page.getByLabel('Find a field').fill(field);
      await page.locator('.row:not(.area)', { hasText: field }).click();
      await page.getByLabel(`New value of ${field}`).fill(value);
      await page.keyboard.press('Enter');
      await panel.settled();
    };
    await set('GUEST_CS_SELECTOR', '0x12345');
    await page.locator('.details .error', { hasText: 'GUEST_CS_SELECTOR has 16 bits, 0x12345 is wider' }).waitFor();
    await set('GUEST_RFLAGS', '0');
    // the extension tells of an edit as of another moment
    await panel.post({ kind: 'moment', moment: { ...live.moment, number: live.moment.number + 1 } });
    assert.match(await page.locator('.checks').innerText(), /next VM entry would fail:\s*GUEST_RFLAGS/);
    await page.locator('.checks button').first().click();
    assert.match(await page.locator('.details h2').innerText(), /GUEST_RFLAGS/);
    assert.match(await page.locator('.details .value').innerText(), /^0x0/);
    await panel.shot('panel-vmcs-unmet');
    await panel.assertSound();
    await panel.assertAccessible();
    live.close();
    await panel.close();
  });
});
