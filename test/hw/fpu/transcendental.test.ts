/** Elementary functions: constants to the last bit, the host's functions as far as doubles go, identities, and the manual's special cases. */
import * as assert from 'node:assert/strict';
import {
  DOUBLE,
  EXTENDED,
  FP,
  infinity,
  ONE,
  packDouble,
  packExtended,
  unpackDouble,
  zero,
  type Float,
} from '../../../src/hw/fpu/float';
import { DEFAULT_CONTROL, nearestExtended, round } from '../../../src/hw/fpu/round';
import * as t from '../../../src/hw/fpu/transcendental';
import { Random } from '../../suites/native-generate';

const double = new Float64Array(1);
const bits = new BigUint64Array(double.buffer);
function toFloat(x: number): Float {
  double[0] = x;
  return unpackDouble(bits[0] as bigint);
}
function toNumber(r: t.Transcendental): number {
  if (r.kind === 'range' || r.kind === 'invalid') return NaN;
  bits[0] = packDouble(r.kind === 'value' ? r.value : round(r.value, DOUBLE, DEFAULT_CONTROL).value);
  return double[0] as number;
}

describe('transcendental functions', () => {
  it('constants, to the last of 64 bits (SDM vol. 2, FLD1)', () => {
    const hex = (name: keyof typeof t.CONSTANTS): string => {
      const { signExponent, significand } = packExtended(nearestExtended(t.CONSTANTS[name]()));
      return `${signExponent.toString(16)}:${significand.toString(16)}`;
    };
    assert.equal(hex('pi'), '4000:c90fdaa22168c235');
    assert.equal(hex('log2of10'), '4000:d49a784bcd1b8afe');
    assert.equal(hex('log2ofE'), '3fff:b8aa3b295c17f0bc');
    assert.equal(hex('log10of2'), '3ffd:9a209a84fbcff799');
    assert.equal(hex('ln2'), '3ffe:b17217f7d1cf79ac');
  });
  it('agree with the host to double precision', () => {
    const r = new Random(0x51);
    const any = (): number => ((r.next() - 0x8000_0000) / 0x8000_0000) * 2 ** (r.below(60) - 40);
    const close = (name: string, got: number, want: number): void =>
      assert.ok(
        Object.is(got, want) || Math.abs(got - want) <= Math.abs(want) * 1e-15 || (got !== got && want !== want),
        `${name}: ${got}, not ${want}`,
      );
    for (let i = 0; i < 500; i++) {
      const a = any();
      const b = any();
      // the π of argument reduction has 66 bits: angles of many turns differ from the host's
      const angle = Math.abs(a) < 4 ? a : a / 2 ** 20;
      close(`sin ${angle}`, toNumber(t.sine(toFloat(angle))), Math.sin(angle));
      close(`cos ${angle}`, toNumber(t.cosine(toFloat(angle))), Math.cos(angle));
      close(`tan ${angle}`, toNumber(t.tangent(toFloat(angle))), Math.tan(angle));
      close(`atan2 ${a} ${b}`, toNumber(t.arctangent(toFloat(a), toFloat(b))), Math.atan2(a, b));
      close(`${b} log2 ${a}`, toNumber(t.logarithm(toFloat(b), toFloat(a))), b * Math.log2(a));
      if (Math.abs(a) < 0.29)
        close(
          `${b} log2(1 + ${a})`,
          toNumber(t.logarithmPlusOne(toFloat(b), toFloat(a))),
          (b * Math.log1p(a)) / Math.LN2,
        );
      if (Math.abs(a) <= 1) close(`2^${a} − 1`, toNumber(t.exponential(toFloat(a))), Math.expm1(a * Math.LN2));
    }
  });
  it('is exact where the answer is', () => {
    for (let n = -1000; n < 1000; n += 37) assert.equal(toNumber(t.logarithm(toFloat(3), toFloat(2 ** n))), 3 * n);
    assert.equal(toNumber(t.exponential(ONE)), 1);
    assert.equal(toNumber(t.exponential(toFloat(-1))), -0.5);
    assert.ok(Object.is(toNumber(t.sine(toFloat(-0))), -0));
    assert.equal(toNumber(t.cosine(zero(0))), 1);
  });
  it('tiny operands keep their precision, and a result just off a value is inexact', () => {
    const tiny: Float = { kind: 'finite', sign: 0, exponent: -16000, significand: 3n, denormal: false };
    for (const f of [t.sine, t.tangent]) {
      const r = f(tiny);
      assert.equal(r.kind, 'exact');
      if (r.kind !== 'exact') return;
      const rounded = round(r.value, EXTENDED, DEFAULT_CONTROL);
      assert.deepEqual(packExtended(rounded.value), packExtended(tiny));
      assert.equal(rounded.flags, FP.PRECISION);
    }
  });
  it('special cases', () => {
    const pi = Math.PI;
    assert.equal(t.sine(toFloat(2 ** 63)).kind, 'range');
    assert.equal(t.tangent(infinity(0)).kind, 'invalid');
    const angles: readonly (readonly [number, number, number])[] = [
      [0, -1, pi],
      [-0, -0, -pi],
      [0, 1, 0],
      [Infinity, -Infinity, (3 * pi) / 4],
      [-Infinity, 5, -pi / 2],
      [1, -Infinity, pi],
      [1, Infinity, 0],
      [1, 0, pi / 2],
    ];
    for (const [y, x, want] of angles)
      assert.equal(toNumber(t.arctangent(toFloat(y), toFloat(x))), want, `atan2(${y}, ${x})`);
    assert.equal(t.logarithm(toFloat(1), toFloat(-1)).kind, 'invalid');
    assert.equal(t.logarithm(zero(0), zero(0)).kind, 'invalid');
    assert.equal(t.logarithm(infinity(0), ONE).kind, 'invalid');
    assert.deepEqual(t.logarithm(toFloat(2), zero(0)), { kind: 'value', value: infinity(1), flags: FP.ZERO_DIVIDE });
    assert.equal(toNumber(t.logarithm(infinity(0), toFloat(0.5))), -Infinity);
  });
});
