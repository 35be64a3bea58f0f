import * as assert from 'node:assert/strict';
import type { DocumentHighlight, Location, WorkspaceEdit } from 'vscode-languageserver/node';
import { edited, inEditor, URI } from './editor';

type Files = Readonly<Record<string, string>>;
const place = ({ uri, range: { start, end } }: Location): string =>
  `${uri.replace('file:///guest/', '')} ${start.line}:${start.character}-${end.character}`;

const definition = (source: string, files?: Files): Promise<string[]> =>
  inEditor(source, async ({ ask }) => (await ask<Location[]>('definition')).map(place), files);
const references = (source: string, files?: Files): Promise<string[]> =>
  inEditor(
    source,
    async ({ ask }) =>
      (await ask<Location[]>('references', { context: { includeDeclaration: true } })).map(place).sort(),
    files,
  );

/** The files after a rename, by name. */
const rename = (source: string, newName: string, files: Files = {}): Promise<Record<string, string>> =>
  inEditor(
    source,
    async ({ ask }) => {
      const edit = await ask<WorkspaceEdit | null>('rename', { newName });
      const texts: Files = { ...files, 'main.asm': source.replace('|', '') };
      return Object.fromEntries(
        Object.entries(edit?.changes ?? {}).map(([uri, edits]) => {
          const name = uri.replace('file:///guest/', '');
          return [name, edited(texts[name] ?? '', edits)];
        }),
      );
    },
    files,
  );

describe('language server on a source for GNU as', () => {
  const SOURCE =
    '# @guest assembler=gas start=flat64\n.globl _start\n.set size, 5\n_start:\n movl $size, %ea|x # size\nagain: decl %eax\n jnz again\n.macro twice x\n.endm\nmsg: .ascii "again"\n';
  it('says nothing of what it does not know', () =>
    inEditor(SOURCE, async ({ ask }) => {
      assert.deepEqual(await ask('diagnostic'), { kind: 'full', items: [] });
      assert.deepEqual(await ask('completion'), []);
      assert.equal(
        ((await ask<{ contents: { value: string } } | null>('hover')) ?? { contents: { value: '' } }).contents.value,
        '',
      );
    }));
  it('knows labels, constants and macros, and where they are used', () =>
    inEditor(SOURCE.replace('|', '').replace('jnz again', 'jnz aga|in'), async ({ ask }) => {
      const outline = await ask<{ name: string }[]>('documentSymbol');
      assert.deepEqual(
        outline.map(({ name }) => name),
        ['size', '_start', 'again', 'twice', 'msg'],
      );
      const [definition] = await ask<{ range: { start: { line: number } } }[]>('definition');
      assert.equal(definition?.range.start.line, 5);
      const places = await ask<{ range: { start: { line: number } } }[]>('references', {
        context: { includeDeclaration: true },
      });
      assert.deepEqual(
        places.map(({ range }) => range.start.line),
        [5, 6],
      );
      const { changes } = await ask<{ changes: Record<string, unknown[]> }>('rename', { newName: 'loop1' });
      assert.equal(Object.values(changes)[0]?.length, 2);
    }));
  it('helps with an instruction whose name ends in its size', () =>
    inEditor(SOURCE.replace('|', '').replace(' movl', ' mo|vl'), async ({ ask }) => {
      const { contents } = await ask<{ contents: { value: string } }>('hover');
      assert.match(contents.value, /^\*\*mov\*\*/i);
    }));
});

