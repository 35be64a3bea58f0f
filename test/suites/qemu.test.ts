/**
 * The same guests under QEMU's TCG and under `pagewalk run`: the debug console and the exit code are equal. flat32 and flat64 guests start in QEMU
 * through a Multiboot stub that builds the state which the command line's documentation promises.
 */
import assert from 'node:assert/strict';
import { assemble } from '../../src/asm/index';
import { runCli } from '../../src/cli/index';
import { memoryHost } from '../support/memory-host';
import { needs } from '../support/needs';
import { GUESTS } from './qemu/guests';
import { runInQemu } from './qemu/run';

describe('QEMU and pagewalk run agree', function () {
  let qemu: string;
  before(function () {
    qemu = needs(this, 'qemu-system-x86_64');
  });
  for (const guest of GUESTS) {
    it(guest.name, async () => {
      const image = assemble(guest.source, { fileName: 'guest.asm', origin: 0x10_0000n });
      assert.deepEqual(image.diagnostics, []);
      const theirs = runInQemu(qemu, guest.start, image.image, 0x10_0000n);
      const host = memoryHost({ 'guest.asm': guest.source });
      const code = await runCli(['run', 'guest.asm', '--start', guest.start, '--json'], host);
      const ours = JSON.parse(host.out) as { readonly debugcon: string };
      assert.deepEqual({ debugcon: ours.debugcon, code }, theirs);
    });
  }
});
