/**
 * Random changes of CR0, CR3, CR4 and EFER, INVLPG, edits of tables and accesses: what an access does follows from the tables as they are, or from a translation that was used since the last
 * thing that must invalidate it. PAGEWALK_MODE_SEQUENCES runs more of them.
 */
import * as assert from 'node:assert/strict';
import type { MachineOptions } from '../../src/vmm/options';
import { METHODS } from './support/methods';
import { ModeSwitcher } from './support/mode-switcher';

const SEQUENCES = Number(process.env['PAGEWALK_MODE_SEQUENCES'] ?? 150);
/** A machine is used for so many of them. */
const OF_ONE_MACHINE = 2_000;

const LA57 = { cpu: 'pagewalk-x64-la57' } as const;
const CASES: Readonly<Record<string, Partial<MachineOptions>>> = {
  ...METHODS,
  'ept, five levels': { ...METHODS.ept, ...LA57 },
  'npt, five levels': { ...METHODS.npt, cpu: 'pagewalk-svm-la57' },
  'shadow:modern, five levels': { ...METHODS['shadow:modern'], ...LA57 },
  'software, five levels': { ...METHODS.software, ...LA57 },
  'ept without VPID': { ...METHODS.ept, vpid: false },
  'ept, walk caches': { ...METHODS.ept, ...LA57, walkCaches: true },
};

describe('random mode switches', function () {
  this.timeout(0);
  for (const [name, options] of Object.entries(CASES))
    it(name, () => {
      let stale = 0;
      for (let from = 0; from < SEQUENCES; from += OF_ONE_MACHINE) {
        const machine = new ModeSwitcher(options);
        for (let seed = from; seed < Math.min(SEQUENCES, from + OF_ONE_MACHINE); seed++) machine.sequence(seed);
        stale += machine.counts.stale;
      }
      // classic shadow paging sees every write to a table
      if (SEQUENCES >= 100) assert.equal(stale > 0, name !== 'shadow:classic', `${stale} accesses use what is stale`);
    });
});
