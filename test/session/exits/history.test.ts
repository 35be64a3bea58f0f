/** What the timeline is told, against the machine's own account of the run. */
import * as assert from 'node:assert/strict';
import { LANES } from '../../../src/vmm/exits/lanes';
import { TILE_BINS } from '../../../src/session/exits/tile';
import { fingerprint, open, wait } from '../scene';

const GUEST = `
; @guest start=flat64 memory=16M
bits 64
start:  mov     ecx, 40
        mov     rsi, 0x200000
again:  mov     [rsi], rsi
        add     rsi, 0x1000
        push    rcx
        xor     eax, eax
probe:  cpuid
        pop     rcx
        dec     ecx
        jnz     again
        hlt
`;
const run = (): ReturnType<typeof open> => {
  const s = open(GUEST);
  s.run.continue_();
  wait(s);
  return s;
};
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

describe('the history of exits', () => {
  it('puts the whole run into tiles of any level, and loses no cycle', () => {
    const { exits } = run();
    const { cycles, lanes, count } = exits.summary();
    assert.ok(Math.abs(sum(lanes) - cycles) < 1);
    for (const level of [4, 7, 8, 9, 12, 20]) {
      const tiles = Array.from({ length: Math.ceil(cycles / (TILE_BINS * 2 ** level)) }, (_, i) =>
        exits.tile(level, i),
      );
      LANES.forEach((actor, lane) => {
        const found = sum(tiles.map((t) => sum(t.cycles[lane] ?? [])));
        // a bin is told with two digits
        const slack = 0.005 * TILE_BINS * tiles.length;
        assert.ok(Math.abs(found - (lanes[lane] ?? 0)) <= slack, `${actor} at level ${level}: ${found}`);
      });
      const counted = sum(tiles.flatMap((t) => t.reasons.map((r) => sum(r.counts))));
      assert.ok(Math.abs(counted - count) < 0.01 * tiles.length * TILE_BINS, `exits at level ${level}: ${counted}`);
    }
  });

  it('tells apart what was done where few exits are in sight, without gap or overlap', () => {
    const { exits } = run();
    const { rows } = exits.list(10, 1);
    const [row] = rows;
    assert.ok(row);
    const level = 4;
    const tile = exits.tile(level, Math.floor(row.start / (TILE_BINS * 2 ** level)));
    const own = (tile.segments ?? []).filter((s) => s.exit === row.number);
    assert.ok(own.length > 3);
    own.reduce((at, s) => (assert.equal(s.from, at, s.label), s.to), row.start);
    const detail = exits.exit(row.number);
    assert.deepEqual(
      own.map((s) => s.label),
      detail?.steps?.slice(0, own.length).map((s) => s.fn),
    );
  });

  it('counts by instruction, and filters by instruction and reason', () => {
    const s = run();
    const [first, second] = s.exits.places();
    const cpuid = s.exits.places('CPUID')[0];
    assert.deepEqual([cpuid?.symbol, cpuid?.count, cpuid?.location?.line], ['probe', 40, 10]);
    assert.ok(first && second && first.count >= second.count);
    const { total, rows } = s.exits.list(35, 10, { reason: 'CPUID' });
    assert.equal(total, 40);
    assert.deepEqual(
      rows.map((r) => [r.name, r.symbol]),
      Array.from({ length: 5 }, () => ['CPUID', 'probe']),
    );
    const at = s.exits.list(0, 1000, { address: first.address });
    assert.equal(at.total, first.count);
    assert.ok(at.rows.every((r) => r.address === first.address));
  });

  it('finds the exit at a moment', () => {
    const { exits } = run();
    const { rows } = exits.list(0, 1000);
    for (const row of rows) {
      assert.equal(exits.at(row.start), row.number);
      assert.equal(exits.at(row.start + row.cost - 1), row.number);
      assert.equal(exits.at(row.start - 1), sum(row.before) > 0 ? row.number : row.number - 1);
    }
    assert.equal(exits.at(Number.MAX_SAFE_INTEGER), undefined);
  });

  it('shows an exit in progress with the Steps done so far, and changes nothing by looking', () => {
    const s = open(GUEST);
    s.breakpoints.setFunctions([{ name: 'exit:CPUID' }]);
    s.run.continue_();
    wait(s);
    s.run.stepIn('instruction');
    wait(s);
    s.run.stepIn('instruction');
    wait(s);
    const before = fingerprint(s);
    const number = s.exits.summary().count;
    const detail = s.exits.exit(number);
    assert.deepEqual([detail?.open, detail?.full, detail?.steps?.length, detail?.row.name], [true, true, 2, 'CPUID']);
    s.exits.tile(0, Math.floor((detail?.row.start ?? 0) / TILE_BINS));
    assert.deepEqual(fingerprint(s), before);
  });

  it('decodes exits of SVM by EXITINFO1, not by the layouts of VMX', () => {
    // the codes overlap: DR0_WRITE is 0x30, and so is VMX's EPT_VIOLATION
    const s = open(`${GUEST.replace('cpuid', 'mov dr0, rax')}`, { mmu: 'npt' });
    s.run.continue_();
    wait(s);
    const decoded = (name: string): readonly string[] => {
      const row = s.exits.list(0, 1000).rows.find((each) => each.name === name) ?? assert.fail(`no ${name}`);
      return (s.exits.exit(row.number)?.decoded ?? []).map((d) => d.name);
    };
    assert.deepEqual(decoded('DR0_WRITE'), []);
    assert.ok(decoded('NPF').includes('Guest page-table walk'));
    assert.ok(!decoded('NPF').includes('Guest linear address valid'));
  });
});
