import type { Work } from '../../trace/step';
import { memory, ports, type BusRange, type Device, type DeviceHost, type DeviceSpec } from '../bus/device';

/** Offsets of the page-flush register (the page's GPA) within the first port range. */
const FLUSH = 4;
const FLUSH_LAST = 7;
const MEMORY_SIZE = 0x1_0000;
const LINES = Array.from({ length: 24 }, (_, line) => line);

/**
 * 0xe0–0xe3 a 32-bit register · 0xe4 the GPA of a page to flush · 0xe8–0xeb the register again, byte by byte; 0xe9
 * belongs to the debug console, which comes first in the table.
 */
const DATA = ports(0xe0, 0xeb, ['test_ioport_read', 'test_ioport_write']);
/** A write raises or lowers an ISA interrupt line. */
const IRQ_LINES = ports(0x2000, 0x2017, ['test_irq_line', 'test_irq_line'], 'pc-testdev-irq-line');
/** Stores what is written but is not RAM: every access is an exit to the VMM. */
const MEMORY = memory(0xff00_0000n, MEMORY_SIZE, ['test_iomem_read', 'test_iomem_write'], 'pc-testdev-iomem');

interface State {
  readonly data: number;
  readonly bytes: Uint8Array;
}

/** QEMU's pc-testdev (hw/misc/pc-testdev.c), which kvm-unit-tests use to test KVM's instruction emulator. */
class PcTestdev implements Device {
  private data = 0;
  private bytes = new Uint8Array(MEMORY_SIZE);

  constructor(private readonly host: Pick<DeviceHost, 'flushPage' | 'setLine'>) {}

  read(offset: number, range: BusRange): number {
    if (range === MEMORY) return this.bytes[offset] ?? 0xff;
    if (range === IRQ_LINES || isFlush(offset)) return 0xff;
    return (this.data >>> (8 * (offset & 3))) & 0xff;
  }
  write(offset: number, value: number, range: BusRange): void {
    if (range === MEMORY) this.bytes[offset] = value;
    else if (range === IRQ_LINES) this.host.setLine(offset, value !== 0);
    else if (!isFlush(offset)) {
      const shift = 8 * (offset & 3);
      this.data = ((this.data & ~(0xff << shift)) | (value << shift)) >>> 0;
    }
  }
  written(offset: number, size: number, value: bigint, range: BusRange): Work<void> | undefined {
    return range === DATA && offset === FLUSH && size === 4 ? this.host.flushPage(value & ~0xfffn) : undefined;
  }
  save(): State {
    return { data: this.data, bytes: this.bytes.slice() };
  }
  restore(state: unknown): void {
    const { data, bytes } = state as State;
    this.data = data;
    this.bytes = bytes.slice();
  }
}
const isFlush = (offset: number): boolean => offset >= FLUSH && offset <= FLUSH_LAST;

export const PC_TESTDEV = {
  name: 'pc-testdev',
  title: "kvm-unit-tests' device",
  ranges: [DATA, IRQ_LINES, MEMORY],
  lines: LINES,
  onRequest: "QEMU's device of kvm-unit-tests: memory at 0xff000000 that is not RAM, ports 0xe0-0xeb and 0x2000-0x2017",
  make: (host) => new PcTestdev(host),
} as const satisfies DeviceSpec;
