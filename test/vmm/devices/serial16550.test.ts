import assert from 'node:assert/strict';
import { SERIAL } from '../../../src/vmm/devices/serial16550';
import { DeviceBus } from '../support/device-bus';

describe('serial port', () => {
  it('has a divisor latch, a scratch register and loop-back', () => {
    const s = new DeviceBus(SERIAL);
    s.outb(0x3fb, 0x80);
    s.outb(0x3f8, 1);
    s.outb(0x3f9, 2);
    assert.deepEqual([s.in(0x3f8), s.in(0x3f9)], [1, 2]);
    s.outb(0x3fb, 3);
    s.outb(0x3ff, 0xa5);
    s.outb(0x3fc, 0x1e);
    s.outb(0x3f8, 0x42);
    assert.deepEqual([s.in(0x3ff), s.in(0x3fd) & 1, s.in(0x3f8), s.in(0x3fd) & 1, s.out.length], [0xa5, 1, 0x42, 0, 0]);
  });
});
