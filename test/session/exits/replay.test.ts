/** Steps that are kept no more, from a second run: they are those that were told in the first. */
import * as assert from 'node:assert/strict';
import type { Step } from '../../../src/trace/step';
import { ExitReplay } from '../../../src/session/exits/replay';
import type { Session } from '../../../src/session/session';
import { open, wait } from '../scene';

const GUEST = `; @guest start=flat64 memory=16M
bits 64
        mov     r12d, 200
        mov     rdi, 0x200000
again:  mov     [rdi], rdi
        add     rdi, 0x1000
        xor     eax, eax
        cpuid
        mov     al, '.'
        out     0xe9, al
        dec     r12d
        jnz     again
done:   hlt
`;

/** Runs to `done`; the Steps of each exit as they were told. */
function run(s: Session): ReadonlyMap<number, readonly Step[]> {
  const told: Step[] = [];
  const byExit = new Map<number, readonly Step[]>();
  s.machine.onStep = (step) => told.push(step);
  s.exits.onExit(({ number }, named) => byExit.set(number, told.slice(told.length - named.length)));
  s.breakpoints.setFunctions([{ name: 'done' }]);
  s.run.continue_();
  wait(s);
  return byExit;
}

function replayed(replay: ExitReplay, s: Session, number: number): readonly unknown[] | undefined {
  const recorded = s.exits.exit(number);
  assert.ok(recorded, `exit ${number} is recorded`);
  while (!replay.run(number, 20_000));
  return replay.exit(recorded.row)?.steps;
}

describe('the replay of an exit', () => {
  for (const mmu of ['ept', 'npt', 'shadow'])
    it(`does the same again, Step by Step, mmu=${mmu}`, () => {
      const s = open(GUEST, { mmu });
      const told = run(s);
      const count = s.exits.summary().count;
      assert.ok(count > 400 && s.exits.exit(7)?.full === false, 'the first are kept no more');
      const start = (): ExitReplay => {
        const made = ExitReplay.of(s.program);
        assert.ok(made.ok);
        return made.value;
      };
      const replay = start();
      for (const number of [7, 8, 300, 301, 290, count])
        assert.deepEqual(replayed(replay, s, number), told.get(number), `exit ${number}`);
      assert.equal(replay.reaches(7), false, 'too far back: another has to begin');
      assert.deepEqual(replayed(start(), s, 1), told.get(1));
      assert.equal(s.exits.summary().count, count, 'the session stands where it stood');
    });

  it('says nothing where something was changed by hand', () => {
    const s = open(GUEST);
    s.breakpoints.setFunctions([{ name: 'again' }]);
    s.run.continue_();
    wait(s);
    assert.ok(s.console.assign('r12', '180').ok);
    assert.ok(s.console.assign('rdi', '0x500000').ok);
    run(s);
    const made = ExitReplay.of(s.program);
    assert.ok(made.ok);
    const touched = s.exits.list(0, 100).rows.find(({ gpa = 0n }) => gpa >= 0x500000n && gpa < 0x600000n);
    assert.ok(touched);
    assert.equal(replayed(made.value, s, touched.number), undefined);
  });
});
