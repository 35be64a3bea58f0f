/**
 * The machine's own processor as the oracle: random instruction sequences run natively and here, and are compared in registers, flags, memory and faults.
 * PAGEWALK_NATIVE_COUNT and PAGEWALK_NATIVE_SEED run more or other ones.
 */
import * as assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needs, skipBecause } from '../support/needs';
import { floatPattern, generateFloat } from './native-generate-fp';
import { type CodeBits, generate, Random, type Sequence } from './native-generate';
import { buildHarness, difference, Emulated, type Outcome, runNatively, scratchPattern } from './native-oracle';

const COUNT = Number(process.env['PAGEWALK_NATIVE_COUNT'] ?? 20_000);
const SEED = Number(process.env['PAGEWALK_NATIVE_SEED'] ?? 1);
const BATCH = 5_000;

describe('the native processor', function () {
  this.timeout(3_600_000);
  let directory: string | undefined;
  let harness = '';

  before(function () {
    if (process.arch !== 'x64' || process.platform !== 'linux') skipBecause(this, 'needs Linux on x86-64');
    const gcc = needs(this, 'gcc');
    directory = mkdtempSync(join(tmpdir(), 'pagewalk-native-'));
    harness = buildHarness(gcc, directory);
  });
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  function compare(bits: CodeBits, pattern: Uint8Array, make: (random: Random, bits: CodeBits) => Sequence): void {
    const emulated = new Emulated(bits, pattern);
    const random = new Random(SEED);
    const wrong: string[] = [];
    for (let done = 0; done < COUNT && wrong.length < 20; done += BATCH) {
      const sequences = Array.from({ length: Math.min(BATCH, COUNT - done) }, () => make(random, bits));
      const natives = runNatively(harness, bits, sequences, pattern);
      sequences.forEach((q, i) => {
        const d = difference(q, natives[i] as Outcome, emulated.run(q));
        if (d !== undefined) wrong.push(`${q.text.join('; ')}: ${d}`);
      });
    }
    assert.deepEqual(wrong, []);
  }

  for (const bits of [64, 32] as const) {
    it(`agrees on ${COUNT} random sequences of ${bits}-bit integer code`, () => compare(bits, scratchPattern(), generate));
    it(`agrees on ${COUNT} random sequences of ${bits}-bit x87, SSE and SSE2 code`, () => compare(bits, floatPattern(), generateFloat));
  }
});
