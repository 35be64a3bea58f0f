/**
 * kvm-unit-tests (x86) under shadow paging, both generations: the images that ask most of an MMU, unmodified, from the folder that PAGEWALK_KVM_UNIT_TESTS names. Every line
 * must be PASS, or SKIP for what a guest without EPT is not offered: protection keys, and in 2.6.20 PCIDs.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skipBecause } from '../support/needs';
import { runImage } from './kvm-unit-tests-run';

const FOLDER = process.env['PAGEWALK_KVM_UNIT_TESTS'];
const LONG = process.env['PAGEWALK_LONG'] !== undefined;

interface Image {
  readonly name: string;
  /** Exits by the hundred thousand: minutes. */
  readonly long?: true;
}
const IMAGES: readonly Image[] = [
  { name: 'pcid' },
  { name: 'umip' },
  { name: 'syscall' },
  { name: 'idt_test' },
  { name: 'memory' },
  { name: 'setjmp' },
  { name: 'debug' },
  { name: 'i386-cmpxchg8b' },
  { name: 'i386-umip' },
  { name: 'i386-taskswitch2', long: true },
  { name: 'smap', long: true },
  { name: 'eventinj', long: true },
  { name: 'xsave', long: true },
  { name: 'rmap_chain', long: true },
  { name: 'access_test', long: true },
];
const LIMIT = 400_000_000n;
const LONG_LIMIT = 24_000_000_000n;

for (const shadow of ['classic', 'modern'] as const) {
  describe(`kvm-unit-tests under shadow paging, ${shadow}`, function () {
    this.timeout(14_400_000);
    for (const { name, long } of IMAGES) {
      it(name, function () {
        const path = join(FOLDER ?? '', `${name}.flat`);
        if (FOLDER === undefined || !existsSync(path))
          skipBecause(this, `PAGEWALK_KVM_UNIT_TESTS names no folder with ${name}.flat`);
        if (long && !LONG) skipBecause(this, 'takes minutes: PAGEWALK_LONG=1 runs it');
        const { serial, end } = runImage(name, readFileSync(path), {
          limit: long ? LONG_LIMIT : LIMIT,
          machine: { mmu: 'shadow', shadow, hostBase: 0x4000_0000n },
        });
        const lines = serial.split('\n');
        assert.deepEqual(
          lines.filter((l) => l.startsWith('FAIL')),
          [],
        );
        assert.equal(end?.kind, 'exit-port', `${end?.why ?? 'it does not end'}\n${lines.slice(-5).join('\n')}`);
        // 77: the feature that the whole image is about is not there
        assert.ok(end.code === 1 || end.code === 77, lines.slice(-5).join('\n'));
      });
    }
  });
}
