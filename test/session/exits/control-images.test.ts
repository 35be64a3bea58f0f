/** What a field of VMCS or VMCB was at the exit before: against what a look at that exit found. */
import * as assert from 'node:assert/strict';
import { must } from '../../../src/base/assert';
import type { Session } from '../../../src/session/session';
import type { ViewNode } from '../../../src/session/types';
import { open, wait } from '../scene';

const GUEST = `; @guest start=flat64 memory=16M
bits 64
        mov     ecx, 3
again:  push    rcx
        xor     eax, eax
        cpuid
        mov     rax, [0x200000]
        pop     rcx
        out     0xe9, al
        dec     ecx
        jnz     again
        hlt
`;

/** Name, value and value before of every field. */
function fields(s: Session): readonly (readonly [string, bigint, bigint | undefined])[] {
  const view = (path: string): readonly ViewNode[] => rows(s, path);
  return view('vmcs')
    .filter(({ path }) => !path.endsWith('/checks'))
    .flatMap(({ path }) => view(path).map((n) => [n.name, must(n.raw, n.name), n.before?.raw] as const));
}
function rows(s: Session, path: string): readonly ViewNode[] {
  const page = s.views.page(path);
  assert.ok(page.ok, path);
  return page.value.nodes;
}

describe('a field of the control structure at the exit before', () => {
  for (const mmu of ['ept', 'npt', 'shadow'])
    it(`is what it was there, mmu=${mmu}, whoever looked`, () => {
      const s = open(GUEST, { mmu });
      s.breakpoints.setFilters([{ filter: 'vm-exit' }]);
      let last: ReadonlyMap<string, bigint> | undefined;
      let exits = 0;
      for (;;) {
        s.run.continue_();
        if (wait(s).kind === 'ended' || s.run.stopped?.kind !== 'vm-exit') break;
        const found = fields(s);
        for (const [name, , before] of found) assert.equal(before, last?.get(name), `${name} at exit ${exits}`);
        assert.equal(s.exits.compared?.number, exits === 0 ? undefined : exits);
        last = new Map(found.map(([name, value]) => [name, value]));
        exits++;
      }
      assert.ok(exits >= 6, `${exits} exits`);
    });

  it('is kept by a snapshot', () => {
    const s = open(GUEST);
    s.run.continue_();
    wait(s);
    const { machine } = s;
    const before = fields(s);
    const state = machine.save();
    machine.controlImages.take(machine.cpu, 99);
    machine.controlImages.take(machine.cpu, 100);
    machine.restore(state);
    assert.deepEqual(fields(s), before);
    assert.ok(before.some(([, now, old]) => old !== undefined && old !== now));
  });
});
