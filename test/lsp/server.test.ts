import * as assert from 'node:assert/strict';
import type {
  DocumentDiagnosticReport,
  DocumentSymbol,
  FoldingRange,
  Hover,
  InlayHint,
  SemanticTokens,
  SignatureHelp,
  WorkspaceSymbol,
} from 'vscode-languageserver/node';
import { TOKEN_TYPES } from '../../src/lsp/semantic-tokens';
import { inEditor, URI } from './editor';

type Files = Readonly<Record<string, string>>;
const whole = (source: string): object => ({
  range: { start: { line: 0, character: 0 }, end: { line: source.split('\n').length, character: 0 } },
});

const diagnostics = (source: string, files?: Files, name?: string, settings?: object): Promise<string[]> =>
  inEditor(
    source,
    async ({ ask }) => {
      const report = await ask<DocumentDiagnosticReport>('diagnostic');
      assert.equal(report.kind, 'full');
      return report.items.map(({ range, code, message }) => {
        assert.match(String(code), /^PW\d{3}$/);
        assert.notEqual(message, '');
        return `${range.start.line}:${range.start.character}-${range.end.line}:${range.end.character}`;
      });
    },
    files,
    name,
    settings,
  );

const hover = (source: string, files?: Files): Promise<string> =>
  inEditor(
    source,
    async ({ ask }) => {
      const answer = await ask<Hover | null>('hover');
      return answer ? (answer.contents as { value: string }).value : '';
    },
    files,
  );

