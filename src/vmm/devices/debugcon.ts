import { ports, type Device, type DeviceHost, type DeviceSpec } from '../bus/device';

/**
 * The debug console of Bochs and QEMU: bytes written to port 0xe9 are output; reads return 0xe9, so a guest can
 * detect it.
 */
class DebugConsole implements Device {
  constructor(private readonly host: Pick<DeviceHost, 'output'>) {}

  read(): number {
    return 0xe9;
  }
  write(_offset: number, value: number): void {
    this.host.output(value);
  }
  save(): null {
    return null;
  }
  restore(): void {
    // stateless
  }
}

export const DEBUGCON = {
  name: 'debugcon',
  title: 'the debug console',
  ranges: [ports(0xe9, 0xe9, ['debugcon_ioport_read', 'debugcon_ioport_write'])],
  output: 'File that receives what the guest writes to port 0xe9.',
  make: (host) => new DebugConsole(host),
} as const satisfies DeviceSpec;
