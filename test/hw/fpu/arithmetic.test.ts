/** The exact arithmetic below x87 and SSE, against JavaScript's own doubles and singles, and rounding in all modes against its definition. */
import * as assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  compare,
  integerRoot,
  operate,
  remainder,
  squareRoot,
  type Operation,
  type Outcome,
} from '../../../src/hw/fpu/arithmetic';
import {
  DOUBLE,
  EXTENDED,
  FP,
  SINGLE,
  bitLength,
  finite,
  packDouble,
  packExtended,
  packSingle,
  unpackDouble,
  unpackExtended,
  unpackSingle,
  type Float,
  type Format,
  type Rounding,
} from '../../../src/hw/fpu/float';
import { DEFAULT_CONTROL, exact, round, type RoundingControl } from '../../../src/hw/fpu/round';

const SEED = { seed: 0x87, numRuns: 5_000 };
const double = new Float64Array(1);
const doubleBits = new BigUint64Array(double.buffer);
const single = new Float32Array(1);
const singleBits = new Int32Array(single.buffer);

function toFloat(x: number): Float {
  double[0] = x;
  return unpackDouble(doubleBits[0] as bigint);
}
function toNumber(f: Float): number {
  doubleBits[0] = packDouble(f);
  return double[0] as number;
}
function value(o: Outcome, format: Format): Float | undefined {
  if (o.kind === 'invalid') return undefined;
  return o.kind === 'value' ? o.value : round(o.value, format, DEFAULT_CONTROL).value;
}
/** Any double but NaN, often near the limits and near each other. */
const anyDouble = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer({ min: -40, max: 40 }).map((n) => 2 ** n),
  fc.integer({ min: -1074, max: -1000 }).map((n) => 3 * 2 ** n),
);

describe('exact floating point', () => {
  const operations: Readonly<Record<Operation, (a: number, b: number) => number>> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
  };
  for (const [op, expected] of Object.entries(operations) as [Operation, (a: number, b: number) => number][]) {
    it(`${op}: doubles and singles equal the host's`, () => {
      fc.assert(
        fc.property(anyDouble, anyDouble, (a, b) => {
          const r = value(operate(op, toFloat(a), toFloat(b), 0), DOUBLE);
          assert.equal(r === undefined ? NaN : toNumber(r), expected(a, b));
          single[0] = a;
          const x = single[0];
          const xf = unpackSingle(singleBits[0] as number);
          single[0] = b;
          const y = single[0];
          const s = value(operate(op, xf, unpackSingle(singleBits[0] as number), 0), SINGLE);
          if (s !== undefined) singleBits[0] = packSingle(s);
          else single[0] = NaN;
          assert.equal(single[0], Math.fround(expected(x, y)));
        }),
        SEED,
      );
    });
  }
  it("square root equals the host's", () => {
    fc.assert(
      fc.property(anyDouble, (a) => {
        const r = value(squareRoot(toFloat(a)), DOUBLE);
        assert.equal(r === undefined ? NaN : toNumber(r), Math.sqrt(a));
      }),
      SEED,
    );
  });
  it("comparison agrees with the host's", () => {
    fc.assert(
      fc.property(anyDouble, anyDouble, (a, b) =>
        assert.equal(compare(toFloat(a), toFloat(b)), a < b ? -1 : a > b ? 1 : 0),
      ),
      SEED,
    );
  });
  it('rounds in every mode to the neighbour that the mode names', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 1n << 120n }),
        fc.integer({ min: -200, max: 60 }),
        fc.boolean(),
        (n, exponent, negative) => {
          const at = (rounding: Rounding): Float =>
            round(exact(negative ? 1 : 0, n, exponent), EXTENDED, { ...DEFAULT_CONTROL, rounding }).value;
          const x = finite(negative ? 1 : 0, n, exponent);
          const [nearest, down, up, zero] = ([0, 1, 2, 3] as const).map(at) as [Float, Float, Float, Float];
          assert.ok(compare(down, x) <= 0 && compare(up, x) >= 0);
          assert.deepEqual(packExtended(zero), packExtended(negative ? up : down));
          assert.ok(
            [packExtended(down), packExtended(up)].some((p) => p.significand === packExtended(nearest).significand),
          );
          assert.equal(
            compare(down, up) === 0,
            compare(x, nearest) === 0,
            'the neighbours are one if the value is representable',
          );
        },
      ),
      SEED,
    );
  });
  it('every extended encoding that is supported survives unpacking and packing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff }),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        (signExponent, significand) => {
          const f = unpackExtended(signExponent, significand);
          if (f.kind === 'unsupported') return;
          const p = packExtended(f);
          // a pseudo-denormal is the normal number of the same value
          const pseudo = (signExponent & 0x7fff) === 0 && significand >> 63n === 1n;
          assert.deepEqual(p, { signExponent: pseudo ? signExponent | 1 : signExponent, significand });
        },
      ),
      SEED,
    );
  });

  const flagsOf = (n: bigint, exponent: number, format: Format, control: Partial<RoundingControl> = {}): number =>
    round(exact(0, n, exponent), format, { ...DEFAULT_CONTROL, ...control }).flags;
  it('overflow, underflow and precision', () => {
    assert.equal(flagsOf(1n, 128, SINGLE), FP.OVERFLOW | FP.PRECISION);
    assert.equal(
      flagsOf(1n, 128, SINGLE, { masked: 0 }),
      FP.OVERFLOW,
      'unmasked: an exact result with its exponent wrapped',
    );
    assert.equal(flagsOf(1n, -149, SINGLE), 0, 'a tiny exact result is no underflow while that is masked');
    assert.equal(flagsOf(1n, -149, SINGLE, { masked: 0 }), FP.UNDERFLOW);
    assert.equal(flagsOf(3n, -150, SINGLE), FP.UNDERFLOW | FP.PRECISION);
    assert.equal(flagsOf(1n, -130, SINGLE, { flushToZero: true }), FP.UNDERFLOW | FP.PRECISION);
    // 2^−126 less a quarter of the last place of a normal number there: rounded with unbounded exponent it is 2^−126, not tiny
    assert.equal(flagsOf((1n << 26n) - 1n, -152, SINGLE), FP.PRECISION);
    assert.equal(flagsOf((1n << 25n) - 1n, -151, SINGLE), FP.PRECISION);
    assert.equal(
      flagsOf((1n << 24n) - 1n, -150, SINGLE),
      FP.UNDERFLOW | FP.PRECISION,
      'tiny: representable with unbounded exponent',
    );
  });
  it('remainders are exact, and partial ones go on to the same end', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }),
        fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }),
        fc.integer({ min: 0, max: 900 }),
        (a, b, shift) => {
          let x = finite(0, a, shift);
          const y = finite(0, b, 0);
          for (let i = 0; ; i++) {
            assert.ok(i < 40, 'ends');
            const r = remainder(x, y, false);
            x = r.value;
            if (r.complete || x.kind === 'zero') break;
          }
          assert.equal(x.kind === 'zero' ? 0n : x.significand << BigInt(x.exponent), (a << BigInt(shift)) % b);
        },
      ),
      { ...SEED, numRuns: 500 },
    );
  });
  it('bit lengths and integer roots', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 1n << 1200n }), (n) => {
        assert.equal(bitLength(n), n.toString(2).length);
        const r = integerRoot(n);
        assert.ok(r * r <= n && (r + 1n) * (r + 1n) > n);
      }),
      { ...SEED, numRuns: 500 },
    );
  });
});
