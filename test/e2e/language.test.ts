/** What the language server gives a person who writes a guest. */
import * as assert from 'node:assert/strict';
import type { Locator } from 'playwright-core';
import { inVSCode, lineOf, type Workbench } from './vscode';

const MAIN = `; @guest start=flat64
bits 64
%include "lib/console.inc"

start:
        mov     rsp, 0x80000
        putc    'A'
        mov     rax, counter
        jmp     start

counter: dq 0
`;
const CONSOLE = `DEBUG_PORT equ 0xe9

%macro putc 1
        mov     dx, DEBUG_PORT
        mov     al, %1
        out     dx, al
%endmacro
`;
const FILES = { 'main.asm': MAIN, 'lib/console.inc': CONSOLE };

async function open(code: Workbench): Promise<void> {
  await code.open('main.asm');
  await code.language('Guest Assembly');
  // The server has answered once its inlay hints are there.
  await code.editor.locator('.view-line', { hasText: /bc\s00\s00\s08/ }).waitFor();
}

/** Puts the cursor into a word of the line that holds `text`. */
async function cursorAt(code: Workbench, line: number, column: number): Promise<void> {
  await code.page.keyboard.press('Control+G');
  await code.page.locator('.quick-input-widget input').first().fill(`:${line}:${column}`);
  await code.page.keyboard.press('Enter');
  await code.page.locator('#status\\.editor\\.selection', { hasText: `Ln ${line}, Col ${column}` }).waitFor();
}

/** Presses a key until `wanted` shows: what the language server knows may be a moment behind the editor. */
async function pressUntil(code: Workbench, key: string, wanted: Locator): Promise<void> {
  for (let attempt = 0; attempt < 15; attempt++) {
    await code.page.keyboard.press(key);
    const shown = await wanted.waitFor({ timeout: 2000 }).then(
      () => true,
      () => false,
    );
    if (shown) return;
  }
  throw new Error(`${key} shows nothing of what is wanted`);
}

describe('the language server', () => {
  it('completes mnemonics of the mode, registers that fit, and names', () =>
    inVSCode('language-completion', FILES, async (code) => {
      await open(code);
      await cursorAt(code, 8, 1);
      await code.page.keyboard.press('End');
      await code.page.keyboard.press('Enter');
      await code.page.keyboard.type('invl');
      const list = code.page.locator('.suggest-widget.visible');
      await list.locator('.monaco-list-row', { hasText: 'invlpg' }).first().waitFor();
      assert.equal(await list.locator('.monaco-list-row', { hasText: /^daa/ }).count(), 0);
      await code.shot('mnemonics');
      await code.page.keyboard.press('Escape');
      await code.page.keyboard.type('pg [coun');
      await list.locator('.monaco-list-row', { hasText: 'counter' }).first().waitFor();
      await code.page.keyboard.press('Enter');
      await code.editor.locator('.view-line', { hasText: /invlpg\s\[counter/ }).waitFor();
      assert.deepEqual(await code.notifications(), []);
    }));

  it('goes to a definition in an included file', () =>
    inVSCode('language-definition', FILES, async (code) => {
      await open(code);
      await cursorAt(code, 7, 11);
      await pressUntil(code, 'F12', code.page.locator('.tab.active', { hasText: 'console.inc' }));
      await code.page.locator('#status\\.editor\\.selection', { hasText: 'Ln 3, Col 8' }).waitFor();
      await code.language('Guest Assembly');
    }));

  it('renames in the file and in what it includes', () =>
    inVSCode('language-rename', FILES, async (code) => {
      await open(code);
      await cursorAt(code, 7, 11);
      await code.page.keyboard.press('F2');
      const box = code.page.locator('.rename-box input');
      await box.waitFor();
      await box.fill('print_char');
      await box.press('Enter');
      await code.editor.locator('.view-line', { hasText: /print_char\s+'A'/ }).waitFor();
      // the server hears of the included file's new text from the file watcher, a moment after the edit
      await pressUntil(code, 'F12', code.page.locator('.tab.active', { hasText: 'console.inc' }));
      await code.editor.locator('.view-line', { hasText: /%macro\sprint_char/ }).waitFor();
    }));

  it('underlines a slip and mends it', () =>
    inVSCode('language-fix', { 'main.asm': 'bits 64\nstart:\n        jmp     strat\n' }, async (code) => {
      await code.open('main.asm');
      await code.language('Guest Assembly');
      await code.editor.locator('.squiggly-error').first().waitFor();
      await cursorAt(code, 3, 18);
      const fix = code.page.locator('.action-widget .monaco-list-row', { hasText: 'Change to `start`' });
      await pressUntil(code, 'Control+.', fix);
      await code.shot('menu');
      await fix.click();
      await code.editor.locator('.view-line', { hasText: /jmp\s+start/ }).waitFor();
      await code.editor.locator('.squiggly-error').first().waitFor({ state: 'detached' });
    }));

  it('explains an instruction, with the VM exit that it can cause', () =>
    inVSCode('language-hover', { 'worked-example.asm': true }, async (code) => {
      await code.open('worked-example.asm');
      await code.language('Guest Assembly');
      const line = lineOf('worked-example.asm', /invlpg/);
      await code.reveal(line);
      // The line is drawn anew when its bytes come.
      await code.editor.locator('.view-line', { hasText: /0f\s01\s3b/ }).waitFor();
      assert.match(await code.hover(line, 'invlpg', /Invalidate TLB entry/), /INVLPG exiting/);
    }));

  it('shows one hover while a guest is stopped: value and chain, then what the assembler knows', () =>
    inVSCode('language-merged-hover', { 'worked-example.asm': true }, async (code) => {
      const line = lineOf('worked-example.asm', /^access:/) + 1;
      await code.debug('worked-example.asm', line);
      await code.editor.locator('.view-line', { hasText: /0f\s01\s3b/ }).waitFor();
      const text = await code.hover(line - 1, 'access', /GPA/);
      assert.match(text, /^access label in \.text[^]*HPA/);
      assert.equal(await code.page.locator('.monaco-hover:not(.hidden) .hover-contents').count(), 1);
      await code.shot('label');
      await code.reveal(line);
      assert.match(await code.hover(line, 'mov', /Copies the source/), /EPT_VIOLATION/);
    }));
});
