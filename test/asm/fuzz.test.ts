import assert from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { assemble, disassemble, formatListing } from '../../src/asm/index';

/** Sources tried in all; the bench machine runs 100000 of them with PAGEWALK_FUZZ=100000. */
const RUNS = Number(process.env['PAGEWALK_FUZZ'] ?? 1500);

const folder = join(__dirname, 'programs');
const sources = readdirSync(folder)
  .filter((f) => f.endsWith('.asm'))
  .sort()
  .map((f) => readFileSync(join(folder, f), 'utf8'));

/** Every result holds what its type promises, whatever the source. */
function checkAny(source: string): void {
  const a = assemble(source, {
    fileName: 'f.asm',
    maxImage: 1 << 20,
    readFile: () => new TextEncoder().encode(source.slice(0, 200)),
  });
  assert.strictEqual(a.ok, !a.diagnostics.some((d) => d.severity === 'error'));
  const lines = source.split('\n').length;
  for (const d of a.diagnostics) {
    assert.match(d.code, /^PW1[0-9]{2}$/);
    assert(d.message.length > 0);
    if (d.span && d.span.file === 'f.asm')
      assert(
        d.span.start.line >= 1 && d.span.start.line <= lines,
        `${d.message} at line ${d.span.start.line} of ${lines}`,
      );
  }
  for (let i = 1; i < a.lines.length; i++) assert((a.lines[i - 1]?.address ?? 0n) <= (a.lines[i]?.address ?? 0n));
  formatListing(a, source, 'f.asm');
}

describe('asm: any source', () => {
  it('survives lines taken out, doubled, swapped and cut', function () {
    this.timeout(RUNS * 100);
    const edit = fc.record({
      kind: fc.constantFrom('delete', 'double', 'swap', 'cut', 'join', 'insert'),
      at: fc.nat(),
      with: fc.nat(),
      text: fc.constantFrom(
        '%if',
        '%macro m 1',
        '%endif',
        '%rep 3',
        '(',
        '[',
        '"',
        '`',
        'times 9999',
        '$$',
        '%1',
        '%%x',
        ',',
        ':',
        'equ',
        'x:',
        'struc s',
        'section .z',
        'org 5',
        'default rel',
        '\\',
        '{k1}',
        '::',
        '0x',
        '%define f(a) f(a,a)',
        '%push c',
        '%pop',
        '%define %$x %$x %$$x',
        '%[%[x]',
        '%{1:-1}',
        '%rmacro r 0-*',
        'r 1,2',
        '%exitmacro',
        '%strcat s "a","b"',
        '%substr s "abc" 2,-1',
        '%eval(1,%eval(2))',
        '%num(5,-3,70)',
        '%use smartalign',
        '%arg a:word, b:dword',
        '%line 7+2 x.y',
        '%defalias a b',
        '%defalias b a',
        '%+ %+',
        '%rotate -1',
        '%00:',
        '%assign i i+1',
        '%ifctx c',
        '%deftok t "%"',
        '%include "f.asm"',
        '%rep 99999',
        '%endrep',
        '%clear',
        '0x1.8p3',
        '__?float32?__(1e9)',
      ),
    });
    fc.assert(
      fc.property(fc.constantFrom(...sources), fc.array(edit, { minLength: 1, maxLength: 6 }), (source, edits) => {
        const lines = source.split('\n');
        for (const e of edits) {
          const i = e.at % lines.length;
          const line = lines[i] ?? '';
          if (e.kind === 'delete') lines.splice(i, 1);
          else if (e.kind === 'double') lines.splice(i, 0, line);
          else if (e.kind === 'swap') lines[i] = lines.splice(e.with % lines.length, 1, line)[0] ?? '';
          else if (e.kind === 'cut') lines[i] = line.slice(0, e.with % (line.length + 1));
          else if (e.kind === 'join') lines[i] = line + (lines[e.with % lines.length] ?? '');
          else lines[i] = line.slice(0, e.with % (line.length + 1)) + e.text + line.slice(e.with % (line.length + 1));
          if (lines.length === 0) lines.push('');
        }
        checkAny(lines.join('\n'));
      }),
      { seed: 11, numRuns: Math.ceil(RUNS / 3) },
    );
  });

  it('survives words in any order', function () {
    this.timeout(RUNS * 100);
    const word = fc.constantFrom(
      'mov',
      'eax',
      'rax',
      '[',
      ']',
      ',',
      '+',
      '*',
      '-',
      '0x10',
      '5',
      'label',
      'label:',
      '.x',
      'dw',
      'times',
      'equ',
      '$',
      '$$',
      '"s"',
      "'",
      'byte',
      'strict',
      'far',
      'rel',
      ':',
      'es',
      'rep',
      'lock',
      'o16',
      'bits',
      '64',
      'section',
      '.bss',
      'align',
      '%',
      '%define',
      '%if',
      '%endif',
      '(',
      ')',
      '?',
      '{',
      '}',
      '\n',
      '\n',
      ';',
      '\\',
      'resb',
      'jmp',
      'xmm1',
      '<<',
      'dup',
      '1.5',
      '\u{1f600}',
      '\0',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => checkAny(words.join(' '))),
      { seed: 12, numRuns: Math.ceil((RUNS * 2) / 3) },
    );
  });

  it('disassembles any bytes, every byte once', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom(16 as const, 32 as const, 64 as const),
        (bytes, bits) => {
          const d = disassemble(bytes, 0x1000n, bits, 100);
          assert.strictEqual(
            d.reduce((n, i) => n + i.length, 0),
            bytes.length,
          );
        },
      ),
      { seed: 13, numRuns: 300 },
    );
  });
});
