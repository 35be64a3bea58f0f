/**
 * The machine's own processor as the oracle: random instruction sequences run natively and here, and are compared in registers, flags, memory and faults.
 * PAGEWALK_NATIVE_COUNT and PAGEWALK_NATIVE_SEED run more or other ones.
 */
import * as assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs, skipBecause, whyNoProgram } from '../support/needs';
import {
  floatPattern,
  generateApproximation,
  generateFloat,
  generateTranscendental,
  TRANSCENDENTAL,
} from './native-generate-fp';
import { askMachine, type NativeMachine } from './native-machine';
import { type CodeBits, generate, Random, type Sequence } from './native-generate';
import { buildHarness, difference, Emulated, type Outcome, runNatively, scratchPattern } from './native-oracle';

const COUNT = Number(process.env['PAGEWALK_NATIVE_COUNT'] ?? 20_000);
const SEED = Number(process.env['PAGEWALK_NATIVE_SEED'] ?? 1);
const BATCH = 5_000;

describe('the native processor', function () {
  this.timeout(3_600_000);
  let directory: string | undefined;
  let gcc = '';
  let harness = '';
  let machine: NativeMachine;

  before(function () {
    if (process.arch !== 'x64' || process.platform !== 'linux') skipBecause(this, 'needs Linux on x86-64');
    gcc = needs(this, 'gcc');
    const whyNot = whyNoProgram(gcc);
    if (whyNot !== undefined) skipBecause(this, whyNot);
    directory = mkdtempSync(join(tmpdir(), 'pagewalk-native-'));
    harness = buildHarness(gcc, directory);
    machine = askMachine(harness);
    if (machine.unusable !== undefined) skipBecause(this, machine.unusable);
  });
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  function compare(
    test: Mocha.Context,
    bits: CodeBits,
    pattern: Uint8Array,
    make: (random: Random, bits: CodeBits) => Sequence,
  ): void {
    if (bits === 32 && machine.no32 !== undefined) skipBecause(test, machine.no32);
    const emulated = new Emulated(bits, pattern);
    const random = new Random(SEED);
    const wrong: string[] = [];
    for (let done = 0; done < COUNT && wrong.length < 20; done += BATCH) {
      const made = Array.from({ length: Math.min(BATCH, COUNT - done) }, () => make(random, bits));
      const sequences = made.filter((q) => machine.has(q, bits));
      const natives = runNatively(harness, bits, sequences, pattern);
      sequences.forEach((q, i) => {
        const d = difference(q, natives[i] as Outcome, emulated.run(q));
        if (d !== undefined) wrong.push(`${q.text.join('; ')}: ${d}`);
      });
    }
    assert.deepEqual(wrong, []);
  }

  it('has all that the sequences use', function () {
    if (machine.lacks.length > 0) skipBecause(this, `left out on this machine: ${machine.lacks.join(', ')}`);
  });

  it('recognizes a machine without a 32-bit code segment', () => {
    const without = join(directory ?? '', 'without');
    mkdirSync(without);
    // beyond every descriptor table that Linux sets up
    const asked = askMachine(buildHarness(gcc, without, ['-DUSER32_CS=0xffbb']));
    assert.match(asked.no32 ?? '', /^this kernel gives programs no 32-bit code segment: .*exception 13$/);
    assert.equal(asked.unusable, undefined);
  });

  /** The bits of a value in the order of magnitude, so that neighbours differ by one; the sign is kept apart. */
  const ulps = (a: bigint, b: bigint): bigint => {
    // sign and exponent over 64 bits of significand with its leading one: drop that one
    const order = (v: bigint): bigint => ((v >> 64n) & 0x7fffn) * (1n << 63n) + (v & ((1n << 63n) - 1n));
    return a >> 79n !== b >> 79n && order(a) + order(b) !== 0n
      ? 1n << 80n
      : order(a) > order(b)
        ? order(a) - order(b)
        : order(b) - order(a);
  };

  it('agrees on transcendental instructions to one unit of the last place', () => {
    const pattern = floatPattern();
    const emulated = new Emulated(64, pattern);
    const random = new Random(SEED);
    const wrong: string[] = [];
    for (const name of Object.keys(TRANSCENDENTAL)) {
      const sequences = Array.from({ length: 400 }, () => generateTranscendental(random, name));
      const natives = runNatively(harness, 64, sequences, pattern);
      sequences.forEach((q, i) => {
        const native = (natives[i] as Outcome).vectors;
        const ours = emulated.run(q).vectors;
        const apart = ['st0', 'st1'].map((r) => ulps(native.get(r) ?? 0n, ours.get(r) ?? 0n));
        // C1 is the direction of a rounding that may differ
        const status = ((native.get('fsw') ?? 0n) ^ (ours.get('fsw') ?? 0n)) & ~0x200n;
        if (apart.some((n) => n > 1n) || status !== 0n)
          wrong.push(`${name}: ${apart.join(' and ')} apart, status ${status.toString(16)}`);
      });
    }
    assert.deepEqual(wrong, []);
  });

  it('agrees on reciprocal approximations within their error of 1.5 × 2^−12 each', () => {
    const pattern = floatPattern();
    const emulated = new Emulated(64, pattern);
    const random = new Random(SEED);
    const words = new Int32Array(1);
    const float = new Float32Array(words.buffer);
    const wrong: string[] = [];
    for (const root of [false, true]) {
      const sequences = Array.from({ length: 500 }, () => generateApproximation(random, root));
      const natives = runNatively(harness, 64, sequences, pattern);
      sequences.forEach((q, i) => {
        const lanes = (o: Outcome): number[] =>
          [0n, 32n, 64n, 96n].map((at) => {
            words[0] = Number(BigInt.asIntN(32, (o.vectors.get('xmm0') ?? 0n) >> at));
            return float[0] as number;
          });
        const ours = emulated.run(q);
        const [a, b] = [lanes(natives[i] as Outcome), lanes(ours)];
        a.forEach((x, n) => {
          const y = b[n] as number;
          // where the result would be denormal or nearly so, a processor may answer either way
          if (Math.abs(x) < 2 ** -125 && Math.abs(y) < 2 ** -125) return;
          if (!(Object.is(x, y) || Math.abs(x - y) <= Math.abs(x) * 3 * 2 ** -12))
            wrong.push(`${q.text[0] ?? ''}: ${y}, natively ${x}`);
        });
      });
    }
    assert.deepEqual(wrong, []);
  });

  for (const bits of [64, 32] as const) {
    it(`agrees on ${COUNT} random sequences of ${bits}-bit integer code`, function () {
      compare(this, bits, scratchPattern(), generate);
    });
    it(`agrees on ${COUNT} random sequences of ${bits}-bit x87, SSE and SSE2 code`, function () {
      compare(this, bits, floatPattern(), generateFloat);
    });
  }
});
