import assert from 'node:assert';
import fc from 'fast-check';
import { formatDiagnostic } from '../../src/base/diagnostic';
import type { Env, ExprValue, MemoryRequest } from '../../src/expr/index';
import {
  evaluate,
  findOperandAt,
  formatLog,
  holds,
  locate,
  parseCondition,
  parseDirective,
  parseExpression,
} from '../../src/expr/index';

const NAMES: Readonly<Record<string, ExprValue>> = {
  rax: 5n,
  rbx: 0x1000n,
  bp: 0xfff8n,
  si: 0x10n,
  CF: true,
  ZF: false,
  gpa: 0x5008n,
  write: true,
  reason: 48n,
  EPT_VIOLATION: 48n,
  slot: 1n,
  count: 7n,
  msg: 0x7c40n,
};
const env: Env = {
  lookup: (name) => NAMES[name],
  readMemory: (r: MemoryRequest) => (r.offset === 0xdeadn ? undefined : r.offset + BigInt(r.size)),
};

function check(text: string, expected: ExprValue): void {
  const parsed = parseExpression(text);
  assert(parsed.ok, `${text}: ${parsed.ok ? '' : parsed.error.map(formatDiagnostic).join()}`);
  const v = evaluate(parsed.value, env);
  assert(v.ok, `${text}: ${v.ok ? '' : v.error.message}`);
  assert.strictEqual(v.value, expected, text);
}

function checkError(text: string, expected: string): void {
  const parsed = parseExpression(text);
  const problem = parsed.ok ? evaluate(parsed.value, env) : parsed;
  assert(!problem.ok, `${text} has no error`);
  const first = Array.isArray(problem.error) ? problem.error[0] : problem.error;
  assert(first);
  const at = first.span?.start;
  assert.strictEqual(`${at?.line}:${at?.column} ${first.code}`, expected, `${text}: ${first.message}`);
}

describe('expr: values', () => {
  it('reads numbers as NASM and C write them', () => {
    for (const n of ['0x1f', '1fh', '31', '0b11111', '11111b', '37o', '0o37', '0d31', '$1f', '0h1f', '3_1'])
      check(n, 31n);
  });
  it('has C precedence, with words', () => {
    check('1 + 2 * 3', 7n);
    check('(1 + 2) * 3', 9n);
    check('1 | 2 == 2', 1n);
    check('rax == 5 && reason == EPT_VIOLATION', true);
    check('rax == 5 and not reason == EPT_VIOLATION or ZF', false);
    check('!ZF && CF', true);
    check('not rax == 6', true);
    check('1 << 4 >> 2', 4n);
    check('-1', 0xffff_ffff_ffff_ffffn);
    check('~0 == -1', true);
    check('7 / 2 * 2 + 7 % 2', 7n);
    check('write && gpa >= 0x5000 && gpa < 0x6000', true);
  });
  it('loads memory operands', () => {
    check('qword [rbx+8]', 0x1010n);
    check('[rbx]', 0x1008n);
    check('byte [rbx+rax*4]', 0x15n);
    check('word ptr [msg]', 0x7c42n);
    check('[rel msg]', 0x7c48n);
    check('dword [hpa:0x2000] + 1', 0x2005n);
    check('gpa:0x5000', 0x5000n);
  });
  it('knows segment, space and wrap of an address', () => {
    const at = (text: string): MemoryRequest => {
      const p = parseExpression(text);
      assert(p.ok && p.value.kind === 'memory');
      const r = locate(p.value, env);
      assert(r.ok);
      return r.value;
    };
    assert.deepStrictEqual(at('byte [es:rbx+4]'), {
      space: 'gva',
      segment: 'es',
      segmentWritten: true,
      offset: 0x1004n,
      size: 1,
    });
    assert.deepStrictEqual(at('word [bp+si]'), {
      space: 'gva',
      segment: 'ss',
      segmentWritten: false,
      offset: 0x8n,
      size: 2,
    });
    assert.deepStrictEqual(at('[gpa:rbx]'), {
      space: 'gpa',
      segment: 'ds',
      segmentWritten: false,
      offset: 0x1000n,
      size: 8,
    });
    assert.deepStrictEqual(at('es:[rbx]').segment, 'es');
  });
  it('locates its errors', () => {
    checkError('rax +', '1:6 PW150');
    checkError('rax + nosuch', '1:7 PW151');
    checkError('rax / (5 - rax)', '1:8 PW152');
    checkError('qword [0xdead]', '1:1 PW153');
    checkError('f(1)', '1:1 PW154');
    checkError('(1', '1:3 PW150');
    checkError('1 2', '1:3 PW150');
    checkError('"text"', '1:1 PW150');
    checkError('rax = "x', '1:7 PW150');
    checkError('0xzz', '1:1 PW150');
    checkError('('.repeat(500) + '1', '1:51 PW155');
  });
});

describe('expr: conditions', () => {
  it('has a log clause', () => {
    const c = parseCondition('write && gpa >= 0x5000, log "w {gpa} slot {slot, d} {{}} {slot, b}"');
    assert(c.ok && c.value.log);
    assert.deepStrictEqual(holds(c.value, env), { ok: true, value: true });
    assert.strictEqual(formatLog(c.value.log, env), 'w 0x5008 slot 1 {} 0b1');
  });
  it('may be empty or only a log', () => {
    const empty = parseCondition('  ');
    assert(empty.ok);
    assert.deepStrictEqual(holds(empty.value, env), { ok: true, value: true });
    const only = parseCondition('log "{nosuch}"');
    assert(only.ok && only.value.log);
    assert.match(formatLog(only.value.log, env), /^<`nosuch` is not a register/);
  });
  it('says what is wrong in it', () => {
    const c = parseCondition('write, print "x"');
    assert(!c.ok);
    assert.strictEqual(c.error[0]?.span?.start.column, 8);
    const d = parseCondition('write, log "x {gpa"', 'f.asm', { line: 3, column: 10 });
    assert(!d.ok);
    assert.deepStrictEqual(d.error[0]?.span?.start, { line: 3, column: 24 });
  });
});

