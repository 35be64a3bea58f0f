/** The main job, as a person does it: open an example, set a breakpoint, press F5, look at everything. */
import * as assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Translation } from '../../src/protocol/translation';
import { inVSCode, lineOf } from './vscode';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const GVA = '0x7f8a3b2a0100';

/** What the command line says about an address of an example. */
function translate(example: string, address: string, at: string): Translation {
  const args = ['translate', join(ROOT, 'examples', example), '--address', address, '--at', at, '--json'];
  return JSON.parse(
    execFileSync(process.execPath, [join(ROOT, 'dist/cli.js'), ...args], { encoding: 'utf8' }),
  ) as Translation;
}

/** Three pages that nobody has touched: one is read, two are written. */
const THREE_PAGES = `; @guest start=flat64
bits 64
start:
    mov rbx, 0x300000
    mov rax, [rbx]
    mov [rbx + 0x100000], rax
    mov [rbx + 0x200000], rax
    hlt
`;

describe('debugging a guest', () => {
  it('shows registers, tables, VMCS, memslots and TLB in Variables', () =>
    inVSCode('debug-variables', { 'worked-example.asm': true }, async (code) => {
      const line = lineOf('worked-example.asm', /^access:/) + 1;
      await code.debug('worked-example.asm', line);
      assert.match(await code.expand('Registers', 'rbx'), new RegExp(`^rbx, value ${GVA}`));
      assert.match(await code.expand('Guest Page Tables', '[255] PML4E'), /, value 0x0*201[0-9a-f]{3}\b/);
      assert.match(await code.expand('EPT', '[0] EPT PML4E'), /, value 0x[0-9a-f]+/);
      assert.match(await code.expand('VMCS', 'Guest State', 'GUEST_CR3'), /^GUEST_CR3, value 0x[0-9a-f]+/);
      assert.match(await code.expand('Memslots', 'slot 0'), /^slot 0, value .*0x0/);
      assert.match(await code.expand('TLB', /^0x[0-9a-f]+, value/), /^0x[0-9a-f]+, value/);
      assert.deepEqual(await code.notifications(), []);
    }));

  it('hovers and draws the four addresses that the command line prints', () =>
    inVSCode('debug-translation', { 'worked-example.asm': true }, async (code) => {
      const line = lineOf('worked-example.asm', /^access:/) + 1;
      const { gva, gpa, hva, hpa, references } = translate('worked-example.asm', GVA, 'access');
      assert.deepEqual([gva, gpa, hva, hpa, references], [GVA, '0x12345100', '0x7f5a12345100', '0x1a2b3100', 24]);
      await code.debug('worked-example.asm', line);
      const hover = await code.hover(line, 'rbx', /GPA/);
      for (const address of [gva, gpa, hva, hpa]) assert.ok(hover.includes(address ?? ''), `${address} in the hover`);
      await code.shot('hover');
      await code.activity('Pagewalk');
      const view = code.translation();
      await view.locator('.chain').waitFor();
      for (const [space, address] of Object.entries({ gva, gpa, hva, hpa }))
        assert.equal(await view.locator(`.chain .station.${space} code`).innerText(), address);
      assert.match(await view.locator('.facts').innerText(), /24 references/);
      assert.equal(await view.locator('.grid button').count(), 24);
      assert.deepEqual(await view.locator('.guest .split .index').allInnerTexts(), [
        '255',
        '40',
        '473',
        '160',
        '0x100',
      ]);
    }));

  it('shows guest tables, EPT and memslots as trees, and translates from a node', () =>
    inVSCode('debug-trees', { 'worked-example.asm': true }, async (code) => {
      await code.debug('worked-example.asm', lineOf('worked-example.asm', /^access:/) + 1);
      await code.activity('Pagewalk');
      await code.translation().locator('.chain').waitFor();
      for (const view of ['Translation', 'Memslots', 'EPT']) await code.pane(view).locator('.pane-header').click();
      await code.pane('Memslots').locator('.monaco-list-row', { hasText: 'slot 0' }).waitFor();
      await code.pane('EPT').locator('.monaco-list-row', { hasText: '[0] EPT PML4E' }).waitFor();
      const tables = code.pane('Guest Page Tables');
      for (const entry of ['[255] PML4E', '[40] PDPTE', '[473] PDE'])
        await tables.locator('.monaco-list-row', { hasText: entry }).click();
      const page = tables.locator('.monaco-list-row', { hasText: '[160] PTE' });
      await page.hover();
      await code.shot('open');
      await page.locator('.action-label[aria-label^="Show Translation"]').click();
      await code.translation().locator('.station.gva', { hasText: '0x7f8a3b2a0000' }).waitFor();
      await code.translation().locator('.station.hpa', { hasText: '0x1a2b3000' }).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));

  it('answers in the Debug Console', () =>
    inVSCode('debug-console', { 'worked-example.asm': true }, async (code) => {
      await code.debug('worked-example.asm', lineOf('worked-example.asm', /^access:/) + 1);
      await code.command('Debug Console: Focus on Debug Console View');
      const output = code.page.locator('.repl .monaco-list-row');
      const ask = async (text: string, answer: RegExp): Promise<void> => {
        await code.page.locator('.repl-input-wrapper .monaco-editor').click();
        await code.page.keyboard.type(`${text}\n`);
        await output.filter({ hasText: answer }).first().waitFor();
      };
      await ask('gva2gpa 0x7f8a3b2a0100', /0x12345100/);
      await ask('gpa2hva 0x12345100', /0x7f5a12345100/);
      await ask('gpa2hpa 0x12345100', /0x1a2b3100/);
      await ask('info memslots', /0x7f5a00000000/);
      assert.deepEqual(await code.notifications(), []);
    }));

  it('is used by keyboard alone', () =>
    inVSCode('debug-keyboard', { 'worked-example.asm': true }, async (code) => {
      await code.debug('worked-example.asm', lineOf('worked-example.asm', /^access:/) + 1);
      await code.command('Pagewalk: Focus on Translation View');
      const view = code.translation();
      await view.locator('.chain').waitFor();
      await code.translationHasFocus();
      await view.locator('#expression').focus();
      await view.locator('#expression').selectText();
      await code.page.keyboard.type('no_such_name');
      await code.page.keyboard.press('Enter');
      await view.locator('[role=alert]', { hasText: 'no_such_name' }).waitFor();
      await view.locator('#expression').selectText();
      await code.page.keyboard.type('target_gva + 8');
      await code.page.keyboard.press('Enter');
      await view.locator('.station.gva', { hasText: '0x7f8a3b2a0108' }).waitFor();
      await view.locator('.grid button').first().focus();
      await code.page.keyboard.press('ArrowRight');
      await code.page.keyboard.press('ArrowDown');
      await view.locator('.detail', { hasText: 'Load 7' }).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));

  it('stops at the EPT violation that a condition describes', () =>
    inVSCode('debug-ept-filter', { 'main.asm': THREE_PAGES }, async (code) => {
      await code.debug('main.asm', 4);
      await code.exceptionCondition('EPT violation', 'write && gpa >= 0x500000 && gpa < 0x600000');
      await code.page.keyboard.press('F5');
      await code.editor.locator('.view-line', { hasText: /EPT_VIOLATION,\swrite,\sGPA\s0x500000/ }).waitFor();
      await code.frame('7:1');
    }));

  it('steps into an exit, through the hypervisor, and out again', () =>
    inVSCode('debug-step-into-exit', { 'first-touch.asm': true }, async (code) => {
      const line = lineOf('first-touch.asm', /^first:/) + 1;
      await code.debug('first-touch.asm', line);
      const top = code.page.locator('.debug-call-stack .monaco-list-row').first();
      const names = new Set<string>();
      for (let step = 0; step < 8; step++) {
        const before = await code.callStack();
        await code.page.keyboard.press('F11');
        await code.callStackChanges(before);
        names.add((await top.innerText()).split('\n')[0] ?? '');
        if (step === 3) await code.shot('inside');
      }
      assert.ok(
        [...names].some((name) => /KVM/.test(name)),
        `a frame of KVM in ${[...names].join(', ')}`,
      );
      await code.frame('first-touch.asm');
      await code.page.locator('.debug-toolbar .action-label[aria-label^="Step Out"]').click();
      await code.page.locator('.tab.active', { hasText: 'first-touch.asm' }).waitFor();
    }));

  it('explains what is wrong with a guest that does not assemble', () =>
    inVSCode('debug-bad-input', { 'main.asm': 'bits 64\n    mov rax, no_such_symbol\n' }, async (code) => {
      await code.open('main.asm');
      await code.language('Guest Assembly');
      await code.editor.locator('.squiggly-error').first().waitFor();
      await code.page.keyboard.press('F5');
      await code.page.locator('.monaco-dialog-box, .notification-toast', { hasText: /PW101/ }).first().waitFor();
    }));
});
