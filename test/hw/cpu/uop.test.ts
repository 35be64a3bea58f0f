import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UOP } from '../../../src/hw/cpu/uop';

describe('micro-ops', () => {
  it("the runner's literal case labels are UOP's numbers, each handled once", () => {
    const source = readFileSync(join(__dirname, '../../../src/hw/cpu/runner.ts'), 'utf8');
    const cases = [...source.matchAll(/^ {8}case (\d+):(?: \{)?\s*\/\/ (\w+)$/gm)].map(
      (m) => [m[2], Number(m[1])] as const,
    );
    assert.deepEqual(
      [...cases].sort((a, b) => a[1] - b[1]),
      Object.entries(UOP).sort((a, b) => a[1] - b[1]),
    );
  });
});
