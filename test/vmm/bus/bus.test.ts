import assert from 'node:assert/strict';
import { memory, ports, type DeviceSpec } from '../../../src/vmm/bus/device';
import { EXIT_PORT } from '../../../src/vmm/devices/exit-port';
import { SERIAL } from '../../../src/vmm/devices/serial16550';
import { DeviceBus } from '../support/device-bus';

/** A device that answers an offset's low byte and notes writes in `seen`. */
const noting = (ranges: DeviceSpec['ranges'], seen: string[], lines: readonly number[] = []): DeviceSpec => ({
  name: `noting ${ranges[0]?.first}`,
  title: '',
  ranges,
  lines,
  make: (host) => ({
    read: (offset) => offset,
    write: (offset, value) => {
      seen.push(`${offset}=${value}`);
      host.setLine(value & 31, value >= 0x80);
    },
    save: () => null,
    restore: () => undefined,
  }),
});
const NAMES = ['read', 'write'] as const;

describe('bus', () => {
  it('reads ones at every size where nobody is; wide accesses reach neighbours', () => {
    const bus = new DeviceBus(SERIAL, EXIT_PORT);
    assert.deepEqual([bus.in(0x80), bus.in(0x80, 2), bus.in(0x80, 4)], [0xff, 0xffff, 0xffff_ffff]);
    assert.equal(bus.in(0x3fd), 0x60);
    bus.outb(0x3f8, 0x41);
    assert.deepEqual(bus.out, [0x41]);
    assert.equal(bus.takeEnd(), undefined);
    bus.outb(0xf2, 0x0903_0000, 4);
    assert.deepEqual([bus.takeEnd()?.code, bus.takeEnd()], [7, undefined]);
    bus.outb(0xf5, 3);
    assert.equal(bus.takeEnd(), undefined);
  });

  it('gives a device its bytes, low address first; ports wrap at 64 Ki, addresses do not', () => {
    const seen: string[] = [];
    const bus = new DeviceBus(
      noting([ports(0, 1, NAMES), ports(0xffff, 0xffff, NAMES)], seen, [1, 2, 3]),
      noting([memory(0x1_0000n, 16, NAMES)], seen, [4, 5]),
    );
    bus.outb(0xffff, 0x03_0201, 3);
    bus.write('gpa', 0x1_000en, 4, 0x0706_0504n);
    assert.deepEqual(seen, ['0=1', '0=2', '1=3', '14=4', '15=5']);
    assert.deepEqual([bus.in(0xffff, 4), bus.read('gpa', 0x1_000en, 8)], [0xff01_0000, 0xffff_ffff_ffff_0f0en]);
  });

  it('holds an interrupt line high while any device does, and lets a device drive only its own', () => {
    const bus = new DeviceBus(noting([ports(0, 0, NAMES)], [], [0, 31]), noting([ports(1, 1, NAMES)], [], [31]));
    bus.outb(0, 0x9f);
    bus.outb(1, 0x9f);
    bus.outb(0, 0x1f);
    assert.equal(bus.lines.levels, 0x8000_0000);
    const state = bus.save();
    bus.outb(1, 0x1f);
    assert.equal(bus.lines.levels, 0);
    bus.restore(state);
    assert.equal(bus.lines.levels, 0x8000_0000);
    assert.throws(() => bus.outb(1, 0x80), /interrupt lines of its row/);
  });

  it('takes no two devices of one name; of two at one address, the first answers', () => {
    assert.throws(() => new DeviceBus(SERIAL, SERIAL), /one device has the name serial/);
    const bus = new DeviceBus(SERIAL, noting([ports(0x3fd, 0x400, NAMES), memory(0x3fdn, 2, NAMES)], []));
    assert.deepEqual([bus.in(0x3fd), bus.in(0x400), bus.read('gpa', 0x3fdn, 2)], [0x60, 3, 0x100n]);
  });
});
