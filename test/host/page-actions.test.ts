/** What a page's menu may offer, against what the events then say. */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Hva, hva } from '../../src/base/address';
import { AddressSpace } from '../../src/host/address-space';
import { HostKernel } from '../../src/host/kernel';
import type { PageAction } from '../../src/host/page-actions';
import { drain } from '../../src/trace/step';
import { HostMemory } from '../../src/hw/memory/host-memory';

const BASE = 0x7f5a_0000_0000n;
const MIB = 1n << 20n;
const BACKINGS = ['4k', 'thp', '2m'] as const;
const ACTIONS: readonly PageAction[] = ['swap-out', 'migrate', 'merge', 'collapse', 'split', 'balloon', 'deflate'];

/** 4 MiB of each backing, one behind the other. */
function process(): AddressSpace {
  const made = AddressSpace.create(new HostKernel(new HostMemory(0x1_0000_0000n, 24 << 20)));
  assert.ok(made.ok);
  BACKINGS.forEach((backing, i) => {
    const at = hva(BASE + BigInt(i) * 4n * MIB);
    assert.ok(made.value.mmap(4n * MIB, { at, backing, name: backing }).ok);
  });
  return made.value;
}

function carryOut(s: AddressSpace, action: PageAction, at: Hva): boolean {
  const page = hva(at & ~0xfffn);
  const end = hva(page + 4096n);
  switch (action) {
    case 'swap-out':
      return drain(s.swapOut(at)).ok;
    case 'migrate':
      return drain(s.migrate(at)).ok;
    case 'merge':
      // with the page next to it, which may be of other content or not there
      return drain(s.merge(at, hva(page ^ 0x1000n))).ok;
    case 'collapse':
      return drain(s.collapse(at)).ok;
    case 'split':
      return drain(s.splitHuge(at)).ok;
    case 'balloon':
      return drain(s.discard(page, end)).ok;
    case 'deflate':
      return drain(s.willNeed(page, end)).ok;
  }
}

describe('the actions that a page offers', () => {
  it('are those that are not refused', () => {
    const offset = fc.bigInt(0n, 12n * 1024n - 1n).map((page) => page * 1024n);
    const near = fc.tuple(fc.nat(2), fc.bigInt(0n, 3n)).map(([area, page]) => BigInt(area) * 4n * MIB + page * 4096n);
    const event = fc.tuple(
      fc.oneof({ arbitrary: near, weight: 9 }, offset),
      fc.constantFrom('touch', 'touch', 'touch', ...ACTIONS),
    );
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 60 }), (events) => {
        const s = process();
        for (const [o, action] of events) {
          const at = hva(BASE + o);
          if (action === 'touch') {
            assert.ok(drain(s.resolve(at, true)).ok);
            continue;
          }
          const offered = s.pageActions(at).includes(action);
          const done = carryOut(s, action, at);
          seen.add(`${action} ${offered}`);
          // The other page may be missing or of other content, and pages merged with others keep khugepaged away from all of their 2 MiB.
          const mayFail = action === 'merge' || action === 'collapse';
          // The balloon takes and gives nothing where there is nothing to take or to give, which is not refused.
          const mayDoNothing = action === 'balloon' || action === 'deflate';
          const what = `${action} at ${at.toString(16)}`;
          if (!done && !mayFail) assert.equal(offered, false, what);
          if (done && !mayDoNothing) assert.equal(offered, true, what);
        }
      }),
      { seed: 11, numRuns: 50 },
    );
    for (const action of ACTIONS) assert.ok(seen.has(`${action} true`) && seen.has(`${action} false`), action);
  });

  it('are none outside every mapping', () => assert.deepEqual(process().pageActions(hva(0x1000n)), []));
});
