import { hex } from '../../base/hex';
import { ports, type Device, type DeviceHost, type DeviceSpec } from '../bus/device';

/** QEMU's isa-debug-exit: a write ends the run with exit code ((value << 1) | 1) & 0xff; reads return 0. */
class ExitPort implements Device {
  constructor(private readonly host: Pick<DeviceHost, 'end'>) {}

  read(): number {
    return 0;
  }
  write(offset: number, value: number): void {
    // the first byte of a wider OUT decides; the rest goes to the following ports
    if (offset !== 0) return;
    const code = ((value << 1) | 1) & 0xff;
    const why = `the guest wrote ${hex(value)} to the exit port: exit code ${code}`;
    this.host.end({ kind: 'exit-port', code, why, unmet: [] });
  }
  save(): null {
    return null;
  }
  restore(): void {
    // stateless
  }
}

export const EXIT_PORT = {
  name: 'exit-port',
  title: 'the exit port',
  ranges: [ports(0xf4, 0xf7, ['debug_exit_read', 'debug_exit_write'])],
  make: (host) => new ExitPort(host),
} as const satisfies DeviceSpec;
