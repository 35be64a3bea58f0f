/**
 * kvm-unit-tests (x86) with mmu=software: the same images, on a CPU that no hypervisor runs. Left out are those that ask for KVM itself
 * (hypercall). See kvm-unit-tests.test.ts for where the images come from.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skipBecause } from '../support/needs';
import { runImage } from './kvm-unit-tests-run';

const FOLDER = process.env['PAGEWALK_KVM_UNIT_TESTS'];
const LONG = process.env['PAGEWALK_LONG'] !== undefined;
const LA57 = 'pagewalk-x64-la57';

const SUITE: readonly { readonly image: string; readonly cpu?: string; readonly long?: true }[] = [
  { image: 'idt_test' },
  { image: 'setjmp' },
  { image: 'syscall' },
  { image: 'umip' },
  { image: 'smap' },
  { image: 'eventinj' },
  { image: 'debug' },
  { image: 'xsave' },
  { image: 'pcid' },
  { image: 'tsc' },
  { image: 'memory' },
  { image: 'rmap_chain', long: true },
  { image: 'pku', cpu: LA57 },
  { image: 'la57', cpu: LA57 },
  { image: 'access_test', long: true },
  { image: 'i386-cmpxchg8b' },
  { image: 'i386-taskswitch' },
  { image: 'i386-taskswitch2' },
  { image: 'i386-umip' },
  { image: 'i386-setjmp' },
];

describe('kvm-unit-tests in software', function () {
  this.timeout(7_200_000);
  for (const { image, cpu, long } of SUITE) {
    it(image, function () {
      const path = join(FOLDER ?? '', `${image}.flat`);
      if (FOLDER === undefined || !existsSync(path))
        skipBecause(this, `PAGEWALK_KVM_UNIT_TESTS names no folder with ${image}.flat`);
      if (long && !LONG) skipBecause(this, 'takes minutes: PAGEWALK_LONG=1 runs it');
      const outcome = runImage(image, readFileSync(path), {
        mmu: 'software',
        limit: long ? 24_000_000_000n : 400_000_000n,
        ...(cpu === undefined ? {} : { cpu }),
      });
      const failed = outcome.serial.split('\n').filter((l) => l.startsWith('FAIL'));
      assert.deepEqual([failed, outcome.end?.kind, outcome.end?.code], [[], 'exit-port', 1]);
      assert.equal(outcome.exits.size, 0);
    });
  }
});
