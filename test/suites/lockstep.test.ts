/** Guests in lock-step with QEMU's TCG through its debug stub: after every instruction all general, segment and control registers and the flags are equal. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assemble } from '../../src/asm/index';
import { prepareProgram } from '../../src/session/launch/program';
import { needs, skipBecause } from '../support/needs';
import { lockstep, type LockstepGuest } from './lockstep/lockstep';
import { GUESTS } from './qemu/guests';

const LIMIT = 6000;
/** Examples that QEMU's PC cannot run so, and why. */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['async-page-fault.asm', 'asks KVM for asynchronous page faults, which TCG has not'],
  ['five-level.asm', 'needs a processor with LA57, which neither of the two machines has here'],
  ['memslots.asm', "looks at a hole between slots, where QEMU's PC has RAM"],
  ['read-only-slot.asm', "writes to a read-only slot, where QEMU's PC has RAM"],
  ['slot-and-frame.asm', 'is given another page by its host on the way'],
]);
const EXAMPLES = join(dirname(fileURLToPath(import.meta.url)), '../../examples');

describe('lock-step with QEMU', function () {
  let qemu: string;
  before(function () {
    qemu = needs(this, 'qemu-system-x86_64');
    // the address of a Unix socket has 108 bytes (unix(7))
    if (tmpdir().length > 80)
      skipBecause(this, `the folder for temporary files, ${tmpdir()}, is too deep for a socket`);
  });
  async function check(guest: LockstepGuest): Promise<void> {
    const result = await lockstep(qemu, guest, LIMIT);
    assert.equal(result.kind, 'equal', JSON.stringify(result, null, 1));
    assert.ok(result.instructions > 3, `only ${result.instructions} instructions were compared`);
  }

  for (const guest of GUESTS) {
    it(guest.name, async function () {
      if (guest.undefinedState !== undefined) skipBecause(this, `undefined by the manual: ${guest.undefinedState}`);
      const entry = guest.start === 'boot' ? 0x7c00n : 0x10_0000n;
      const out = assemble(guest.source, { fileName: 'guest.asm', origin: entry });
      assert.deepEqual(out.diagnostics, []);
      await check({ start: guest.start, image: out.image, entry });
    });
  }

  for (const file of readdirSync(EXAMPLES).filter((f) => f.endsWith('.asm'))) {
    it(`examples/${file}`, async function () {
      const why = LEFT_OUT.get(file);
      if (why !== undefined) skipBecause(this, why);
      const prepared = prepareProgram({ file, bytes: readFileSync(join(EXAMPLES, file)), options: new Map() });
      assert.ok(prepared.ok);
      const { start, image, origin, entry, bss, settings } = prepared.value;
      assert.ok((start === 'flat64' || start === 'flat32' || start === 'boot') && entry === origin);
      await check({
        start,
        image,
        entry,
        bss,
        memory: Number(settings.memory >> 20n),
        slots: settings.slots.map(({ gpa, size, readOnly }) => ({ gpa, size, readonly: readOnly })),
      });
    });
  }

  it('says where two machines part', async () => {
    const out = assemble('bits 64\nmov ecx, 0x8b\nrdmsr\nnop\nhlt\n', {
      fileName: 'guest.asm',
      origin: 0x10_0000n,
    });
    const result = await lockstep(qemu, { start: 'flat64', image: out.image, entry: 0x10_0000n }, LIMIT);
    // the update signature of IA32_BIOS_SIGN_ID: QEMU's processor is AMD's, whose patch level has another form
    assert.ok(result.kind === 'differs');
    assert.equal(result.instructions, 2);
    assert.match(result.registers[0] ?? '', /^rax: 0x0 here, 0x\w+ in QEMU$/);
  });
});