describe('language server', () => {
  describe('diagnostics', () => {
    it('has nothing to say about a good file', async () =>
      assert.deepEqual(await diagnostics('bits 64\nstart: mov rax, [rbx+8]\n hlt\n'), []));

    it('places an error under what is wrong', async () => {
      const [place, ...rest] = await diagnostics('bits 64\n mov rax, no_such_symbol\n hlt\n');
      assert.deepEqual(rest, []);
      assert.match(place ?? '', /^1:10-1:/);
    });

    it('has the macros and folders of the settings and of @guest, as a run has', async () => {
      const source = '; @guest include=more\nbits 64\n%include "a.inc"\n%include "b.inc"\n mov eax, N\n hlt\n';
      const files = { 'lib/a.inc': ' nop\n', 'more/b.inc': ' mov ebx, N\n' };
      assert.deepEqual((await diagnostics(source, files)).sort(), ['2:9-2:16']);
      assert.deepEqual(await diagnostics(source, files, 'main.asm', { define: ['N=1'], include: ['/guest/lib'] }), []);
    });

    it('tells how a guest cannot start', async () =>
      assert.equal((await diagnostics('; @guest start=boot\norg 0x8000\n hlt\n')).length, 1));

    it('tells at the %include what is wrong in the included file', async () =>
      assert.deepEqual(
        await diagnostics('bits 64\n%include "a.inc"\n hlt\n', { 'a.inc': 'nop\n mov rax, nowhere\n' }),
        ['1:9-1:16'],
      ));

    it('looks at an included file as part of what includes it', async () => {
      const files = { 'main.asm': 'bits 64\nN equ 4\n%include "a.inc"\n' };
      assert.deepEqual(await diagnostics(' mov rax, N\n', { ...files, 'a.inc': '' }, 'a.inc'), []);
      assert.deepEqual(await diagnostics(' mov rax, M\n', { ...files, 'a.inc': '' }, 'a.inc'), ['0:10-0:11']);
    });

    it('sees each edit', () =>
      inEditor('bits 64\n hlt\n', async ({ client, at: { textDocument }, ask }) => {
        const count = async (): Promise<number> =>
          (await ask<DocumentDiagnosticReport & { items: unknown[] }>('diagnostic')).items.length;
        const type = (version: number, text: string, character: number): Promise<void> => {
          const place = { line: 1, character };
          return client.sendNotification('textDocument/didChange', {
            textDocument: { ...textDocument, version },
            contentChanges: [{ range: { start: place, end: place }, text }],
          });
        };
        assert.equal(await count(), 0);
        await type(2, 'x', 4);
        assert.equal(await count(), 1);
        await type(3, ':', 5);
        assert.equal(await count(), 0);
      }));
  });

  describe('hover', () => {
    it('shows the value of a label of a file with org', async () =>
      assert.match(
        await hover('bits 16\norg 0x7c00\n nop\nst|art: hlt\n'),
        /\*\*start\*\* label in `\.text`\n\n`0x7c01`/,
      ));

    it('shows the address that a run gives it where the file has no org', async () =>
      assert.match(await hover('bits 64\n nop\n jmp sta|rt\nstart: hlt\n'), /`0x100003`/));

    it('shows constants in both bases, negative ones as such', async () => {
      assert.match(await hover('n equ 42\nbits 64\n mov rax, |n\n'), /\*\*n\*\* constant\n\n`0x2a = 42`/);
      assert.match(await hover('n equ -1\nbits 64\n mov rax, |n\n'), /= 18446744073709551615 = -1`/);
    });

    it('tells what an instruction does, its flags, exceptions, encodings and VM exits', async () => {
      const text = await hover('bits 64\n inv|lpg [rax]\n');
      assert.match(text, /^\*\*invlpg\*\* Invalidate TLB entry/);
      assert.match(text, /CPL 0/);
      assert.match(text, /`INVLPG` \(INVLPG exiting/);
      assert.match(text, /\| `0F 01 \/7` \| `INVLPG m` \|/);
      assert.match(await hover('bits 64\n a|dd rax, 1\n'), /writes OF SF ZF AF PF CF/);
    });

    it('falls back to the encoder’s tables', async () =>
      assert.match(await hover('bits 64\n vaddp|s ymm0, ymm1, ymm2\n'), /\*Needs:\* AVX/));

    it('shows macros, numbers, directives and options', async () => {
      assert.match(
        await hover('%define TWICE(x) (x)*2\nbits 64\n mov rax, TWI|CE(2)\n'),
        /macro\n\n```pagewalk-asm\n%define TWICE/,
      );
      assert.match(await hover('bits 64\n mov rax, 0x4|1\n'), /`0x41` = `65` = `0b1000001` = `'A'`/);
      assert.match(await hover('bit|s 64\n'), /The mode/);
      assert.match(await hover('; @guest mem|ory=4M\nbits 64\n'), /Guest RAM/);
    });
  });

  describe('outline and symbols', () => {
    it('outlines labels with their local labels, data, constants and structures with their fields', () =>
      inEditor('n equ 1\nbits 64\na:\n.x: nop\nd: db 1\nstruc p\n.y: resb 1\nendstruc\n', async ({ ask }) => {
        const show = ({ name, children = [] }: DocumentSymbol): unknown =>
          children.length > 0 ? { [name]: children.map(show) } : name;
        assert.deepEqual((await ask<DocumentSymbol[]>('documentSymbol')).map(show), [
          'n',
          { a: ['.x'] },
          'd',
          { p: ['.y'] },
        ]);
      }));

    it('finds names of files that are not open', () =>
      inEditor(
        'main_entry: hlt\n',
        async ({ client }) => {
          const found = await client.sendRequest<WorkspaceSymbol[]>('workspace/symbol', { query: 'ent' });
          assert.deepEqual(found.map(({ name }) => name).sort(), ['main_entry', 'other_entry']);
        },
        { 'sub/other.asm': 'other_entry: hlt\nx: hlt\n' },
      ));
  });

  describe('shows', () => {
    it('semantic tokens of labels, data, constants and macros', () =>
      inEditor('%define W 1\nN equ 2\nd: db N\na: mov al, W\n jmp a\n', async ({ ask }) => {
        const { data } = await ask<SemanticTokens>('semanticTokens/full');
        const types = data.filter((_, index) => index % 5 === 3).map((type) => TOKEN_TYPES[type]);
        assert.deepEqual(types, ['macro', 'enumMember', 'variable', 'enumMember', 'function', 'macro', 'function']);
      }));

    it('folds macros, branches, labels and comments', () =>
      inEditor(
        '; one\n; two\n%macro m 0\nnop\n%endmacro\n%ifdef X\nnop\n%else\nnop\n%endif\na:\nnop\nnop\nb: nop\n',
        async ({ ask }) => {
          const ranges = (await ask<FoldingRange[]>('foldingRange')).map(
            ({ startLine, endLine }) => `${startLine}-${endLine}`,
          );
          assert.deepEqual(ranges.sort(), ['0-1', '10-12', '2-3', '5-6', '7-8']);
        },
      ));

    it('addresses and bytes behind each line', async () => {
      const source = 'bits 16\norg 0x7c00\n mov ax, 1 ; one\n times 20 db 0\n';
      const hints = await inEditor(source, ({ ask }) => ask<InlayHint[]>('inlayHint', whole(source)));
      assert.deepEqual(
        hints.map(({ position, label }) => `${position.line}:${position.character} ${String(label)}`),
        ['2:16 7c00: b8 01 00', '3:14 7c03: 00 00 00 00 00 00 00 00 … 20 bytes'],
      );
    });

    it('addresses and bytes as a run places them, where the file has no org', async () => {
      const hints = (source: string): Promise<string[]> =>
        inEditor(source, async ({ ask }) =>
          (await ask<InlayHint[]>('inlayHint', whole(source))).map(({ label }) => String(label)),
        );
      assert.deepEqual(await hints('bits 64\nstart: mov eax, start\n'), ['100000: b8 00 00 10 00']);
      assert.deepEqual(await hints('; @guest start=reset\n hlt\n'), ['f0000: f4']);
      assert.deepEqual(await hints('x: jmp x\n times 510-($-$$) db 0\n dw 0xaa55\n'), [
        '7c00: eb fe',
        '7c02: 00 00 00 00 00 00 00 00 … 508 bytes',
        '7dfe: 55 aa',
      ]);
    });

    it('links of %include and incbin that exist', () =>
      inEditor(
        '%include "a.inc"\nincbin "gone.bin"\n',
        async ({ ask }) =>
          assert.deepEqual(
            (await ask<{ target: string }[]>('documentLink')).map(({ target }) => target),
            ['file:///guest/a.inc'],
          ),
        { 'a.inc': 'nop\n' },
      ));

    it('the operands of an instruction, the one at the cursor marked', () =>
      inEditor('bits 64\n imul rax, |\n', async ({ ask }) => {
        const help = await ask<SignatureHelp>('signatureHelp');
        assert.equal(help.activeParameter, 1);
        assert.ok(
          help.signatures.some(({ label }) => label === 'imul r64, r/m64'),
          JSON.stringify(help.signatures),
        );
        assert.ok((help.signatures[help.activeSignature ?? 0]?.parameters?.length ?? 0) >= 2);
      }));

    it('the parameters of a macro', () =>
      inEditor('%macro put 1-2 x\n%endmacro\nbits 64\n put |\n', async ({ ask }) =>
        assert.equal((await ask<SignatureHelp>('signatureHelp')).signatures[0]?.label, 'put %1, [%2]'),
      ));
  });

  it('answers nothing about a document that is not open', () =>
    inEditor('nop\n', async ({ ask }) =>
      assert.equal(await ask('hover', { textDocument: { uri: `${URI}.other` } }), null),
    ));
});
