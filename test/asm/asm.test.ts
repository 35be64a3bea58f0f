import assert from 'node:assert';
import { posix } from 'node:path';
import { formatDiagnostic } from '../../src/base/diagnostic';
import type { Assembled } from '../../src/asm/index';
import { assemble, disassemble, formatListing } from '../../src/asm/index';

const build = (source: string, files: Readonly<Record<string, string>> = {}, origin?: bigint): Assembled =>
  assemble(source, {
    fileName: 'a.asm',
    readFile: (path) => (files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
    ...(origin === undefined ? {} : { origin }),
  });
const hex = (a: Assembled): string => Buffer.from(a.image).toString('hex');

/** The source assembles without a message to these bytes. */
function check(source: string, expected: string, files: Readonly<Record<string, string>> = {}): void {
  const a = build(source, files);
  assert.deepStrictEqual(a.diagnostics.map(formatDiagnostic), []);
  assert.strictEqual(hex(a), expected.replace(/\s/g, ''), source);
}

/** The source gives exactly these messages: `line:column severity code` each, in order. */
function checkErrors(source: string, ...expected: string[]): void {
  const a = build(source);
  const actual = a.diagnostics.map((d) => `${d.span?.start.line}:${d.span?.start.column} ${d.severity} ${d.code}`);
  assert.deepStrictEqual(
    actual,
    expected,
    `${source.slice(0, 500)}\n${a.diagnostics.map(formatDiagnostic).join('\n')}`,
  );
  assert.strictEqual(a.ok, !expected.some((e) => e.includes('error')));
}

describe('asm: results beside the image', () => {
  it('tells origin, mode of the first instruction and trailing zeros', () => {
    const a = build('org 0x7c00\nbits 32\nx: nop\nsection .bss\nb: resb 100\n');
    assert.strictEqual(a.origin, 0x7c00n);
    assert.strictEqual(a.hasOrg, true);
    assert.strictEqual(a.firstInstructionBits, 32);
    assert.strictEqual(a.bss, 103);
    assert.strictEqual(build('db 1').firstInstructionBits, undefined);
  });
  it("takes the caller's origin where there is no org", () => {
    const a = build('bits 64\nstart: mov rax, start\n', {}, 0x100000n);
    assert.strictEqual(a.origin, 0x100000n);
    assert.strictEqual(a.hasOrg, false);
    assert.strictEqual(hex(a), '48b80000100000000000');
    assert.strictEqual(build('org 0x500\nnop', {}, 0x100000n).origin, 0x500n);
  });
  it('maps addresses to lines', () => {
    const a = build('org 0x100\n\nstart: mov ax, 1\n  db 1, 2\ntimes 3 nop\n bits 32\n.x: ret\n');
    assert.deepStrictEqual(
      a.lines.map((l) => [l.line, l.column, l.address, l.length, l.bits, l.kind]),
      [
        [3, 1, 0x100n, 3, 16, 'code'],
        [4, 3, 0x103n, 2, 16, 'data'],
        [5, 1, 0x105n, 3, 16, 'code'],
        [7, 1, 0x108n, 1, 32, 'code'],
      ],
    );
  });
  it("gives a macro's bytes to the line that calls it, and an included file its own", () => {
    const a = build('%macro two 0\nnop\nret\n%endmacro\n two\n%include "i.inc"\n', { 'i.inc': '\nhlt\n' });
    assert.deepStrictEqual(
      a.lines.map((l) => [l.file, l.line, l.address]),
      [
        ['a.asm', 5, 0n],
        ['a.asm', 5, 1n],
        ['i.inc', 2, 2n],
      ],
    );
  });
  it('lists symbols with what follows them', () => {
    const a = build('org 0x10\nsize equ 4\nstart: nop\n.loop: jmp .loop\nmsg:\n  db 1\nsection .bss\nbuf: resb 4\n');
    assert.deepStrictEqual(
      a.symbols.map((s) => [s.name, s.value, s.kind, s.section, s.followedBy]),
      [
        ['size', 4n, 'constant', undefined, undefined],
        ['start', 0x10n, 'label', '.text', 'code'],
        ['start.loop', 0x11n, 'label', '.text', 'code'],
        ['msg', 0x13n, 'label', '.text', 'data'],
        ['buf', 0x14n, 'label', '.bss', 'data'],
      ],
    );
    assert.deepStrictEqual(a.symbols[2]?.span.start, { line: 4, column: 1 });
  });
  it('collects comment directives with their places', () => {
    const a = build('; @guest memory=64M\nnop ; @break exit HLT\n;; no @directive here\n  ; @assert rax == 1  \n');
    assert.deepStrictEqual(
      a.directives.map((d) => [d.verb, d.text, d.span.start, d.textStart.column, d.beforeCode]),
      [
        ['guest', 'memory=64M', { line: 1, column: 3 }, 10, true],
        ['break', 'exit HLT', { line: 2, column: 7 }, 14, false],
        ['assert', 'rax == 1', { line: 4, column: 5 }, 13, false],
      ],
    );
  });
  it('tells directives before the first instruction from later ones', () => {
    const before = (source: string): boolean[] => build(source).directives.map((d) => d.beforeCode);
    assert.deepStrictEqual(
      before('bits 64\norg 5\n[section .text]\nN equ 4\n%define x 1\nstart:\n; @guest cpus=1\n nop\n; @guest cpus=2'),
      [true, false],
    );
  });
  it('writes a listing', () => {
    const source = 'org 0x7c00\nmov ax, 1 ; one\nresb 2\n';
    assert.strictEqual(
      formatListing(build(source), source, 'a.asm'),
      [
        '     1                             org 0x7c00',
        '     2 00007C00 B80100             mov ax, 1 ; one',
        '     3 00007C03 0000               resb 2',
        '     4',
        '',
      ].join('\n'),
    );
  });
});

describe('asm: origin', () => {
  it('may be decided when the bytes are there, and only where there is no org', () => {
    let asked = 0;
    const at = (source: string): Assembled =>
      assemble(source, {
        fileName: 'a.asm',
        origin: ({ image, firstInstructionBits, directives }) => {
          asked++;
          assert.deepStrictEqual([image.length, firstInstructionBits, directives.length], [13, 32, 1]);
          return 0x100000n;
        },
      });
    const source = '; @guest cpus=1\nbits 32\nstart: mov eax, start\nsection x vstart=0x500\nv: dw v\nsection y\ndb 1';
    const a = at(source);
    assert.strictEqual(hex(a), 'b800001000000000' + '0005' + '0000' + '01');
    assert.strictEqual(asked, 1);
    at('org 7\n nop');
    assert.strictEqual(asked, 1);
  });
});

describe('asm: language', () => {
  it('accepts names that look like other things', () =>
    check('$eax: dw $eax\nfoo.bar: db 1\n..@x: db 2\n dw ..@x', '0000 01 02 0300'));
  it('joins lines at a backslash', () => check('db 1, \\\n 2\ndb 3', '01 02 03'));
  it('ignores carriage returns', () => check('db 1\r\ndb 2\r\n', '01 02'));
  it('reads quotes and comments', () => check('db ";", \'"\', `\\x41\\n` ; "x', '3b 22 41 0a'));
  it('includes text and binary files', () => {
    check('%include "a.inc"\nincbin "b.bin", 1, 2\n', '07 3132', { 'a.inc': 'db 7', 'b.bin': '01234' });
  });
  it('takes definitions from the caller', () => {
    const a = assemble('db N', { fileName: 'a.asm', defines: { N: '5+1' } });
    assert.strictEqual(hex(a), '06');
    const defines = { 'twice(x)': 'x*2', EMPTY: '' };
    const b = assemble('%ifdef EMPTY\n db twice(3)\n%endif', { fileName: 'a.asm', defines });
    assert.strictEqual(hex(b), '06');
  });
  it('looks beside the file that names one, then along the include path', () => {
    const files: Readonly<Record<string, string>> = {
      'src/own.inc': 'db 1\n',
      'lib/own.inc': 'db 2\n',
      'lib/a.inc': '%include "b.inc"\n%include "own.inc"\n%require "b.inc"\n incbin "c.bin"\n',
      'lib/b.inc': 'db 3\n',
      'more/c.bin': 'xyz',
    };
    const found: string[] = [];
    const a = assemble('%include "own.inc"\n%include "a.inc"\n%pathsearch p "c.bin"\n db p\n', {
      fileName: 'src/main.asm',
      includePath: ['lib', 'more/'],
      readFile: (name, from, use) => {
        const path = posix.normalize(posix.join(posix.dirname(from), name));
        const text = files[path];
        if (text === undefined) return undefined;
        found.push(`${use} ${path}`);
        return new TextEncoder().encode(text);
      },
    });
    assert.deepStrictEqual(a.diagnostics, []);
    assert.strictEqual(hex(a), '01' + '03' + '02' + '78797a' + Buffer.from('more/c.bin').toString('hex'));
    assert.deepStrictEqual(
      new Set(a.lines.map(({ file }) => file)),
      new Set(['src/main.asm', 'src/own.inc', 'lib/a.inc', 'lib/b.inc', 'lib/own.inc']),
    );
    assert.ok(found.includes('bytes more/c.bin'));
  });
  it('lets the preprocessor see the layout', () => {
    check('a: times 5 db 1\n%assign n $-a\n db n\n%if $-$$ > 4\n db 0xaa\n%endif\n', '0101010101 05 aa');
  });
  it('keeps the two meanings of %', () => check('%define x 7\n db 7 % 4, -7 %% 4, x%4\n', '03 fd 03'));
});

describe('asm: mistakes are located, all at once', () => {
  it('reports every line', () => {
    checkErrors(
      'mov ax, nosuch\nfoo bar\n mov [ax], bx\nnop\n mov eax\n',
      '1:9 error PW101',
      '2:1 error PW100',
      '3:6 error PW110',
      '5:6 error PW104',
    );
  });
  it('of instructions', () => {
    checkErrors('mov rax, 1', '1:5 error PW119');
    checkErrors('bits 64\npusha', '2:1 error PW119');
    checkErrors('inc [bx]', '1:5 error PW105');
    checkErrors('mov al, bx', '1:5 error PW104');
    checkErrors('bits 32\nmov eax, [ebx+ecx+edx]', '2:10 error PW110');
    checkErrors('bits 32\nmov eax, [ebx*7]', '2:10 error PW110');
    checkErrors('mov ax, [si+di]', '1:9 error PW110');
    checkErrors('bits 64\nmov al, [bx]', '2:9 error PW110');
    checkErrors('jmp short x\ntimes 200 nop\nx:', '1:1 error PW106');
    checkErrors('mov ax, bx bx', '1:12 error PW100');
    checkErrors('bits 64\nmov ah, r8b', '2:1 error PW106');
  });
  it('of expressions', () => {
    checkErrors('dw 1 +', '1:7 error PW100');
    checkErrors('dw (1', '1:6 error PW100');
    checkErrors('dw 5 / 0', '1:8 error PW108');
    checkErrors('dw 0x1g', '1:4 error PW100');
    checkErrors('x: dw x * 2, x | 1', '1:14 error PW107');
    checkErrors('db "abc', '1:4 error PW100');
    checkErrors('dw ax', '1:4 error PW107');
    checkErrors(`dw ${'('.repeat(300)}1${')'.repeat(300)}`, '1:205 error PW100');
  });
  it('of directives and labels', () => {
    checkErrors('bits 8', '1:6 error PW100');
    checkErrors('a: nop\na: nop', '2:1 error PW102');
    checkErrors('times -1 nop', '1:7 error PW107');
    checkErrors('times 100000000 nop', '1:7 error PW111');
    checkErrors('align 3', '1:7 error PW107');
    checkErrors('org 1\norg 2', '2:5 error PW109');
    checkErrors('equ 5', '1:1 error PW100');
    checkErrors('incbin "no.bin"', '1:8 error PW112');
    checkErrors('section .x foo=1', '1:12 warning PW117');
    checkErrors('section .data\ndb 1\nsection .a follows=.nosuch\ndb 1', '1:1 error PW117');
  });
  it('of the preprocessor', () => {
    checkErrors('%if 1\nnop', '1:1 error PW114');
    checkErrors('%endif', '1:1 error PW114');
    checkErrors('%else', '1:1 error PW114');
    checkErrors('%nosuch', '1:1 error PW114');
    checkErrors('%include "none.inc"', '1:10 error PW112');
    checkErrors('%error stop here', '1:1 error PW120');
    checkErrors('%macro m 1\nnop\n', '1:1 error PW114');
    checkErrors('%macro m 1\nnop\n%endmacro\nm 1, 2', '4:1 warning PW114', '4:1 error PW100');
    checkErrors('%define f(x', '1:9 error PW114');
    checkErrors('%macro m 0\n  bad bad\n%endmacro\n m', '4:2 error PW100');
  });
  it('warns where nasm warns', () => {
    checkErrors('mov al, 300', '1:9 warning PW116');
    checkErrors('db 256, -129', '1:4 warning PW116', '1:9 warning PW116');
    checkErrors('section .bss\ndb 1', '2:4 warning PW117');
  });
  it('warns of a word alone on a line, which may be a misspelt instruction', () => {
    checkErrors('hltt', '1:1 warning PW121');
    checkErrors('hltt:');
    checkErrors('%macro m 0\n  bad bad\n%endmacro\n m', '4:2 error PW100');
  });
  it('stays bounded', () => {
    const self = assemble('%include "a.asm"', {
      fileName: 'a.asm',
      readFile: () => new TextEncoder().encode('%include "a.asm"'),
    });
    assert.deepStrictEqual(
      self.diagnostics.map((d) => d.code),
      ['PW113'],
    );
    checkErrors('%rep 100000000\nnop\n%endrep', '1:1 error PW114');
    checkErrors('%macro m 0\nm\n%endmacro\nm', '4:1 warning PW121');
    checkErrors('%rmacro m 0\nm\n%endmacro\nm', '4:1 warning PW121');
    checkErrors('resq 10000000000', '1:6 error PW111');
    checkErrors('times 60000000 dw x\nx:', '1:7 error PW111');
    checkErrors('dw 70000000 dup (1)', '1:4 error PW107');
    checkErrors(`dw ${'1+'.repeat(5000)}1`, '1:4006 error PW100');
    checkErrors('x: times (x - y) & 1 nop\n times 1 - ((y - x) & 1) nop\ny:');
    const small = assemble('times 100 db 1', { fileName: 'a.asm', maxImage: 50 });
    assert.deepStrictEqual(
      small.diagnostics.map((d) => d.code),
      ['PW111'],
    );
  });
});

describe('asm: disassembly', () => {
  it('is nasm syntax, names targets, and passes over what is no instruction', () => {
    const bytes = Uint8Array.from(Buffer.from('eb0206068b04256000000006c3', 'hex'));
    const d = disassemble(bytes, 0x1000n, 64, 10, (a) => (a === 0x1004n ? 'here' : undefined));
    assert.deepStrictEqual(
      d.map((i) => [i.address, i.length, i.text, i.valid]),
      [
        [0x1000n, 2, 'jmp short 0x1004  ; here', true],
        [0x1002n, 1, 'db 0x06', false],
        [0x1003n, 1, 'db 0x06', false],
        [0x1004n, 7, 'mov eax, [0x60]', true],
        [0x100bn, 1, 'db 0x06', false],
        [0x100cn, 1, 'ret', true],
      ],
    );
    assert.deepStrictEqual(disassemble(bytes, 0n, 64, 1).length, 1);
  });
});
