import * as assert from 'node:assert/strict';
import { inVSCode, type Workbench } from './vscode';

const GUEST = `; @guest start=flat64 memory=16M
bits 64
start:  mov     ecx, 4
        mov     rsi, 0x200000
again:  mov     [rsi], rsi
        add     rsi, 0x1000
        push    rcx
        xor     eax, eax
        cpuid
        pop     rcx
        dec     ecx
        jnz     again
        hlt
`;

/** Waits until such a text stands behind a line: decorations are drawn as ::after, which is no text of the page. */
async function behindLines(code: Workbench, text: string): Promise<void> {
  const spans = code.editor.locator('.view-line span');
  for (let attempt = 0; attempt < 200; attempt++) {
    const found = await spans.evaluateAll((all) => all.map((each) => getComputedStyle(each, '::after').content));
    if (found.some((content) => content.replace(/\s/g, ' ').includes(text))) return;
    await code.editor.locator('.view-line').first().waitFor();
  }
  throw new Error(`no ${text} behind a line`);
}

describe('VM exits', () => {
  it('shows where the guest exits beside its lines, and an exit that is chosen leads to its instruction', () =>
    inVSCode('exits-select', { 'main.asm': GUEST }, async (code) => {
      await code.debug('main.asm', 13);
      await behindLines(code, '4 exits');
      await code.command('Pagewalk: Open VM Exits in Editor');
      const panel = await code.panel('exits');
      await panel.locator('.selected h2').waitFor();
      await panel.locator('.bars button', { hasText: 'CPUID' }).click();
      await panel.locator('.filter', { hasText: 'Only CPUID' }).waitFor();
      await panel.locator('.row', { hasText: 'CPUID' }).nth(1).click();
      // the keyboard stays in the panel, so the status bar names no line: the editor's own cursor does
      await code.editor.locator('.line-numbers.active-line-number', { hasText: /^9$/ }).waitFor();
      await panel.locator('.selected h2', { hasText: 'CPUID' }).waitFor();
      assert.equal(await panel.locator('.sequence .fn', { hasText: 'kvm_emulate_cpuid' }).count(), 1);
      assert.deepEqual(await code.notifications(), []);
    }));

  it('says what is wrong with a condition of Break on VM Exit while it is typed', () =>
    inVSCode('exits-condition', { 'main.asm': GUEST }, async (code) => {
      await code.debug('main.asm', 3);
      await code.command('Pagewalk: Break on VM Exit');
      await code.page.locator('.quick-input-list .monaco-list-row', { hasText: 'CPUID always exits' }).click();
      const input = code.page.locator('.quick-input-widget input').first();
      const problem = code.page.locator('.quick-input-message');
      await input.fill('eax ==');
      await problem.filter({ hasText: 'a value is missing' }).waitFor();
      await input.fill('gpaa == 1');
      await problem.filter({ hasText: 'gpaa' }).waitFor();
      await code.shot('typed');
      await input.fill('eax == 0');
      await problem.filter({ hasText: 'gpaa' }).waitFor({ state: 'detached' });
      await input.press('Enter');
      await code.page.locator('.debug-breakpoints .monaco-list-row', { hasText: 'exit:CPUID' }).waitFor();
      await code.page.keyboard.press('F5');
      await code.frame('9:1');
    }));
});
