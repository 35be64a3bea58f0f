/** The VMCS panel says what the Variables view says, marks what changed, sets fields, and names the VM-entry checks that break. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Live } from '../stand-alone/live';
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
  it('says what Variables says, and marks what changed since the last stop', async function () {
    const live = await start();
    const panel = await open(this, live);
    assert.deepEqual(await shown(panel), await fromVariables(live));
    await live.runTo('exit:HLT');
    await panel.moved(live);
    assert.deepEqual(await shown(panel), await fromVariables(live));
    const changed = await panel.page.locator('.row.changed .name').allInnerTexts();
    assert.ok(
      changed.some((text) => text.startsWith('VM_EXIT_REASON')),
      changed.join(', '),
    );
    await panel.page.getByLabel('Changed since the last stop').check();
    assert.ok(
      (await shown(panel)).some((row) => row.startsWith('GUEST_RIP ')),
      'areas that were closed open',
    );
    await panel.assertSound();
    live.close();
    await panel.close();
  });

  it('sets a field, and leads from a check that breaks to its field', async function () {
    const live = await start();
    const panel = await open(this, live);
    const { page } = panel;
    const set = async (field: string, value: string): Promise<void> => {
      await page.getByLabel('Find a field').fill(field);
      await page.locator('.row', { hasText: field }).click();
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
