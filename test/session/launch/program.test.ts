import * as assert from 'node:assert/strict';
import { formatDiagnostic } from '../../../src/base/diagnostic';
import { prepareProgram } from '../../../src/session/launch/program';
import { checkOptions } from '../../../src/session/launch/options';

const bytesOf = (source: string): Uint8Array => new TextEncoder().encode(source);
const prepare = (source: string | Uint8Array, options: Readonly<Record<string, string>> = {}, file = 'guest.asm') =>
  prepareProgram({
    file,
    bytes: typeof source === 'string' ? bytesOf(source) : source,
    options: checkOptions(
      Object.entries(options).map(([key, value]) => ({ key, value })),
      'command-line',
      'x',
    ).options,
  });

/** How the program starts: `start origin entry`, or its errors. */
function check(
  source: string | Uint8Array,
  expected: string,
  options: Readonly<Record<string, string>> = {},
  file?: string,
): void {
  const p = prepare(source, options, file);
  assert.equal(
    p.ok
      ? `${p.value.start} ${p.value.origin.toString(16)} ${p.value.entry.toString(16)}`
      : p.error.map(formatDiagnostic).join('\n'),
    expected,
  );
}

describe('a source for GNU as', () => {
  const gnu = '# @guest memory=2M\n .globl _start\n_start:\n mov $5, %eax\n hlt\n';
  it('is known by its syntax in a file called .s or .S', () => {
    const missing = (file: string): string =>
      `${file}: error PW302: this source is for GNU as, which cannot be run here; install GNU binutils, or write it in NASM syntax`;
    for (const file of ['a.s', 'a.S']) check(gnu, missing(file), {}, file);
    check(' .code32\n hlt\n', missing('a.s'), {}, 'a.s');
    check(' push %rax\n', missing('a.s'), {}, 'a.s');
  });
  it('gives one message where another assembler is asked for', () =>
    check(
      gnu,
      'a.s: error PW301: this source is in the syntax of GNU as; use `assembler=gas`, or write it in NASM syntax',
      { assembler: 'builtin' },
      'a.s',
    ));
  it('and NASM syntax in a file of that name is assembled', () => {
    check('bits 64\n.data: mov eax, 7 % 4 ; .text %eax\n hlt\n', 'flat64 100000 100000', {}, 'a.s');
    check('bits 64\n section .text\n%define x %eax\n hlt\n', 'flat64 100000 100000', {}, 'b.asm');
  });
  it('is known in a file of any name, where nothing is of NASM alone', () => {
    const missing =
      'a.asm: error PW302: this source is for GNU as, which cannot be run here; install GNU binutils, or write it in NASM syntax';
    for (const source of [
      gnu,
      ' push %rax\n',
      '/* bits 64\ndb 1 */\n.code32\nx: hlt\n',
      '.globl x\nx: .byte 1 # db 1\n',
    ])
      check(source, missing, {}, 'a.asm');
    check(gnu, missing.replace('a.asm', 'guest'), {}, 'guest');
    const fields = 'struc item\n.size: resd 1\n.type resb 1\n.string resb 4\nendstruc\nbits 64\n.file hlt\n';
    check(fields, 'flat64 100000 100000', {}, 'a.asm');
    check('start:\n.data: mov eax, 7\n.loop: jmp .loop\n', 'flat16 7c00 7c00', {}, 'a.asm');
    check('mov ax, 7 % 4\nhlt ; push %rax\n', 'flat16 7c00 7c00', {}, 'a.asm');
  });
});

