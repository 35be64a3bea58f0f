import assert from 'node:assert';
import { formatDiagnostic } from '../../src/base/diagnostic';
import { assemble } from '../../src/asm/index';
import { HAS_NASM, nasm } from './native';

/** The source assembles to these bytes, here and with nasm. */
function check(source: string, expected: string): void {
  const a = assemble(source, { fileName: 'a.asm' });
  assert.deepStrictEqual(a.diagnostics.filter((d) => d.severity === 'error').map(formatDiagnostic), []);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  assert.strictEqual(hex(a.image), expected.replace(/\s/g, ''), source);
  if (!HAS_NASM) return;
  const theirs = nasm(source);
  assert(theirs.ok, theirs.ok ? '' : theirs.errors);
  assert.strictEqual(hex(theirs.image), hex(a.image), `nasm: ${source}`);
}

describe('asm: preprocessor', () => {
  it('joins, cuts and measures strings', () => {
    check(
      '%strcat s "ab", \'cd\'\n%substr t s 2,2\n%strlen n s\n%defstr d foo bar\n%deftok k "3+4"\n db s, t, n, d, k',
      '61626364 6263 04 666f6f20626172 07',
    );
    check(
      '%substr a "hello" 2\n%substr b "hello" 2,-1\n%substr c "hello" 2,-2\n db a,"|",b,"|",c',
      '65 7c 656c6c6f 7c 656c6c',
    );
  });
  it('keeps contexts apart, and their names local', () => {
    check('%push a\n%define %$x 1\n%push b\n%define %$x 2\n db %$x, %$$x\n%pop\n db %$x\n%pop', '02 01 01');
    check('%macro loop3 0\n%push l\n%$top: dec al\n jnz %$top\n%pop\n%endmacro\n loop3\n loop3', 'fec8 75fc fec8 75fc');
    check('%push a\n%ifctx a\n db 1\n%endif\n%repl b\n%ifctx b\n db 2\n%endif\n%pop', '01 02');
  });
  it('calls macros with ranges, rotation, defaults, greedy parameters and the label before', () => {
    check(
      '%macro m 1-*\n%rep %0\n db %1\n%rotate 1\n%endrep\n db %{1:2}, %{-1:1}\n%endmacro\n m 1,2,3',
      '010203 0102 030201',
    );
    check('%macro m 1-3 7,8\n db %1,%2,%3\n%endmacro\n m 1\n m 1,2', '010708 010208');
    check('%macro m 2+\n db %1\n db %2\n%endmacro\n m 1,2,3', '01 0203');
    check('%macro m 0\n db 9\n%00: db 1\n%endmacro\nx: m\n db x', '09 01 01');
    check('%macro j 2\n j%-1 %%skip\n jmp %2\n%%skip:\n%endmacro\nx: j z, x', '7502 ebfc');
  });
  it('lets a macro stand for an instruction that it uses itself', () => {
    check('%macro push 1-*\n%rep %0\n push %1\n%rotate 1\n%endrep\n%endmacro\n push ax, bx', '50 53');
    check('%macro mov 3\n mov %1,%2\n add %1,%3\n%endmacro\n mov ax,bx,cx\n mov ax,bx', '89d8 01c8 89d8');
    check('%rmacro down 1\n db %1\n%if %1 > 0\n%assign %%n %1-1\n down %%n\n%endif\n%endmacro\n down 2', '02 01 00');
    check('%macro m 1\n db %1\n%if %1 = 1\n%exitmacro\n%endif\n db 0xff\n%endmacro\n m 1\n m 2', '01 02ff');
  });
  it('builds names', () => {
    check('%assign n 2\n%assign foo2 5\n db foo%[n]\n%define cat(a,b) a %+ b\n db cat(fo,o2)', '05 05');
    check(
      '%define sq(=x) x*x\n%define q(&x) x\n%define rest(a,b+) b\n db sq(1+2), q(a b), rest(1,2,3)',
      '09 612062 0203',
    );
    check('%xdefine a 1\n%define b a\n%xdefine c b\n%define a 2\n db b, c', '02 01');
    check('%define real 4\n%defalias other real\n db other\n%define other 5\n db real', '04 05');
  });
  it('has functions', () => {
    check(
      ' db %eval(1+2), %count(a,b,c), %abs(-4), %cond(0,1,2), %sel(2,7,8,9), %strlen("abc"), %num(10,-1,16), %isnum(5), %isidn(a,b)',
      '03 03 04 02 08 03 61 01 00',
    );
    check(' db %strcat("a","b"), %substr("hello",2,3), %str(a b), %tok("1+1")', '6162 656c6c 612062 02');
  });
  it('names arguments and locals on the stack', () => {
    check(
      'bits 32\n%push f\n%stacksize flat\n%assign %$localsize 0\n%arg i:dword, j:word\n%local k:dword\n mov eax,[i]\n mov ax,[j]\n mov [k],eax\n db %$localsize\n%pop',
      '8b4508 668b450c 8945fc 04',
    );
  });
  it('reads packages', () => {
    check('%use altreg\nbits 64\n mov r0, r3\n mov r1l, r2h', '4889d8 88f1');
    check('%use ifunc\n db ilog2(8), ilog2f(9), ilog2c(9)', '03 03 04');
    check('%use fp\n dd float32(1.5)\n dw bfloat16(1.0)', '0000c03f 803f');
    check(
      '%use smartalign\nbits 32\n nop\n align 8\n nop\n alignmode p6, 8\n align 16\n db 1',
      '90 8db42600000000 90 0f1f8000000000 01',
    );
  });
  it('knows local labels in its expressions', () => {
    check('a: nop\n.x: nop\n%assign d .x-a\n db d', '90 90 01');
  });
  it('knows where it is', () => {
    check('\n db __LINE__, __?LINE?__, __FILE__, __BITS__\nbits 64\n db __?BITS?__', '02 02 612e61736d 10 40');
    check('section .data\n db 1\n[section .text]\n db 2\n__?SECT?__\n db 3', '02000000 01 03');
  });
  it('tells which line of a macro bytes come from', () => {
    const a = assemble('%macro two 0\n nop\n ret\n%endmacro\n two\n nop', { fileName: 'a.asm' });
    assert.deepStrictEqual(
      a.lines.map((l) => [l.line, l.definition?.line]),
      [
        [5, 2],
        [5, 3],
        [6, undefined],
      ],
    );
  });
  it('follows %line', () => {
    const a = assemble(' nop\n%line 10+1 other.c\n nop\n nop', { fileName: 'a.asm' });
    assert.deepStrictEqual(
      a.lines.map((l) => [l.file, l.line]),
      [
        ['a.asm', 1],
        ['other.c', 10],
        ['other.c', 11],
      ],
    );
  });
});
