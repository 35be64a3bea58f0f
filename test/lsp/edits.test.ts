import * as assert from 'node:assert/strict';
import type { CodeAction, DocumentDiagnosticReport, TextEdit } from 'vscode-languageserver/node';
import { assemble } from '../../src/asm/index';
import { nearest } from '../../src/lsp/nearest';
import { edited, inEditor, URI } from './editor';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The quick fixes of the first diagnostic: title → the source after it. */
const fixes = (source: string): Promise<Record<string, string>> =>
  inEditor(source, async ({ ask }) => {
    const report = await ask<DocumentDiagnosticReport & { items: { range: object }[] }>('diagnostic');
    const [diagnostic] = report.items;
    assert.ok(diagnostic, 'a diagnostic');
    const actions = await ask<CodeAction[]>('codeAction', {
      range: diagnostic.range,
      context: { diagnostics: [diagnostic] },
    });
    return Object.fromEntries(actions.map(({ title, edit }) => [title, edited(source, edit?.changes?.[URI] ?? [])]));
  });

const formatted = (source: string, more: object = {}): Promise<string> =>
  // The bar is the cursor; those of the source stay.
  inEditor(`|${source}`, async ({ ask }) =>
    edited(source, await ask<TextEdit[]>('formatting', { options: { tabSize: 8, insertSpaces: true, ...more } })),
  );

describe('quick fixes', () => {
  it('corrects a mnemonic', async () =>
    assert.equal((await fixes('bits 64\n mvo rax, 1\n'))['Change to `mov`'], 'bits 64\n mov rax, 1\n'));

  it('corrects a name', async () =>
    assert.equal((await fixes('bits 64\nstart:\n jmp strat\n'))['Change to `start`'], 'bits 64\nstart:\n jmp start\n'));

  it('gives a label its colon', async () =>
    assert.equal(
      (await fixes('bits 64\nagain\n hlt\n'))['Make `again` a label with a colon'],
      'bits 64\nagain:\n hlt\n',
    ));

  it('says a size, one that the instruction has', async () => {
    assert.deepEqual(Object.values(await fixes('bits 64\n inc [rbx]\n')), [
      'bits 64\n inc byte [rbx]\n',
      'bits 64\n inc word [rbx]\n',
      'bits 64\n inc dword [rbx]\n',
      'bits 64\n inc qword [rbx]\n',
    ]);
    assert.deepEqual(Object.values(await fixes('bits 32\n movzx eax, [ebx]\n')), [
      'bits 32\n movzx eax, byte [ebx]\n',
      'bits 32\n movzx eax, word [ebx]\n',
    ]);
  });

  it('adds or changes the mode', async () => {
    assert.equal(
      (await fixes('; a guest\nmov rax, 1\n'))['Add `bits 64` at the top'],
      '; a guest\nbits 64\nmov rax, 1\n',
    );
    assert.equal((await fixes('bits 32\nmov rax, 1\n'))['Change `bits 32` to `bits 64`'], 'bits 64\nmov rax, 1\n');
  });

  it('finds names by their slips', () => {
    assert.deepEqual(nearest('cpiud', ['cpuid', 'cpu', 'cmp']), ['cpuid']);
    assert.deepEqual(nearest('x'.repeat(10_000), ['mov']), []);
    assert.deepEqual(nearest('zzzz', ['mov', 'add']), []);
  });
});

describe('formatting', () => {
  it('puts labels, instructions, operands and comments in columns', async () =>
    assert.equal(
      await formatted(
        'bits 64\nstart: mov rax,[rbx]; one\n   add rax , 2 ;two\n.l:dec rcx\n\tjnz .l\nn equ 4 ; four\n',
      ),
      [
        'bits 64',
        'start:  mov     rax, [rbx]      ; one',
        '        add     rax, 2          ;two',
        '.l:     dec     rcx',
        '        jnz     .l',
        'n       equ 4                   ; four',
        '',
      ].join('\n'),
    ));

  it('leaves strings, preprocessor lines and joined lines alone', async () => {
    const source = '%define  X   1\nm:      db "a ,  b", 1\n        db 1, \\\n  2\n';
    assert.equal(await formatted(source), source);
  });

  it('indents with tabs where the editor does', async () =>
    assert.equal(await formatted(' hlt\n', { insertSpaces: false }), '\thlt\n'));

  it('changes no byte of the examples, and nothing the second time', async () => {
    const folder = join(fileURLToPath(import.meta.url), '../../../examples');
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.asm'))) {
      const source = readFileSync(join(folder, name), 'utf8');
      const once = await formatted(source);
      assert.deepEqual(assemble(once, { fileName: name }).image, assemble(source, { fileName: name }).image, name);
      assert.equal(await formatted(once), once, name);
    }
  });
});