describe('start of a program', () => {
  it('auto goes by the mode of the first instruction', () => {
    check('hlt', 'flat16 7c00 7c00');
    check('bits 32\nhlt', 'flat32 100000 100000');
    check('bits 64\nhlt', 'flat64 100000 100000');
  });
  it('auto takes 55 AA at byte 510 for a boot sector', () => {
    check('hlt\ntimes 510-($-$$) db 0\ndw 0xaa55', 'boot 7c00 7c00');
  });
  it('the file may say where it lies', () => {
    check('org 0x8000\nbits 64\nhlt', 'flat64 8000 8000');
  });
  it('is entered at _start or start', () => {
    check('bits 64\nnop\nstart: hlt', 'flat64 100000 100001');
    check('bits 64\nnop\nstart: nop\n_start: hlt', 'flat64 100000 100002');
    check('bits 64\nstart equ 5\nhlt', 'flat64 100000 100000');
  });
  it('the file states its options, and the command line overrides them', () => {
    check('; @guest start=flat32\nbits 64\nhlt', 'flat32 100000 100000');
    check('; @guest start=flat32\nbits 64\nhlt', 'flat64 100000 100000', { start: 'flat64' });
  });
  it('the file and the options around it give macros to the assembler', () => {
    check('; @guest define=HERE=0x9000 define="MODE=64"\norg HERE\nbits MODE\nhlt', 'flat64 9000 9000');
    check('; @guest define=HERE=0x9000\norg HERE\nbits 32\nhlt', 'flat32 9100 9100', { define: 'HERE=0x9100' });
  });
  it('an included file is read too late to say how to assemble', () => {
    const p = prepareProgram({
      file: 'guest.asm',
      bytes: bytesOf('%include "a.inc"\nhlt'),
      options: new Map(),
      readFile: () => bytesOf('; @guest define=X\n'),
    });
    assert.match(
      p.ok ? '' : p.error.map(formatDiagnostic).join(),
      /^a\.inc:1:10: error PW303: `define` stands in an included file/,
    );
  });
  it('a raw image is flat16, by its extension or its bytes', () => {
    check(Uint8Array.of(0xf4), 'flat16 7c00 7c00', {}, 'x.bin');
    check(Uint8Array.of(0xf4, 0, 1), 'flat16 7c00 7c00', {}, 'x');
  });
  it('ELF by its magic', () => {
    check(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), 'elf 0 0', {}, 'kernel');
  });
});

describe('what is wrong with a program', () => {
  it('says so with the place', () => {
    check('', 'guest.asm: error PW311: the file is empty; a guest needs at least one instruction');
    check('; nothing', 'guest.asm: error PW311: the file assembles to nothing; a guest needs at least one instruction');
    check(
      '; @guest memori=1M\nhlt',
      'guest.asm:1:10: error PW300: there is no option `memori`; did you mean `memory`?',
    );
    check(
      'hlt\n; @guest memory=1M',
      'guest.asm:2:3: error PW303: `@guest` stands behind the first instruction; move it to the top of the file',
    );
    check(
      '; @host swap-in 0x1000\nhlt',
      'guest.asm:1:3: error PW301: `@host`: there is no `host swap-in`; did you mean `swap-out`?',
    );
    check(
      '; @guest serial=/etc/passwd\nhlt',
      'guest.asm:1:10: error PW303: `serial` names an output, which a guest file cannot do; give it in the launch configuration or on the command line',
    );
  });
  it('a start that does not fit the file', () => {
    check(
      'hlt',
      'guest.asm: error PW312: `start=boot`, but bytes 510 and 511 of the image are not 55 AA; end the sector with `times 510-($-$$) db 0` and `dw 0xaa55`',
      { start: 'boot' },
    );
    check('hlt', 'guest.asm: error PW312: `start=elf`, but the file does not begin with the ELF magic 7F 45 4C 46', {
      start: 'elf',
    });
    const multiboot = 'align 4\ndd 0x1badb002, 0, -0x1badb002\nbits 32\nhlt';
    const p = prepare(multiboot);
    assert.equal(p.ok && p.value.start, 'multiboot');
    check(
      '; @guest start=reset firmware=bios.bin\nhlt',
      'guest.asm: error PW301: `firmware`: the file bios.bin cannot be read',
    );
    check(
      'hlt',
      'guest.asm: error PW312: `start=multiboot`, but the first 8 KiB of the image hold no Multiboot 1 header (magic 0x1badb002)',
      { start: 'multiboot' },
    );
  });
  it('assembly errors, all of them', () => {
    const p = prepare('bits 64\nmov rax\nfoo bar\nhlt');
    assert.equal(p.ok, false);
    assert.deepEqual(p.ok ? [] : p.error.map((d) => d.span?.start.line), [2, 3]);
  });
  it('an external assembler where there is none', () => {
    check('hlt', 'guest.asm: error PW302: `assembler=nasm`: there is no nasm that can be run here; use builtin', {
      assembler: 'nasm',
    });
  });
});