describe('names across a program', () => {
  it('goes to the definition of a label, and of a local label below its owner', async () => {
    assert.deepEqual(await definition('bits 64\nstart:\n jmp sta|rt\n'), ['main.asm 1:0-5']);
    assert.deepEqual(await definition('bits 64\na:\n.x: nop\nb:\n.x: jmp .|x\n'), ['main.asm 4:0-2']);
    assert.deepEqual(await definition('bits 64\na:\n.x: nop\nb:\n.x: jmp a.|x\n'), ['main.asm 2:0-2']);
    assert.deepEqual(await definition('bits 64\na:\n.x: nop\nb:\n.x: jmp |a.x\n'), ['main.asm 1:0-1']);
  });

  it('goes into included files, to macros and to the file that is named', async () => {
    const files = { 'lib/io.inc': '%macro putc 1\n mov al, %1\n%endmacro\nport equ 0xe9\n' };
    const head = 'bits 64\n%include "lib/io.inc"\n';
    assert.deepEqual(await definition(`${head} pu|tc 'x'\n`, files), ['lib/io.inc 0:7-11']);
    assert.deepEqual(await definition(`${head} out por|t, al\n`, files), ['lib/io.inc 3:0-4']);
    assert.deepEqual(await definition('bits 64\n%include "lib/|io.inc"\n', files), ['lib/io.inc 0:0-0']);
  });

  it('finds references also in macro bodies and in branches that are not taken', async () =>
    assert.deepEqual(
      await references(
        'bits 64\nN| equ 1\n%macro m 0\n mov al, N\n%endmacro\n%ifdef X\n mov al, N\n%endif\n db "N", N ; N\n',
      ),
      ['main.asm 1:0-1', 'main.asm 3:9-10', 'main.asm 6:9-10', 'main.asm 8:9-10'],
    ));

  it('finds macros of %imacro and %idefine in any case', async () =>
    assert.deepEqual(await references('%idefine Lf 10\nbits 64\n mov al, L|F\n db lf\n'), [
      'main.asm 0:9-11',
      'main.asm 2:9-11',
      'main.asm 3:4-6',
    ]));

  it('keeps names of macro bodies and of parameters apart', async () => {
    assert.deepEqual(await references('%macro a 0\n%%x: jmp %%|x\n%endmacro\n%macro b 0\n%%x: jmp %%x\n%endmacro\n'), [
      'main.asm 1:0-3',
      'main.asm 1:9-12',
    ]);
    assert.deepEqual(await references('%define f(v|) v+1\nv equ 2\nbits 64\n mov eax, v\n'), [
      'main.asm 0:10-11',
      'main.asm 0:13-14',
    ]);
  });

  it('highlights what reads and what writes', () =>
    inEditor('bits 64\nsta|rt: jmp start\n', async ({ ask }) =>
      assert.deepEqual(
        (await ask<DocumentHighlight[]>('documentHighlight')).map(({ kind, range }) => [range.start.character, kind]),
        [
          [0, 3],
          [11, 2],
        ],
      ),
    ));

  it('renames in all files', async () =>
    assert.deepEqual(
      await rename('bits 64\n%include "a.inc"\n mov rax, si|ze\n', 'total', { 'a.inc': 'size equ 4\n' }),
      {
        'main.asm': 'bits 64\n%include "a.inc"\n mov rax, total\n',
        'a.inc': 'total equ 4\n',
      },
    ));

  it('renames a label without its local labels, and a local label wherever it is named', async () => {
    const source = 'bits 64\na:\n.x: jmp .x\nb: jmp a.x\n call a\n';
    assert.deepEqual(await rename(source.replace('a:', 'a|:'), 'main'), {
      'main.asm': 'bits 64\nmain:\n.x: jmp .x\nb: jmp main.x\n call main\n',
    });
    assert.deepEqual(await rename(source.replace('.x:', '.x|:'), '.loop'), {
      'main.asm': 'bits 64\na:\n.loop: jmp .loop\nb: jmp a.loop\n call a\n',
    });
  });

  it('refuses names that are none, reserved or taken', async () => {
    const source = 'bits 64\na|: jmp b\nb: hlt\n';
    for (const name of ['mov', 'rax', '1x', 'x y', 'b', '.x', ''])
      await assert.rejects(rename(source, name), `as ${name}`);
  });

  it('offers no rename where no name is', () =>
    inEditor('bits 64\n mo|v rax, 1\n', async ({ ask }) => assert.equal(await ask('prepareRename'), null)));

  it('follows what the editor has, not the disk', () =>
    inEditor(
      'bits 64\n%include "a.inc"\n jmp tar|get\n',
      async ({ client, ask }) => {
        await client.sendNotification('textDocument/didOpen', {
          textDocument: {
            uri: URI.replace('main.asm', 'a.inc'),
            languageId: 'pagewalk-asm',
            version: 1,
            text: '\n\ntarget: hlt\n',
          },
        });
        assert.deepEqual((await ask<Location[]>('definition')).map(place), ['a.inc 2:0-6']);
      },
      { 'a.inc': 'target: hlt\n' },
    ));
});
