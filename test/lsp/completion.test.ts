import * as assert from 'node:assert/strict';
import type { CompletionItem } from 'vscode-languageserver/node';
import { inEditor } from './editor';

/** Checks that some labels are offered at the cursor and others are not. */
async function check(source: string, offered: string[], not: string[] = [], files = {}): Promise<void> {
  const items = await inEditor(source, ({ ask }) => ask<CompletionItem[]>('completion'), files);
  const labels = new Set(items.map(({ label }) => label));
  assert.deepEqual(
    offered.filter((label) => !labels.has(label)),
    [],
    'missing',
  );
  assert.deepEqual(
    not.filter((label) => labels.has(label)),
    [],
    'offered wrongly',
  );
}

describe('completion', () => {
  it('offers the mnemonics of the mode', async () => {
    await check('bits 64\n |\n', ['mov', 'syscall', 'swapgs', 'iretq', 'db', 'times', 'rep'], ['daa', 'pusha', 'rax']);
    await check('bits 16\n mo|\n', ['mov', 'daa', 'pusha'], ['swapgs']);
    await check('bits 64\nstart: |\n', ['mov'], ['rax']);
  });

  it('offers the registers that the operand takes', async () => {
    await check('bits 64\n mov |\n', ['rax', 'al', 'cr3', 'ds', 'qword'], ['xmm0', 'st0']);
    await check('bits 64\n lgdt [|\n', ['rax', 'r8'], ['al', 'cr0']);
    await check('bits 16\n mov |\n', ['ax', 'eax'], ['rax', 'r8d', 'sil']);
    await check('bits 64\n addps xmm0, |\n', ['xmm1'], ['rax', 'ymm1']);
    await check('bits 64\n shl rax, |\n', ['cl'], ['rcx', 'al']);
  });

  it('offers labels, constants and macros, also of included files', async () => {
    const files = { 'a.inc': '%macro put 1\n%endmacro\nport equ 0xe9\n%define LF 10\n' };
    await check(
      'bits 64\n%include "a.inc"\nstart: mov rax, |\n.again: hlt\n',
      ['start', 'port', 'LF', '.again'],
      ['put'],
      files,
    );
    await check('bits 64\n%include "a.inc"\n pu|\n', ['put', 'push'], ['port'], files);
    await check('%include "|\n', ['a.inc'], ['main.asm'], files);
  });

  it('offers preprocessor words, modes, and what comments can say', async () => {
    await check('%i|\n', ['%if', '%include', '%macro']);
    await check('bits |\n', ['16', '32', '64'], ['rax']);
    await check('; @|\n', ['@guest', '@host', '@break']);
    await check('; @guest |\n', ['memory', 'start']);
    await check('; @guest memory=4M start=|\n', ['boot', 'flat64'], ['memory']);
    await check('; @break exit EPT|\n', ['EPT_VIOLATION', 'CPUID']);
    await check('; just a comment |\n', [], ['mov']);
    await check('bits 64\n db "|\n', [], ['mov', 'rax']);
  });

  it('explains the selected mnemonic', () =>
    inEditor('bits 64\n cpui|\n', async ({ ask, client }) => {
      const item = (await ask<CompletionItem[]>('completion')).find(({ label }) => label === 'cpuid');
      const full = await client.sendRequest<CompletionItem>('completionItem/resolve', item);
      assert.match((full.documentation as { value: string }).value, /Identify processor/);
    }));
});
