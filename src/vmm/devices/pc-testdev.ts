import type { Work } from '../../host/step';
import type { MemoryDevice, PortDevice } from './device';

/** Where QEMU puts it (hw/misc/pc-testdev.c). */
const DATA = 0xe0;
const FLUSH = 0xe4;
const BYTES = 0xe8;
const LINES = 0x2000;
const LINE_COUNT = 24;
export const TESTDEV_MEMORY = { gpa: 0xff00_0000n, size: 0x1_0000 } as const;

/**
 * The ports of QEMU's pc-testdev, with which kvm-unit-tests try KVM's instruction emulator:
 *
 *   0xe0–0xe3 a register of 32 bits   0xe4 a page's GPA, to be flushed   0xe8–0xeb the register again, a byte at a time
 */
export class TestdevPorts implements PortDevice {
  readonly name = 'pc-testdev';
  readonly first = DATA;
  readonly last = BYTES + 3;
  private data = 0;

  /** `flush`: takes away what was derived from the VMM's mapping of the page at a GPA. */
  constructor(private readonly flush: (gpa: bigint) => Work<void>) {}

  read(port: number): number {
    return isFlush(port) ? 0xff : (this.data >>> (8 * (port & 3))) & 0xff;
  }
  write(port: number, value: number): void {
    if (isFlush(port)) return;
    const shift = 8 * (port & 3);
    this.data = ((this.data & ~(0xff << shift)) | ((value & 0xff) << shift)) >>> 0;
  }
  act(port: number, size: number, value: number): Work<void> | undefined {
    return port === FLUSH && size === 4 ? this.flush(BigInt(value >>> 0) & ~0xfffn) : undefined;
  }
  save(): number {
    return this.data;
  }
  restore(state: unknown): void {
    this.data = state as number;
  }
}
const isFlush = (port: number): boolean => port >= FLUSH && port < BYTES;

/** Ports 0x2000–0x2017: a write raises or lowers an ISA interrupt line. No interrupt controller is there to take them, so that the levels are kept and lead nowhere. */
export class TestdevIrqLines implements PortDevice {
  readonly name = 'pc-testdev-irq-line';
  readonly first = LINES;
  readonly last = LINES + LINE_COUNT - 1;
  /** A bit for each line that is high. */
  private high = 0;

  read(): number {
    return 0xff;
  }
  write(port: number, value: number): void {
    const line = 1 << (port - LINES);
    this.high = (value & 0xff) !== 0 ? this.high | line : this.high & ~line;
  }
  /** Bit n: line n is high. */
  get levels(): number {
    return this.high;
  }
  save(): number {
    return this.high;
  }
  restore(state: unknown): void {
    this.high = state as number;
  }
}

/** 64 KiB at 0xff000000 that keep what is written and are no RAM: every access is an exit to the VMM. */
export class TestdevMemory implements MemoryDevice {
  readonly name = 'pc-testdev-iomem';
  readonly gpa = TESTDEV_MEMORY.gpa;
  readonly size = TESTDEV_MEMORY.size;
  private bytes = new Uint8Array(TESTDEV_MEMORY.size);

  read(offset: number): number {
    return this.bytes[offset] ?? 0xff;
  }
  write(offset: number, value: number): void {
    this.bytes[offset] = value;
  }
  save(): Uint8Array {
    return this.bytes.slice();
  }
  restore(state: unknown): void {
    this.bytes = (state as Uint8Array).slice();
  }
}
