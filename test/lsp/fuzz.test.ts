/** Half-typed and broken sources: every request is answered, and what formatting gives assembles to the same bytes. */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TextEdit } from 'vscode-languageserver/node';
import { assemble } from '../../src/asm/index';
import { edited, inEditor } from './editor';

const PIECES = [
  ...[
    'bits 64',
    'bits 16',
    'start:',
    '.x:',
    'mov rax, [rbx+8]',
    'jmp .x',
    'call start.x',
    'n equ 5',
    'db "a;b", 1',
    'times 3 nop',
  ],
  ...[
    '%macro m 1-2',
    '%%l: jmp %%l',
    '%endmacro',
    'm start',
    '%define f(x) x+1',
    'f(',
    '%if 1',
    '%else',
    '%endif',
    '%rep 3',
    '%endrep',
  ],
  ...[
    '%include "main.asm"',
    '%include "a.inc"',
    'struc s',
    'endstruc',
    '; @guest memory=',
    '; @break exit ',
    '[bits 32]',
    'rep movsb',
  ],
  ...['mov', 'lgdt [', '"', '\\', '%', '$', '%$x', '..@y:', 'ünïcode:', '\t', '{', 'a' + '.b'.repeat(20)],
] as const;
const source = fc
  .array(fc.tuple(fc.constantFrom(...PIECES), fc.constantFrom(' ', '\n', '\n', '\n ')), { maxLength: 25 })
  .map((pieces) => pieces.map((each) => each.join('')).join(''));
const AT_CURSOR = ['completion', 'signatureHelp', 'hover', 'definition', 'documentHighlight', 'prepareRename'];
const OF_FILE = ['diagnostic', 'documentSymbol', 'semanticTokens/full', 'foldingRange', 'documentLink'];

describe('the language server on broken sources', () => {
  it('answers every request', () =>
    fc.assert(
      fc.asyncProperty(source, fc.nat(), async (text, place) => {
        const at = place % (text.length + 1);
        await inEditor(
          `${text.slice(0, at)}|${text.slice(at)}`,
          async ({ ask }) => {
            for (const method of [...AT_CURSOR, ...OF_FILE]) await ask(method);
            await ask('references', { context: { includeDeclaration: true } });
            await ask('inlayHint', { range: { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } } });
          },
          { 'a.inc': text, 'main.asm': text },
        );
      }),
      { seed: 5, numRuns: 120 },
    ));

  it('formats to the same bytes', () =>
    fc.assert(
      fc.asyncProperty(source, async (text) => {
        const edits = await inEditor(`|${text}`, ({ ask }) =>
          ask<TextEdit[]>('formatting', { options: { tabSize: 4, insertSpaces: true } }),
        );
        const image = (each: string): Uint8Array => assemble(each, { fileName: 'main.asm' }).image;
        assert.deepEqual(image(edited(text, edits)), image(text));
      }),
      { seed: 6, numRuns: 150 },
    ));
});
