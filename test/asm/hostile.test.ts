/** Sources that cost more than they look: each is bounded by counting, and the rest is settled in few steps of work. */
import assert from 'node:assert';
import { assemble } from '../../src/asm/index';

const lines = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');
const build = (source: string) => assemble(`bits 64\n${source}\n`, { fileName: 'a.asm' });

/** The first error begins so, and nothing is put out that would be taken for a program. */
function refused(source: string, expected: RegExp): void {
  const a = build(source);
  assert.equal(a.ok, false);
  assert.match(a.diagnostics.find((d) => d.severity === 'error')?.message ?? '', expected);
  assert.ok(a.lines.length < 100_000);
}

describe('asm: hostile sources', function () {
  this.timeout(240_000);

  it('settles jumps over jumps that grow one another, pass after pass', () => {
    const n = 5000;
    const a = build(lines(n, (i) => `l${i}: jmp l${(i + 40) % n}`));
    assert.deepEqual(a.diagnostics, []);
    const at = new Map(a.symbols.map((s) => [s.name, Number(s.value)]));
    const view = new DataView(a.image.buffer, a.image.byteOffset, a.image.length);
    let near = 0;
    for (let i = 0; i < n; i++) {
      const from = at.get(`l${i}`) ?? 0;
      const to = at.get(`l${(i + 40) % n}`) ?? 0;
      const isNear = view.getUint8(from) === 0xe9;
      near += isNear ? 1 : 0;
      const [end, distance] = isNear ? [from + 5, view.getInt32(from + 1, true)] : [from + 2, view.getInt8(from + 1)];
      assert.equal(end + distance, to, `l${i}`);
      // no longer than needed: the short form would not reach
      if (isNear) assert.ok(to - (from + 2) < -128 || to - (from + 2) > 127 - 3, `l${i} is near for nothing`);
    }
    assert.ok(near > 0 && near <= n);
  });

  it('gives up expansions that double', () => {
    const multi = lines(39, (i) => `%macro m${i + 1} 0\n m${i}\n m${i}\n%endmacro`);
    refused(`%macro m0 0\n nop\n nop\n%endmacro\n${multi}\n m39`, /expands to more than|preprocessor read more than/);
    const single = lines(39, (i) => `%define a${i + 1} a${i} + a${i}`);
    refused(`%define a0 1\n${single}\n dq a39`, /expand to more than|too many operators/);
    refused('%rep 1000000\n%rep 1000\n nop\n%endrep\n%endrep', /expands to more than|preprocessor read more than/);
    refused(`%define s "ab"\n%rep 60\n%strcat s s,s\n%endrep\n db s`, /./);
  });
});
