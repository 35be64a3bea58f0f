import assert from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatDiagnostic } from '../../src/base/diagnostic';
import { assemble } from '../../src/asm/index';
import { needsNasm, nasmSlots, slotHex, slotted } from './native';

const BITS = [16, 32, 64] as const;
const corpus = (bits: number): string[] =>
  readFileSync(join(__dirname, 'corpus', `${bits}.txt`), 'utf8')
    .trimEnd()
    .split('\n');

function ours(bits: number, instructions: readonly string[]): string[] {
  const a = assemble(slotted(bits, instructions), { fileName: `corpus${bits}.asm` });
  assert(a.ok, a.diagnostics.map(formatDiagnostic).join('\n'));
  return instructions.map((_, i) => slotHex(a.image, i));
}

describe('asm: single instructions', () => {
  for (const bits of BITS) {
    it(`keeps the bytes of the ${bits}-bit corpus`, () => {
      const instructions = corpus(bits);
      const text =
        ours(bits, instructions)
          .map((hex, i) => `${hex.padEnd(30)} ${instructions[i]}`)
          .join('\n') + '\n';
      const golden = join(__dirname, '..', 'golden', 'asm', `corpus${bits}.txt`);
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
      assert.strictEqual(text, readFileSync(golden, 'utf8'));
    });

    it(`equals nasm on every instruction of the ${bits}-bit corpus`, function () {
      needsNasm(this);
      const instructions = corpus(bits);
      const mine = ours(bits, instructions);
      const theirs = nasmSlots(bits, instructions);
      const differ = instructions.flatMap((text, i) =>
        mine[i] === theirs[i] ? [] : [`${text}: nasm ${theirs[i] ?? 'rejects'}, ours ${mine[i]}`],
      );
      assert.deepStrictEqual(differ, []);
    });
  }
});
