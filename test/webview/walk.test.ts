/** The two drawings' numbers: how an address splits, and the order of the loads of a two-dimensional walk. */
import * as assert from 'node:assert/strict';
import type { Translation, WalkStage, WalkStep } from '../../src/protocol/translation';
import { gridRows } from '../../src/webview/panels/translation/grid-rows';
import { splitAddress } from '../../src/webview/panels/translation/split';

const step = (level: number, nested: readonly WalkStep[] = [], index = 0): WalkStep => ({
  level,
  name: ['PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'][level - 1] ?? '',
  index,
  entryAddress: '0x0',
  space: 'gpa',
  entry: '0x0',
  flags: [],
  nested,
});
const levels = (top: number, bottom = 1): number[] => Array.from({ length: top - bottom + 1 }, (_, i) => top - i);
const ept = (bottom = 1): WalkStep[] => levels(4, bottom).map((level) => step(level));

function translation(guest: readonly WalkStep[], page: readonly WalkStep[]): Translation {
  const stage = (name: 'guest' | 'ept', steps: readonly WalkStep[]): WalkStage => ({
    stage: name,
    who: 'cpu',
    mode: 'non-root',
    from: name === 'guest' ? 'gva' : 'gpa',
    to: name === 'guest' ? 'gpa' : 'hpa',
    steps,
  });
  const rights = { r: true, w: true, x: true, user: true };
  return {
    ok: true,
    rights,
    references: 0,
    tlb: { hit: false, stale: null },
    stages: [stage('guest', guest), stage('ept', page)],
  };
}

describe('the grid of the two-dimensional walk', () => {
  /** The loads' numbers row by row, `.` where there is none. */
  function check(guest: readonly WalkStep[], page: readonly WalkStep[], expected: readonly string[]): void {
    const { rows } = gridRows(translation(guest, page));
    assert.deepEqual(
      rows.map(({ name, cells }) => `${name}: ${cells.map((cell) => cell?.order ?? '.').join(' ')}`),
      expected,
    );
  }

  it('numbers 24 loads for four levels by four', () =>
    check(
      levels(4).map((level) => step(level, ept())),
      ept(),
      ['PML4E: 1 2 3 4 5', 'PDPTE: 6 7 8 9 10', 'PDE: 11 12 13 14 15', 'PTE: 16 17 18 19 20', 'page: 21 22 23 24 .'],
    ));

  it('names the cache that spares a load: the PDE cache all but the PTE and the walk of the page', () => {
    const whole = translation(
      levels(4).map((level) => step(level, ept())),
      ept(),
    );
    const left = (tlb: Partial<Translation['tlb']>): (number | string)[] => {
      const { rows } = gridRows({ ...whole, tlb: { ...whole.tlb, ...tlb } });
      const cells = rows.flatMap((row) => row.cells).filter((cell) => cell !== undefined);
      const names = new Set(cells.flatMap(({ served }) => served ?? []));
      return [...names, ...cells.filter(({ served }) => served === undefined).map(({ order }) => order)];
    };
    assert.deepEqual(left({ walkStart: 1 }), ['PDE cache', 20, 21, 22, 23, 24]);
    assert.deepEqual(left({ walkStart: 2 }), ['PDPTE cache', 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
    assert.deepEqual(left({ walkStart: 1, hit: true }), ['TLB']);
  });

  it('leaves out what large pages spare', () =>
    check(
      levels(4, 2).map((level) => step(level, ept(2))),
      ept(2),
      ['PML4E: 1 2 3 . 4', 'PDPTE: 5 6 7 . 8', 'PDE: 9 10 11 . 12', 'page: 13 14 15 . .'],
    ));

  it('is not drawn where no second level takes part', () =>
    check(
      levels(4).map((level) => step(level)),
      [],
      [],
    ));
});

describe('the split of an address', () => {
  function check(input: string, steps: readonly WalkStep[], expected: string, failed = false): void {
    const fields = splitAddress({ input, steps, ...(failed ? {} : { output: '0x0' }) });
    assert.equal(fields.map(({ high, low, value }) => `${high}:${low}=0x${value.toString(16)}`).join(' '), expected);
  }
  const walk = (top: number, bottom: number, indices: readonly number[]): WalkStep[] =>
    levels(top, bottom).map((level, i) => step(level, [], indices[i] ?? 0));

  it('has four indices and twelve bits in 4-level paging', () =>
    check(
      '0x7f8a3b2a0100',
      walk(4, 1, [255, 40, 473, 160]),
      '47:39=0xff 38:30=0x28 29:21=0x1d9 20:12=0xa0 11:0=0x100',
    ));
  it('gives a 2 MiB page a 21-bit offset', () =>
    check('0x2abcde', walk(4, 2, [0, 0, 1]), '47:39=0x0 38:30=0x0 29:21=0x1 20:0=0xabcde'));
  it('keeps all indices of a walk that failed half way', () =>
    check('0x7f8a3b2a0100', walk(4, 3, []), '47:39=0xff 38:30=0x28 29:21=0x1d9 20:12=0xa0 11:0=0x100', true));
  it('has ten and ten bits in 32-bit paging', () =>
    check('0x804c123', walk(2, 1, [32, 76]), '31:22=0x20 21:12=0x4c 11:0=0x123'));
  it('has two bits at the top of PAE', () =>
    check('0xc0000000', walk(3, 1, [3, 0, 0]), '31:30=0x3 29:21=0x0 20:12=0x0 11:0=0x0'));
  it('has five indices in 5-level paging', () =>
    check('0x0', walk(5, 1, []), '56:48=0x0 47:39=0x0 38:30=0x0 29:21=0x0 20:12=0x0 11:0=0x0'));
});
