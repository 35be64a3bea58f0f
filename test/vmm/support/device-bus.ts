import { Bus } from '../../../src/vmm/bus/bus';
import type { DeviceSpec } from '../../../src/vmm/bus/device';

/** A bus with devices and no machine around it. */
export class DeviceBus extends Bus {
  /** Bytes that the devices put out. */
  readonly out: number[] = [];
  /** Pages that they flushed. */
  readonly flushed: bigint[] = [];

  constructor(...devices: readonly DeviceSpec[]) {
    super();
    const { flushed } = this;
    for (const device of devices)
      this.plug(device, {
        output: (_, byte) => this.out.push(byte),
        // eslint-disable-next-line require-yield -- no step
        *flushPage(gpa) {
          flushed.push(gpa);
        },
      });
  }

  in(port: number, size = 1): number {
    return Number(this.read('port', BigInt(port), size));
  }
  outb(port: number, value: number, size = 1): void {
    this.write('port', BigInt(port), size, BigInt(value));
  }
}
