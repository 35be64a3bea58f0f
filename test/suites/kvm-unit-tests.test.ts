/**
 * kvm-unit-tests (x86) under EPT: unmodified images, built outside the project, in the folder that PAGEWALK_KVM_UNIT_TESTS names. An image for 32-bit mode has `i386-`
 * before its name. Every line that an image prints must be PASS, or SKIP for a feature that the CPU model does not offer; `access_test` runs 1.4 G
 * instructions (more with 5-level paging) and needs PAGEWALK_LONG=1 too.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skipBecause } from '../support/needs';
import { runImage } from './kvm-unit-tests-run';

const FOLDER = process.env['PAGEWALK_KVM_UNIT_TESTS'];
const LONG = process.env['PAGEWALK_LONG'] !== undefined;
const LA57 = 'pagewalk-x64-la57';

interface Expected {
  readonly image: string;
  readonly cpu?: string;
  /** How many tests its SUMMARY counts; rmap_chain and taskswitch print none. */
  readonly tests: number | undefined;
  /** Those among them that are skipped, and why that is right. */
  readonly skipped?: { readonly lines: readonly RegExp[]; readonly because: string };
  readonly long?: true;
}

const NO_FEP = /Force emulation prefix not enabled/;

const SUITE: readonly Expected[] = [
  { image: 'idt_test', tests: 4 },
  { image: 'setjmp', tests: 10 },
  { image: 'syscall', tests: 2, skipped: { lines: [/syscall TF handling/], because: 'asks for an AMD processor' } },
  { image: 'umip', tests: 21 },
  { image: 'smap', tests: 18 },
  { image: 'eventinj', tests: 13 },
  { image: 'debug', tests: 25 },
  { image: 'apic', tests: 47, long: true },
  { image: 'xsave', tests: 299 },
  { image: 'pcid', tests: 2 },
  { image: 'hypercall', tests: 4 },
  { image: 'tsc', tests: 3 },
  { image: 'rmap_chain', tests: undefined },
  { image: 'memory', tests: 7, skipped: { lines: [/[slm]fence|pcommit/], because: 'features by CPUID' } },
  {
    image: 'la57',
    cpu: LA57,
    tests: 56,
    skipped: {
      lines: [/SYSENTER_ESP/, /PEBS/, /Intel PT/, NO_FEP],
      because: 'a known erratum of KVM that the test leaves out itself, and features that are not offered',
    },
  },
  { image: 'pku', cpu: LA57, tests: 7 },
  { image: 'access_test', tests: 1, long: true },
  { image: 'access_test', cpu: LA57, tests: 2, long: true },
  { image: 'i386-cmpxchg8b', tests: 1 },
  { image: 'i386-taskswitch', tests: undefined },
  { image: 'i386-taskswitch2', tests: 13 },
  { image: 'i386-umip', tests: 21 },
  { image: 'i386-setjmp', tests: 10 },
];

const LIMIT = 400_000_000n;
const LONG_LIMIT = 24_000_000_000n;

describe('kvm-unit-tests', function () {
  this.timeout(7_200_000);
  for (const expected of SUITE) {
    it(`${expected.image}${expected.cpu === undefined ? '' : ` on ${expected.cpu}`}`, function () {
      const path = join(FOLDER ?? '', `${expected.image}.flat`);
      if (FOLDER === undefined || !existsSync(path))
        skipBecause(this, `PAGEWALK_KVM_UNIT_TESTS names no folder with ${expected.image}.flat`);
      if (expected.long && !LONG) skipBecause(this, 'takes minutes: PAGEWALK_LONG=1 runs it');
      const outcome = runImage(expected.image, readFileSync(path), {
        limit: expected.long ? LONG_LIMIT : LIMIT,
        ...(expected.cpu === undefined ? {} : { cpu: expected.cpu }),
      });
      const lines = outcome.serial.split('\n');
      assert.deepEqual(
        lines.filter((l) => l.startsWith('FAIL')),
        [],
      );
      for (const line of lines.filter((l) => l.startsWith('SKIP'))) {
        assert.ok(
          expected.skipped?.lines.some((known) => known.test(line)),
          `skipped without a reason: ${line}`,
        );
      }
      assert.equal(
        outcome.end?.kind,
        'exit-port',
        `${outcome.end?.why ?? 'it does not end'}\n${lines.slice(-5).join('\n')}`,
      );
      assert.equal(outcome.end.code, 1, lines.slice(-5).join('\n'));
      const summary = /^SUMMARY: (\d+) tests/m.exec(outcome.serial)?.[1];
      assert.equal(summary === undefined ? undefined : Number(summary), expected.tests);
    });
  }
});
