/** Warnings and processor levels, each by its line, against an installed nasm. */
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatDiagnostic } from '../../src/base/diagnostic';
import { assemble } from '../../src/asm/index';
import { HAS_NASM } from './native';

const CLASS = /\[-w\+(?:error=)?([\w-]+)\]$/;

/** `line class` of each of nasm's warnings, `line error` of each error that is no warning. */
function nasmSays(source: string, warnings: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-warnings-'));
  try {
    writeFileSync(join(folder, 'a.asm'), source);
    const given = warnings.map((each) => `-w${each}`);
    const { stderr } = spawnSync('nasm', [...given, '-f', 'bin', '-o', 'a.bin', 'a.asm'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const found = stderr.split('\n').flatMap((text) => {
      const [, line, kind, message] = /^a\.asm:(\d+): (warning|error): (.*)$/.exec(text) ?? [];
      return message === undefined ? [] : [`${line} ${CLASS.exec(message)?.[1] ?? kind}`];
    });
    return [...new Set(found)].sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The source gives these warnings, `line class` each, here and with nasm. */
function check(source: string, expected: readonly string[], warnings: readonly string[] = []): void {
  const { diagnostics } = assemble(source, { fileName: 'a.asm', warnings });
  const ours = diagnostics.map((d) => `${d.span?.start.line} ${CLASS.exec(d.message)?.[1] ?? d.severity}`);
  assert.deepStrictEqual([...new Set(ours)].sort(), [...expected].sort(), diagnostics.map(formatDiagnostic).join('\n'));
  if (HAS_NASM) assert.deepStrictEqual(nasmSays(source, warnings), [...expected].sort(), `nasm: ${source}`);
}

describe('asm: warnings', () => {
  it('of data', () => {
    check('db\n dw\n', ['1 db-empty', '2 db-empty']);
    check(
      'db 300\ndw 70000\ndd 0x1ffffffff\ndq 0x1ffffffffffffffff\n',
      [1, 2, 3, 4].map((n) => `${n} number-overflow`),
    );
    check('dd 1e50\ndd 1e-50\ndd 1e-42\ndd 0.0\ndd __?Infinity?__\n', ['1 float-overflow']);
    const digits = '1'.repeat(60);
    check(`dd 1e-50\ndd 1e-42\ndq 1.${digits}\n`, ['1 float-underflow', '2 float-denorm', '3 float-toolong'], ['+all']);
    check('section .data\nresb 4\nsection .bss\nresb 4\nsection .text\ndb ?\nalignb 4\n nop\n', [
      '2 zeroing',
      '6 zeroing',
    ]);
  });
  it('of addresses', () => {
    check('bits 64\nmov eax,[rel 5]\nmov eax,[rel rax]\nx: mov eax,[rel x]\nmov eax,[rel fs:5]\n', [
      '2 ea-absolute',
      '3 other',
      '5 ea-absolute',
    ]);
    check('bits 64\nmov ecx,[byte 5]\nmov ecx,[dword 5]\nbits 16\nmov cx,[byte 5]\nmov cx,[dword 5]\n', [
      '2 ea-dispsize',
      '5 ea-dispsize',
    ]);
    check(
      'mov al,[bx+70000]\nmov ax,[70000]\nbits 32\nmov eax,[0x1ffffffff]\n',
      [1, 2, 4].map((n) => `${n} number-overflow`),
    );
    // nasm goes on to refuse it.
    const { diagnostics } = assemble('mov ax,word ptr [bx]\n', { fileName: 'a.asm' });
    assert.match(diagnostics.map(formatDiagnostic).join(), /^a\.asm:1:13: warning PW124: .*\[-w\+ptr\]$/);
  });
  it('of operands', () => {
    check('mov ax,dword bx\nmov byte ax,5\nmov ax,word bx\npush dword ax\n', ['1 regsize', '2 regsize', '4 regsize']);
    check('mov al,300\nbits 64\nadd rax,0x80000000\nadd rax,-1\nmov qword [rax],0x123456789\n', [
      '1 number-overflow',
      '3 number-overflow',
      '5 number-overflow',
    ]);
    check(
      'int 300\nout 300,al\nret 70000\nshl ax,300\n',
      [1, 2, 3, 4].map((n) => `${n} number-overflow`),
    );
  });
  it('of prefixes', () => {
    check('lock mov [bx],ax\nlock add ax,bx\nlock add [bx],ax\nlock xchg ax,[bx]\nlock xchg [bx],ax\n', [
      '1 prefix-lock',
      '2 prefix-lock',
      '4 prefix-lock',
    ]);
    check(
      'bits 64\nxacquire mov eax,1\nxacquire add [rax],eax\nxacquire lock add [rax],eax\nxrelease mov [rax],eax\nxacquire mov [rax],eax\nxacquire xchg [rax],eax\n',
      ['2 prefix-hle', '3 prefix-hle', '6 prefix-hle'],
    );
    check('bits 64\nmov eax,[ds:rax]\nmov eax,[fs:rax]\ncs nop\nbits 32\nmov eax,[es:eax]\n', [
      '2 prefix-seg',
      '4 prefix-seg',
    ]);
    check('bits 64\nbnd jmp x\nx: bnd ret\nbnd jmp near x\n', ['2 prefix-bnd']);
    check('pop cs\n', ['1 obsolete-removed']);
    check('cpu 8086\npop cs\n', ['2 obsolete-valid']);
  });
  it('of labels and sections', () => {
    check('foo\nbar:\n', ['1 label-orphan']);
    check('section .text exec foo=5\n nop\n', ['1 other']);
    check('section .bss\n db 5\n nop\n', ['2 other', '3 other']);
  });
  it('of the preprocessor', () => {
    check('%if 1\n%else\n%else\n%endif\n%if 0\n%else\n%elif 1\n%endif\n', ['3 pp-else-else', '7 pp-else-elif']);
    check('%define a 1\n%idefine A 2\n', ['2 pp-macro-def-case-single']);
    check('%define f(x) x\n%define f 5\n', ['2 pp-macro-def-param-single']);
    check('%define f(x) x\n%undef f\n%define f 5\n%xdefine f 6\n', []);
    check('%macro m 1-2 5,6,7\n%endmacro\n', ['1 pp-macro-defaults']);
    check('%macro m 1\n%endmacro\n%macro m 2\n%endmacro\n%macro m 1\n%endmacro\n', ['5 pp-macro-redef-multi']);
    check('%macro m 1\n db %1\n%endmacro\n m\n', ['4 label-orphan', '4 pp-macro-params-multi']);
    check('%macro mov 3\n%endmacro\n mov ax,bx\n', ['3 pp-macro-params-multi']);
    check('%rep -1\n nop\n%endrep\n', ['1 pp-rep-negative']);
    check('db %sel(5,1,2)\n', ['1 db-empty', '1 pp-sel-range']);
    check(
      '%undef x y\n%if 1 2\n%else foo\n%endif foo\n%push a b\n%pop a b\n%assign y 5 6\n',
      [1, 2, 3, 4, 5, 6, 7].map((n) => `${n} pp-trailing`),
    );
  });
  it('are set by their class', () => {
    const classes =
      '%warning a\n[warning -user]\n%warning b\n[warning *user]\n%warning c\nfoo\n[warning -label]\nbar\n';
    check(classes, ['1 user', '5 user', '6 label-orphan']);
    check(classes, ['1 user', '5 user'], ['-label-orphan']);
    check(classes, [], ['-all']);
    const pushed = '[warning push]\n[warning -all]\n%warning no\n[warning pop]\n%warning yes\n[warning pop]\n';
    check(pushed, ['5 user', '6 warn-stack-empty']);
    check('[warning +foo]\n nop\n', []);
    check('[warning +foo]\n nop\n', ['1 unknown-warning'], ['+unknown-warning']);
  });
  it('are errors where they shall be', () => {
    const of = (source: string, warnings: readonly string[] = []): string[] =>
      assemble(source, { fileName: 'a.asm', warnings }).diagnostics.map((d) => `${d.severity} ${d.message}`);
    assert.deepStrictEqual(of('%warning x\n', ['error=user']), ['error x [-w+error=user]']);
    assert.deepStrictEqual(of('%warning x\n', ['error']), ['error x [-w+error=user]']);
    assert.deepStrictEqual(of('%warning x\n', ['error', '-error=user']), ['warning x [-w+user]']);
    assert.deepStrictEqual(of('[warning error=user]\n%warning x\n[warning -user]\n%warning y\n'), [
      'error x [-w+error=user]',
    ]);
  });
});

describe('asm: processor levels', () => {
  it('allow what the processor has, and nothing above', () => {
    const lines = 'pusha\nmov eax,1\npush 1\nshl ax,2\nimul ax,bx,3\nmov ax,1\nshl ax,1\nlmsw ax\nbswap eax\n';
    const at = (...numbers: number[]): string[] => numbers.map((n) => `${n + 1} error`);
    check(`cpu 8086\n${lines}`, at(1, 2, 3, 4, 5, 8, 9));
    check(`cpu 186\n${lines}`, at(2, 8, 9));
    check(`cpu 286\n${lines}`, at(2, 9));
    check(`cpu 386\n${lines}`, at(9));
    check(`cpu 486\n${lines}`, []);
    const newer =
      'cmovz eax,ebx\nrdtsc\nmovaps xmm0,xmm1\nmovapd xmm0,xmm1\nvaddps ymm0,ymm1,ymm2\nvmcall\naesenc xmm0,xmm1\n';
    check(`bits 32\ncpu 586\n${newer}`, ['3 error', '5 error', '6 error', '7 error', '9 error']);
    check(`bits 32\ncpu p3\n${newer}`, ['6 error', '7 error', '9 error']);
    check(`bits 64\ncpu x64\n${newer}`, ['7 error', '9 error']);
    check(`bits 64\ncpu all\n${newer}`, []);
  });
  it('allow a mode', () => check('cpu 186\nbits 32\ncpu 386\nbits 64\n', ['2 error', '4 error']));
  it('are named', () => check('cpu foo\ncpu 80386\ncpu p6\ncpu x86-64\ncpu latevex\n', ['1 error', '2 error']));
  it('give the opposite jump over a near one before the 386', () => {
    const { image } = assemble('cpu 8086\njz x\n times 200 nop\nx:\n', { fileName: 'a.asm' });
    assert.strictEqual(Buffer.from(image.subarray(0, 6)).toString('hex'), '7503e9c80090');
    check('cpu 8086\njz near x\n times 200 nop\nx:\n', ['2 error']);
  });
});

describe('asm: what a flat binary has not', () => {
  it('is an error, as with nasm', () => {
    check('x: mov ax, seg x\n', ['1 error']);
    check('mov ax, x wrt y\nx:\ny:\n', ['1 error']);
    check('x: jmp far x\n', ['1 error']);
    check('common z 4\n', ['1 error']);
    check('extern y\n mov ax,y\n', ['2 error']);
    check('[foo bar]\n', ['1 error']);
    check('float foo\n', ['1 error']);
    check('section x align=3\n', ['1 error']);
    check('global x\nextern y\nrequired z\n[list -]\n[debug a]\n[map all]\nx: nop\n', []);
  });
});