describe('expr: comment directives', () => {
  const directive = (verb: string, text: string) =>
    parseDirective({
      verb,
      text,
      textStart: { line: 4, column: 10 },
      span: { file: 'a.asm', start: { line: 4, column: 3 }, end: { line: 4, column: 10 + text.length } },
    });
  it('reads guest pairs', () => {
    const d = directive('guest', 'memory=512M start=flat64 slot="0x0+1M,ro"');
    assert(d.ok && d.value.kind === 'guest');
    assert.deepStrictEqual(
      d.value.pairs.map((p) => [p.key.text, p.value.text, p.key.span.start.column, p.value.span.start.column]),
      [
        ['memory', '512M', 10, 17],
        ['start', 'flat64', 22, 28],
        ['slot', '0x0+1M,ro', 35, 40],
      ],
    );
    const bad = directive('guest', 'memory = 5');
    assert(!bad.ok);
    assert.strictEqual(bad.error.length, 3);
  });
  it('reads host, break and assert', () => {
    const h = directive('host', 'place 0x7f5a00000000 0x1a2b3000');
    assert(h.ok && h.value.kind === 'host');
    assert.deepStrictEqual(
      [h.value.verb.text, h.value.args.map((a) => a.text)],
      ['place', ['0x7f5a00000000', '0x1a2b3000']],
    );
    const b = directive('break', 'exit EPT_VIOLATION if write && gpa >= 0x5000');
    assert(b.ok && b.value.kind === 'break');
    assert.deepStrictEqual([b.value.what?.text, b.value.args.map((a) => a.text)], ['exit', ['EPT_VIOLATION']]);
    assert.strictEqual(b.value.condition, ' write && gpa >= 0x5000');
    const line = directive('break', 'if rax == 5');
    assert(line.ok && line.value.kind === 'break' && line.value.what === undefined);
    const wrong = directive('break', 'exit if gpa >=');
    assert(!wrong.ok);
    assert.strictEqual(wrong.error[0]?.span?.start.column, 10 + 'exit if gpa >='.length);
    const a = directive('assert', 'rax == 5');
    assert(a.ok && a.value.kind === 'assert' && !a.value.atEnd);
    const end = directive('assert', 'walk(rax).gpa == 5 at end');
    assert(end.ok && end.value.kind === 'assert' && end.value.atEnd);
    const log = directive('log', '"rax is {rax} at end"');
    assert(log.ok && log.value.kind === 'log' && !log.value.atEnd && log.value.message.parts.length === 3);
    assert(!directive('nosuch', '').ok);
  });
});

describe('expr: the operand under the cursor', () => {
  const at = (marked: string): string | undefined => {
    const column = marked.indexOf('^') + 1;
    return findOperandAt(marked.replace('^', ''), column)?.text;
  };
  it('finds memory operands as one expression', () => {
    assert.strictEqual(at('  mov rax, qword [rb^x+8] ; x'), 'qword [rbx+8]');
    assert.strictEqual(at('  mov rax, qw^ord [rbx+8]'), 'qword [rbx+8]');
    assert.strictEqual(at('  mov byte [es:di^+4], al'), 'byte [es:di+4]');
    assert.strictEqual(at('  mov [rel msg^], al'), '[rel msg]');
  });
  it('finds registers, labels and numbers', () => {
    assert.strictEqual(at('  mov ra^x, [rbx]'), 'rax');
    assert.strictEqual(at('  call .lo^op'), '.loop');
    assert.strictEqual(at('start^: mov cr3, eax'), 'start');
    assert.strictEqual(at('start: mov cr^3, eax'), 'cr3');
    assert.strictEqual(at('  mov eax, 0x10^00'), '0x1000');
    assert.strictEqual(at('size^ equ 4'), 'size');
  });
  it('finds nothing elsewhere', () => {
    assert.strictEqual(at('  m^ov rax, rbx'), undefined);
    assert.strictEqual(at('  rep mov^sb'), undefined);
    assert.strictEqual(at('  mov rax, 1 ; rb^x'), undefined);
    assert.strictEqual(at('  db "ra^x"'), undefined);
    assert.strictEqual(at('[bits 1^6]'), undefined);
    assert.strictEqual(at('  jmp sho^rt x'), undefined);
  });
});

describe('expr: any text', () => {
  it('never throws and never hangs', () => {
    const piece = fc.constantFrom(
      'rax',
      '[',
      ']',
      '(',
      ')',
      '+',
      '-',
      '*',
      '/',
      '%',
      '&&',
      '||',
      '!',
      '~',
      'not',
      'log',
      '"',
      "'",
      '{',
      '}',
      ',',
      ':',
      'gpa',
      'es',
      'qword',
      '0x1',
      '1h',
      '\\',
      '\n',
      ' ',
      '<<',
      '==',
      '@',
      '\u{1f600}',
      '$',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (parts) => {
        const text = parts.join('');
        const e = parseExpression(text);
        if (e.ok) evaluate(e.value, env);
        const c = parseCondition(text);
        if (c.ok && c.value.log) formatLog(c.value.log, env);
        findOperandAt(text, 1 + (text.length >> 1));
      }),
      { seed: 7, numRuns: 3000 },
    );
  });
});
