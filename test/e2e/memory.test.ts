/** Memory virtualization in the views beside the panels: trees of every method's tables, what a person makes the host do from their menus, and what a guest file does. */
import * as assert from 'node:assert/strict';
import { DRIFT_GUEST } from '../webview/drift-guest';
import { inVSCode } from './vscode';

const TALL = { width: 1500, height: 1200 };
const lineOf = (source: string, label: string): number =>
  source.split('\n').findIndex((text) => text.startsWith(label)) + 1;

/** The edited page is the first of its table, which a narrow tree shows at once. */
const DRIFT = DRIFT_GUEST.replaceAll('0x300000', '0x200000').replace('0x100 * 8', '0');

const PAGES = `bits 64
start:  mov     rbx, 0x200000
        mov     qword [rbx], 1
        mov     qword [rbx + 0x1000], 2
touched:
        mov     rax, [rbx + 0x1000]     ; @host swap-out 0x201000
        mov     rax, [rbx]
        hlt
`;

describe('memory in the views', () => {
  it('shadow: the guest’s tree and the shadow’s stand beside each other, and drift is marked in both', () =>
    inVSCode(
      'memory-shadow',
      { 'drift.asm': DRIFT },
      async (code) => {
        await code.debug('drift.asm', lineOf(DRIFT, 'edited:'));
        await code.activity('Pagewalk');
        const shadow = await code.showView('Shadow Page Tables');
        const entry = await code.openRows(shadow, '[0] PML4E', '[0] PDPTE', '[1] PDE', '[0] PTE');
        await entry.filter({ hasText: 'stale' }).waitFor();
        const guest = await code.showView('Guest Page Tables');
        const theirs = await code.openRows(guest, '[0] PML4E', '[0] PDPTE', '[1] PDE', '[0] PTE');
        await theirs.filter({ hasText: '0x400000' }).filter({ hasText: 'stale' }).waitFor();
        assert.deepEqual(await code.notifications(), []);
      },
      TALL,
    ));

  it('npt: views, scopes and stops speak of NPT, VMCB and NPF', () =>
    inVSCode(
      'memory-npt',
      { 'main.asm': `; @guest start=flat64 mmu=npt\n${PAGES}` },
      async (code) => {
        await code.debug('main.asm', 3);
        await code.exceptionCondition('NPF', 'gpa == 0x200000');
        await code.page.keyboard.press('F5');
        await code.editor.locator('.view-line', { hasText: /NPF,\swrite,\sGPA\s0x200000/ }).waitFor();
        assert.match(await code.expand('VMCB', 'Control Area'), /^Control Area/);
        await code.activity('Pagewalk');
        const npt = await code.showView('NPT');
        await code.openRows(npt, '[0] NPT PML4E', '[0] NPT PDPTE', '[0] NPT PDE', 'NPT PTE');
        await code.command('Pagewalk: Open VMCS / VMCB in Editor');
        await code.page.locator('.tab', { hasText: 'VMCB' }).waitFor();
        const vmcb = await code.panel('vmcs');
        await vmcb.locator('.row', { hasText: 'EXITCODE' }).first().waitFor();
        assert.equal(await code.pane('EPT').count(), 0);
        assert.deepEqual(await code.notifications(), []);
      },
      TALL,
    ));

  it('host: VMAs, tables and the way back from a frame; a page goes to swap from its menu and by a line of the guest', () =>
    inVSCode(
      'memory-host',
      { 'main.asm': `; @guest start=flat64 memory=16M\n${PAGES}` },
      async (code) => {
        await code.debug('main.asm', 7);
        await code.activity('Pagewalk');
        const host = await code.showView('Host Memory');
        await host.locator('.monaco-list-row', { hasText: 'pc.ram' }).waitFor();
        await code.openRows(host, '[254] PML4E', '[360] PDPTE', '[1] PDE', '[0] PTE', 'GPA 0x200000', 'GVA 0x200000');
        await code.shot('rmap');
        // what the guest's own line has done on arrival, then by hand
        await code.row(host, 'in swap slot 0');
        await code.menu(await code.row(host, 'GPA 0x200000'), 'Swap Out Page');
        await code.row(host, 'in swap slot 1');
        await code.page.locator('#status\\.extensionMessage, .statusbar-item', { hasText: 'swap' }).first().waitFor();
        await code.shot('swapped');
        await code.command('Debug Console: Focus on Debug Console View');
        await code.page.locator('.repl .monaco-list-row', { hasText: '@host swap-out 0x201000' }).waitFor();
        const slots = await code.showView('Memslots');
        await code.menu(slots.locator('.monaco-list-row', { hasText: 'slot 0' }).first(), 'Log Dirty Pages');
        await slots.locator('.monaco-list-row', { hasText: 'LOG 0x0 → HVA' }).waitFor();
        await slots.locator('.pane-header').hover();
        await slots.locator('.action-label[aria-label^="Save Pagemap"]').click();
        const name = code.page.locator('.quick-input-widget input').first();
        await name.waitFor();
        await code.page.keyboard.press('Enter');
        await code.page.locator('.statusbar-item', { hasText: 'pages written' }).waitFor();
        await code.activity('Explorer');
        await code.page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'pagemap.txt' }).dblclick();
        await code.page.locator('.tab.active', { hasText: 'pagemap.txt' }).waitFor();
        assert.deepEqual(await code.notifications(), []);
      },
      TALL,
    ));
});
