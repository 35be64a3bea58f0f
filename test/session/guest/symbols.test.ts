/** Addresses and lines of a program that is made of very many files: each question looks at a few lines, not at all of them. */
import * as assert from 'node:assert/strict';
import type { LineSpan } from '../../../src/session/guest/symbols';
import { SymbolTable } from '../../../src/session/guest/symbols';

const FILES = 20_000;
/** Lines of each, two of them with code; the first has code twice. */
const LINES = [2, 2, 4] as const;

describe('symbols of many files', () => {
  let looks = 0;
  /** A stretch that counts how often its file is asked for. */
  const span = (i: number): LineSpan => ({
    get file() {
      looks++;
      return `f${Math.floor(i / LINES.length)}.c`;
    },
    line: LINES[i % LINES.length] ?? 0,
    address: BigInt(i * 4),
    length: 4,
    code: true,
  });
  const spans = Array.from({ length: FILES * LINES.length }, (_, i) => span(i));
  const labels = Array.from({ length: FILES }, (_, i) => ({ name: `f${i}`, address: BigInt(i * 12) }));
  const table = new SymbolTable(labels, new Map(), spans, BigInt(FILES * 12));

  it('are found as they are in a search of all lines', () => {
    for (const i of [0, 1, 777, FILES - 1]) {
      const file = `f${i}.c`;
      const at = BigInt(i * 12);
      assert.deepEqual(
        [1, 2, 3, 4].map((line) => table.codeAt(file, line)?.address),
        [at, at, at + 8n, at + 8n],
      );
      assert.equal(table.codeAt(file, 5), undefined);
      assert.deepEqual(table.codeLines(file, 1, 9), [2, 4]);
      assert.deepEqual(
        [table.codeLines(file, 3, 4), table.codeLines(file, 3, 3), table.codeLines(file, 4, 3)],
        [[4], [], []],
      );
      assert.equal(table.linesOf(file).length, 3);
      assert.equal(table.firstIn(at, at + 5n), `f${i}`);
      assert.equal(table.firstIn(at + 1n, at + 5n), undefined);
    }
    assert.equal(table.firstIn(0n, 0n), 'f0');
    assert.deepEqual(
      [table.codeAt('none.c', 1), table.codeLines('none.c', 1, 9), table.linesOf('none.c')],
      [undefined, [], []],
    );
    assert.deepEqual([table.files.length, table.files[0], table.files.at(-1)], [FILES, 'f0.c', `f${FILES - 1}.c`]);
  });
  it('take a pass over the lines for all questions together', () => {
    looks = 0;
    const again = new SymbolTable(labels, new Map(), spans, BigInt(FILES * 12));
    for (let i = 0; i < FILES; i++) {
      again.codeAt(`f${i}.c`, 3);
      again.codeLines(`f${i}.c`, 1, 9);
      again.linesOf(`f${i}.c`);
    }
    assert.equal(again.files.length, FILES);
    assert.ok(looks <= 2 * spans.length, `${looks} looks`);
  });
});
