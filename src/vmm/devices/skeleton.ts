/**
 * A device to copy, with test/vmm/devices/skeleton.test.ts; it is not in the table. Keep what yours needs: a range of
 * ports, a range of memory, an interrupt line, an output, an end of the run. Everything that an access can change is
 * in one state, which is saved whole.
 */
import { cost } from '../../trace/costs';
import { vmmStep, type Work } from '../../trace/step';
import { memory, ports, type BusRange, type Device, type DeviceHost, type DeviceSpec } from '../bus/device';

const LINE = 5;

/** 0x5a0 stores a byte · 0x5a1 outputs each byte written. */
const PORTS = ports(0x5a0, 0x5a1, ['skeleton_ioport_read', 'skeleton_ioport_write']);
/** Offsets 0–7: a 64-bit register; the interrupt line is high while it is not 0. */
const MEMORY = memory(0xfe00_0000n, 8, ['skeleton_mem_read', 'skeleton_mem_write'], 'skeleton-memory');

interface State {
  readonly kept: number;
  /** The register, low byte first. */
  readonly register: readonly number[];
}

class Skeleton implements Device {
  private state: State = { kept: 0, register: Array.from({ length: 8 }, () => 0) };

  constructor(private readonly host: Pick<DeviceHost, 'output' | 'setLine'>) {}

  read(offset: number, range: BusRange): number {
    const { kept, register } = this.state;
    if (range === MEMORY) return register[offset] ?? 0;
    return offset === 0 ? kept : 0xff;
  }

  write(offset: number, value: number, range: BusRange): void {
    if (range === MEMORY) {
      const register = this.state.register.map((byte, i) => (i === offset ? value : byte));
      this.state = { ...this.state, register };
      this.host.setLine(
        LINE,
        register.some((byte) => byte !== 0),
      );
    } else if (offset === 0) this.state = { ...this.state, kept: value };
    else this.host.output(value);
  }

  /** Only for a device whose whole writes make the VMM do more: reported as Steps. */
  written(_offset: number, size: number, _value: bigint, range: BusRange): Work<void> | undefined {
    return range === MEMORY && size === 8 ? latch() : undefined;
  }

  save(): State {
    return this.state;
  }
  restore(state: unknown): void {
    this.state = state as State;
  }
}

function* latch(): Work<void> {
  yield vmmStep('skeleton_latch', 'the whole register was written', cost('deviceModel'));
}

export const SKELETON = {
  name: 'skeleton',
  title: 'the skeleton',
  ranges: [PORTS, MEMORY],
  lines: [LINE],
  onRequest: 'A device to copy: ports 0x5a0-0x5a1, memory at 0xfe000000',
  output: 'File that receives what the guest writes to port 0x5a1.',
  make: (host) => new Skeleton(host),
} as const satisfies DeviceSpec;
