/** The device to copy, alone on a bus and in a machine under every method. */
import assert from 'node:assert/strict';
import { SKELETON } from '../../../src/vmm/devices/skeleton';
import { USUAL_DEVICES } from '../../../src/vmm/devices/table';
import { METHODS } from '../../kvm/support/methods';
import { DeviceBus } from '../support/device-bus';
import { Guest, LAST_LEVEL } from '../support/guest';

const MEMORY = 0xfe00_0000n;

describe('skeleton device', () => {
  it('has a byte at port 0x5a0 and puts out what is written to the next', () => {
    const bus = new DeviceBus(SKELETON);
    bus.outb(0x5a0, 0x4112, 2);
    assert.deepEqual([bus.in(0x5a0), bus.in(0x5a1), bus.out], [0x12, 0xff, [0x41]]);
  });

  it('has a register in memory, and an interrupt line that is high while it is not 0', () => {
    const bus = new DeviceBus(SKELETON);
    bus.write('gpa', MEMORY + 6n, 2, 0x1234n);
    assert.deepEqual([bus.read('gpa', MEMORY, 8), bus.lines.levels], [0x1234n << 48n, 1 << 5]);
    bus.write('gpa', MEMORY, 8, 0n);
    assert.deepEqual([bus.read('gpa', MEMORY, 8), bus.lines.levels], [0n, 0]);
  });

  it('is saved and restored, with its interrupt line', () => {
    const bus = new DeviceBus(SKELETON);
    bus.outb(0x5a0, 7);
    bus.write('gpa', MEMORY, 1, 9n);
    const saved = bus.save();
    bus.outb(0x5a0, 0);
    bus.write('gpa', MEMORY, 1, 0n);
    bus.restore(saved);
    assert.deepEqual([bus.in(0x5a0), bus.read('gpa', MEMORY, 1), bus.lines.levels], [7, 9n, 1 << 5]);
  });

  for (const [method, options] of Object.entries(METHODS))
    it(`answers a guest, ${method}`, () => {
      // the register at GVA 0x101000, by an entry of the prepared map
      const source = `
        ${LAST_LEVEL}
        mov eax, 0xfe000003
        mov [rbx + 0x101 * 8], rax
        invlpg [0x101000]
        mov rax, 0x1122334455667788
        mov [0x101000], rax
        mov r8d, [0x101002]
        mov dx, 0x5a0
        mov al, 0x33
        out dx, al
        in al, dx
        movzx r9d, al
        hlt`;
      const guest = new Guest(source, 'flat64', { ...options, devices: [...USUAL_DEVICES, SKELETON] });
      const gprs = guest.halt();
      assert.deepEqual([gprs[8], gprs[9]], [0x3344_5566n, 0x33n]);
      assert.deepEqual(
        guest.steps.filter((s) => s.fn.startsWith('skeleton')).map((s) => `${s.fn}: ${s.what}`),
        [
          'skeleton_mem_write: a write of 0x1122334455667788 to GPA 0xfe000000, in skeleton-memory',
          'skeleton_latch: the whole register was written',
          'skeleton_mem_read: a read of GPA 0xfe000002, in skeleton-memory, answers 0x33445566',
          'skeleton_ioport_write: a write of 0x33 to skeleton, port 0x5a0',
          'skeleton_ioport_read: a read of skeleton, port 0x5a0, answers 0x33',
        ],
      );
      assert.equal(guest.machine.bus.lines.levels, 1 << 5);
      assert.deepEqual(guest.machine.bus.unanswered.all, []);
    });
});
