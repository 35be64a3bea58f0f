import assert from 'node:assert';
import fc from 'fast-check';
import { characterConstant, parseNumber, stringBytes, utf8 } from '../../src/expr/numbers';

describe('expr: numbers and strings', () => {
  it('refuses what is no number', () => {
    for (const text of [
      '',
      'x',
      '1g',
      '0x',
      '0b2',
      '9o',
      '12b',
      '0xg',
      '$',
      '$x',
      'fh',
      '1.5',
      '0o8',
      '-1',
      '1'.repeat(2000),
    ])
      assert.strictEqual(parseNumber(text), undefined, text);
  });
  it('reads every number in every notation', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (n) => {
        for (const text of [
          n.toString(),
          `0x${n.toString(16)}`,
          `0${n.toString(16)}h`,
          `${n.toString(8)}q`,
          `0o${n.toString(8)}`,
          `${n.toString(2)}b`,
          `0b${n.toString(2)}`,
          `0d${n}`,
        ]) {
          assert.strictEqual(parseNumber(text), n, text);
        }
      }),
      { seed: 3, numRuns: 300 },
    );
  });
  it('reads strings as bytes', () => {
    assert.deepStrictEqual(stringBytes("'a\\n'"), [97, 92, 110]);
    assert.deepStrictEqual(stringBytes('`a\\n\\x41\\101\\u263a\\``'), [97, 10, 65, 65, 0xe2, 0x98, 0xba, 96]);
    assert.strictEqual(characterConstant(stringBytes("'ab'")), 0x6261n);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (s) =>
        assert.deepStrictEqual(utf8(s), [...new TextEncoder().encode(s)]),
      ),
      { seed: 4 },
    );
  });
});
