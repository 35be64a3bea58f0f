import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble, optimizationOf } from '../../src/asm/index';
import { needs } from '../support/needs';
import { nasm } from './native';

/** The first message for a source, or its bytes. */
function check(source: string, expected: string): void {
  const a = assemble(`${source}\n`, { fileName: 'a.asm' });
  const [first] = a.diagnostics;
  assert.strictEqual(first?.message ?? Buffer.from(a.image).toString('hex'), expected, source);
}

/** What a word may be, each as a source with the word in it. */
const LABELS: readonly ((word: string) => string)[] = [
  (word) => `${word}:\n nop`,
  (word) => `${word}: nop`,
  (word) => `${word}: equ 5`,
  (word) => `$${word}: jmp $${word}`,
  (word) => `.${word}: nop`,
];
const WORDS = [
  ...['byte', 'word', 'dword', 'qword', 'tword', 'oword', 'yword', 'zword', 'near', 'far', 'short', 'strict', 'to'],
  ...[
    'rel',
    'abs',
    'nosplit',
    'seg',
    'wrt',
    'times',
    'ptr',
    'dup',
    'long',
    'rax',
    'al',
    'st0',
    'xmm0',
    'k1',
    'cr0',
    'es',
  ],
  ...[
    'rep',
    'repne',
    'lock',
    'o16',
    'a32',
    'a64',
    'bnd',
    'nobnd',
    'xacquire',
    'wait',
    'fwait',
    'mov',
    'add',
    'db',
    'resb',
  ],
  ...['equ', 'incbin', 'bits', 'org', 'absolute', 'align', 'alignb', 'sectalign', 'default', 'cpu'],
  ...['global', 'extern', 'common', 'static', 'required', 'float', 'struc', 'endstruc', 'iend', 'use16', 'list'],
  ...['__?infinity?__', '__infinity__', '__?nan?__', '__?float32?__', '__?utf16?__', '__utf16__', '__?ilog2e?__', '?'],
];

describe('asm: words with a meaning of their own', () => {
  it('are labels where nasm takes them for labels', function () {
    needs(this, 'nasm');
    const differ: string[] = [];
    for (const source of WORDS.flatMap((word) => LABELS.map((form) => `bits 64\n${form(word)}\n`))) {
      const ours = assemble(source, { fileName: 'a.asm' });
      if (nasm(source).ok !== ours.ok) differ.push(`${source}: ${ours.diagnostics[0]?.message ?? 'we take it'}`);
    }
    // `section:` is not among them: nasm opens a section of that name.
    assert.deepStrictEqual(differ, []);
  });
  it('are told as what they are', () => {
    check('byte: nop', '`byte` is a keyword and cannot be a label; choose another name, or write $byte');
    check('rep: nop', '`rep` is a prefix and cannot be a label; choose another name, or write $rep');
    check('struc eax\nendstruc', '`eax` is a reserved word and cannot name a structure');
    check('mov ax, byte', 'the value or the bracket that `byte` belongs to is missing');
    check('mov ax, 5 + byte', '`byte` is a size, not a value; it goes before the whole operand');
  });
  it('`short` and `near` are for jumps that have both', () => {
    check('x: loop short x', 'loop has one kind of target, a short one; leave out `short`');
    check('x: jcxz near x', 'jcxz has one kind of target, a short one; leave out `near`');
    check('x: jmp short x', 'ebfe');
  });
  it('an %elif of nothing does not hold, an %if of nothing is a mistake', () => {
    check('%if 0\n hlt\n%elif\n hlt\n%else\n nop\n%endif', '90');
    check('%define E\n%if 0\n%elif E\n hlt\n%endif\n nop', '90');
    check('%if\n%endif', 'a value is missing here');
  });
  it('a flat image has neither externals nor symbol types', () => {
    check('global x, y\nextern z\nx: nop\ny: nop', '9090');
    check('global x:function\nx: nop', 'a flat image has no symbol types; write `global x` alone');
    check(
      'extern z\n mov ax, z',
      '`z` is declared extern, but a flat image is not linked and has no externals; define it here, or include its source',
    );
  });
  it('one is told in the singular', () => {
    check('inc ax, 2', 'inc takes 1 operand, not 2');
    check('times 2-($-$$) db 0\ntimes 1-($-$$) db 0', 'times -1 is negative: what comes before is 1 byte too long');
  });
});

describe('asm: -O0, -O1 and -Ox', () => {
  const source = [
    ...['bits 32', 'x: jmp x', 'call x', 'jz x', 'loop x', 'add eax, 1', 'add ecx, 1', 'add ecx, byte 1', 'push 1'],
    ...['push dword 1', 'push 1000', 'imul eax, 3', 'imul eax, ecx, 3', 'mov eax, [ebx+1]', 'mov eax, [0x10]'],
    ...['shl eax, 1', 'mov eax, 1', 'test eax, 1', 'cmp eax, -1', 'jmp y', 'jz y', 'y: nop', 'bits 64', 'mov rax, 1'],
    ...['mov rax, 0x12345678', 'mov rax, -1', 'add rax, 1', 'push 1', 'vaddps xmm1, xmm2, [rax+1]', 'xor rax, 5'],
    ...['mov qword [rax], 1', 'bits 16', 'add ax, 1', 'push 1', 'jz z', 'jmp z', 'jmp short z', 'z:', ''],
  ].join('\n');
  for (const level of ['0', '1', 'x']) {
    it(`-O${level} as nasm`, function () {
      const program = needs(this, 'nasm');
      const folder = mkdtempSync(join(tmpdir(), 'pagewalk-nasm-'));
      try {
        writeFileSync(join(folder, 'a.asm'), source);
        spawnSync(program, [`-O${level}`, '-f', 'bin', '-o', 'a.bin', 'a.asm'], { cwd: folder });
        const ours = assemble(source, { fileName: 'a.asm', optimize: optimizationOf(level) });
        assert.deepStrictEqual(ours.diagnostics, []);
        assert.strictEqual(
          Buffer.from(ours.image).toString('hex'),
          readFileSync(join(folder, 'a.bin')).toString('hex'),
        );
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
