import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Step } from '../../src/trace/step';
import { kvmStep, step } from '../../src/trace/step';
import type { ExitInfo } from '../../src/kvm/exit-info';
import { BIN_COUNT, BIN_REASONS } from '../../src/vmm/exits/bins';
import { ByInstruction } from '../../src/vmm/exits/by-instruction';
import { ExitLog } from '../../src/vmm/exits/exit-log';
import { EXITS_WITH_STEPS } from '../../src/vmm/exits/kept-steps';
import { LANES } from '../../src/vmm/exits/lanes';
import { RECORDS_KEPT } from '../../src/vmm/exits/records';
import { Guest } from './support/guest';

const info = (reason: number, linear: bigint): ExitInfo => ({
  reason,
  name: `R${reason}`,
  qualification: 0n,
  gpa: undefined,
  gva: undefined,
  rip: linear,
  linear,
  instructionLength: 1,
  interruptionInfo: 0,
  of: 'vmcs',
  cause: { kind: 'other' },
});
const STEPS: readonly Step[] = [
  step('cpu', 'root', 'VM exit', '', 700),
  kvmStep('vmx_handle_exit', '', 150),
  step('cpu', 'non-root', 'VMRESUME', '', 700),
];

/** A log after `exits` exits, `apart` guest cycles from each other, at `places` instructions for `reasons` reasons in turn. */
function filled(exits: number, apart = 1000, places = 7, reasons = 3): ExitLog {
  const log = new ExitLog();
  for (let i = 0; i < exits; i++) {
    const guest = (i + 1) * apart;
    log.begin(info(i % reasons, 0xffff_ffff_8000_0000n + BigInt(i % places)), 0, {
      instructions: guest,
      guest,
      walks: 10 * i,
    });
    for (const s of STEPS) log.step(s);
    log.finish();
  }
  return log;
}
const end = (exits: number, apart = 1000): Parameters<ExitLog['now']>[0] => ({
  instructions: exits * apart,
  guest: exits * apart,
  walks: 10 * Math.max(0, exits - 1),
});
const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);
const near = (actual: number, expected: number, what: string): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-6 * Math.max(1, expected), `${what}: ${actual}, expected ${expected}`);

describe('the exit log', () => {
  it('says for each exit what it was, when, and what it cost whom', () => {
    const g = new Guest('mov rax, [0x200000]\n cpuid\n hlt');
    g.halt();
    const { exits } = g.machine;
    const records = exits.recent(100);
    assert.equal(records.length, exits.count);
    const touched = records.find((r) => r.gpa === 0x20_0000n);
    assert.ok(touched);
    assert.deepEqual([touched.name, touched.gva, touched.linear], ['EPT_VIOLATION', 0x20_0000n, 0x10_0000n]);
    for (const r of records) {
      const steps = exits.stepsOf(r.number) ?? [];
      LANES.forEach((actor, lane) => {
        const own = steps.filter((s) => s.actor === actor);
        assert.equal(own.length, r.steps[lane], `${r.number} ${actor}`);
        assert.equal(sum(own.map((s) => s.cycles)), r.cycles[lane], `${r.number} ${actor}`);
      });
      assert.deepEqual(
        exits.namedStepsOf(r),
        steps.map(({ actor, mode, fn, cycles }) => ({ actor, mode, fn, cycles })),
      );
      const next = records[r.number + 1];
      if (next) near(next.start, r.end + sum(next.before), 'exits and what lies between are the run');
    }
  });

  it('accounts for every cycle of the machine, in lanes and in bins', () => {
    const g = new Guest('mov r12, 30\nagain: mov [0x170000 + r12 * 8], r12\n cpuid\n dec r12\n jnz again\n hlt');
    g.halt();
    const { exits, moment, cycles } = g.machine;
    near(sum(exits.totals(moment)), cycles, 'lanes');
    const { bins } = exits;
    LANES.forEach((actor, lane) => {
      const binned = sum(Array.from({ length: BIN_COUNT }, (_, b) => bins.cyclesOf(b, lane)));
      near(binned + (exits.open(moment).cycles[lane] ?? 0), exits.totals(moment)[lane] ?? 0, actor);
    });
  });

  it('stays of one size however long the run is, and still accounts for all of it', () => {
    const count = RECORDS_KEPT + 10_000;
    const log = filled(count);
    assert.ok(log.records.first > 0 && log.count - log.records.first >= RECORDS_KEPT, 'the oldest records are dropped');
    assert.equal(log.record(log.records.first - 1), undefined);
    assert.equal(log.record(count - 1)?.number, count - 1);
    assert.equal(log.stepsOf(count - EXITS_WITH_STEPS - 1), undefined);
    assert.equal(log.stepsOf(count - 1)?.length, STEPS.length);
    const oldest = log.record(count - EXITS_WITH_STEPS - 1);
    assert.equal(oldest && log.namedStepsOf(oldest)?.[1]?.fn, 'vmx_handle_exit', 'steps outlive their sentences');
    let counted = 0;
    for (let b = 0; b < BIN_COUNT; b++) for (let p = 0; p < BIN_REASONS; p++) counted += log.bins.countOf(b, p);
    assert.equal(counted, count);
    assert.ok(log.now(end(count)) > (log.bins.width * BIN_COUNT) / 2, 'more than half of the bins are in use');
    near(sum(log.totals(end(count))), log.now(end(count)), 'lanes');
    assert.equal(sum(log.reasonCounts.map((r) => r.count)), count);
    assert.equal(sum([...log.instructionCounts].map((i) => i.count)), count);
  });

  it('finds the exit at a cycle', () => {
    const log = filled(10_000);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: -1, max: 1 }), (number, off) => {
        const start = number < 10_000 ? log.records.startOf(number) : log.now(end(10_000)) + 1;
        assert.equal(log.records.from(start + off), off > 0 ? Math.min(number + 1, 10_000) : number);
      }),
      { seed: 5 },
    );
  });

  it('goes back to a snapshot, which later exits leave as it was', () => {
    const log = filled(5000);
    const saved = log.save();
    const seen = (l: ExitLog): unknown => [
      l.count,
      l.recent(20),
      [...l.instructionCounts],
      l.reasonCounts,
      l.stepsOf(4999),
    ];
    const before = seen(log);
    const more = (l: ExitLog): void => {
      l.begin(info(9, 1n), 0, end(5001));
      for (const s of STEPS) l.step(s);
      l.finish();
    };
    more(log);
    const after = seen(log);
    log.restore(saved);
    assert.deepEqual(seen(log), before);
    more(log);
    assert.deepEqual(seen(log), after);
    const other = new ExitLog();
    other.restore(saved);
    assert.deepEqual(seen(other), before);
  });

  it('counts instructions apart up to a bound, whatever their addresses', () => {
    const table = new ByInstruction();
    const wanted = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.nat(75),
        fc.integer({ min: 1, max: 3 }),
        (a, r, n) => {
          for (let i = 0; i < n; i++) table.add(a, r);
          wanted.set(`${a} ${r}`, (wanted.get(`${a} ${r}`) ?? 0) + n);
        },
      ),
      { seed: 11, numRuns: 2000 },
    );
    assert.deepEqual(new Map([...table].map((i) => [`${i.linear} ${i.reason}`, i.count])), wanted);
    assert.equal(table.dropped, 0);
  });
});
