import assert from 'node:assert';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatDiagnostic } from '../../src/base/diagnostic';
import type { Assembled } from '../../src/asm/index';
import { assemble, formatListing } from '../../src/asm/index';
import { needsNasm, nasm } from './native';

const folder = join(__dirname, 'programs');
const programs = readdirSync(folder)
  .filter((f) => f.endsWith('.asm'))
  .sort();

function build(name: string): { source: string; assembled: Assembled } {
  const source = readFileSync(join(folder, name), 'utf8');
  const assembled = assemble(source, { fileName: name });
  assert(assembled.ok, assembled.diagnostics.map(formatDiagnostic).join('\n'));
  return { source, assembled };
}

describe('asm: whole programs', () => {
  for (const name of programs) {
    it(`keeps the listing of ${name}`, () => {
      const { source, assembled } = build(name);
      const golden = join(__dirname, '..', 'golden', 'asm', `${name}.lst`);
      const listing = formatListing(assembled, source, name);
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, listing);
      assert.strictEqual(listing, readFileSync(golden, 'utf8'));
    });

    it(`equals nasm on ${name}`, function () {
      needsNasm(this);
      const { source, assembled } = build(name);
      const native = nasm(source);
      assert(native.ok, native.ok ? '' : native.errors);
      assert.strictEqual(Buffer.from(assembled.image).toString('hex'), Buffer.from(native.image).toString('hex'));
    });
  }
});
