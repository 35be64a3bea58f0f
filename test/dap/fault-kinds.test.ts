/**
 * Under shadow paging every #PF exits, and a person stops at the kind that they want: hidden, dirty, tracing, mmio, or the guest's own. How many there are of each is counted by hand in
 * test/cli/compare.test.ts.
 */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { Session } from '../../src/session/session';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}.asm`, import.meta.url), 'utf8');

/** What the guest stops at with one exception filter on: so many times, and then it ends. */
async function stops(
  n: number,
  source: string,
  shadow: string,
  filterId: string,
  condition?: string,
): Promise<readonly string[]> {
  const d = new Scene(memoryHost({ [FILE]: source }, Session.create));
  await d.launch({ program: FILE, stopOnEntry: true, mmu: 'shadow', shadow });
  await d.toStop('configurationDone');
  const { breakpoints } = await d.ask<{ breakpoints: readonly Dap.Breakpoint[] }>('setExceptionBreakpoints', {
    filters: [],
    filterOptions: [{ filterId, ...(condition === undefined ? {} : { condition }) }],
  });
  assert.equal(breakpoints[0]?.verified, true);
  const seen: string[] = [];
  while (seen.length < n) seen.push((await d.toStop('continue')).description ?? '');
  await d.ask('continue', { threadId: 1 });
  await d.ends();
  return seen;
}
const kindsOf = (descriptions: readonly string[]): Record<string, number> => {
  const count: Record<string, number> = {};
  for (const text of descriptions) {
    const kind = /^VM exit EXCEPTION_NMI, #PF \((\w+)\), GVA 0x[0-9a-f]+$/.exec(text)?.[1] ?? text;
    count[kind] = (count[kind] ?? 0) + 1;
  }
  return count;
};

describe('kinds of #PF under shadow paging', function () {
  for (const shadow of ['classic', 'modern']) {
    it(`${shadow}: a condition names the kind`, async () => {
      const source = example('five-movs');
      for (const [kind, n] of [
        ['hidden', 5],
        ['dirty', 1],
        ['tracing', 1],
        ['mmio', 1],
      ] as const)
        assert.deepEqual(kindsOf(await stops(n, source, shadow, 'vm-exit', kind)), { [kind]: n });
      await stops(0, source, shadow, 'vm-exit', 'guest_fault');
    });

    it(`${shadow}: what the guest never sees, and its own`, async () => {
      const source = example('rw-to-ro');
      const tracing = shadow === 'classic' ? 2 : 1;
      const unseen = kindsOf(await stops(13 + tracing, source, shadow, 'ept-violation'));
      assert.deepEqual(unseen, { hidden: 12, dirty: 1, tracing });
      assert.deepEqual(await stops(1, source, shadow, 'vm-exit', 'guest_fault'), [
        "VM exit EXCEPTION_NMI, #PF of the guest's own, GVA 0x200000",
      ]);
      assert.match((await stops(1, source, shadow, 'guest-pf'))[0] ?? '', /#PF/);
    });
  }
});
