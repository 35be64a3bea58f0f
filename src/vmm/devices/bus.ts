import type { PortDevice } from './device';

/** The port bus: who answers which port. An unknown port reads as ones and swallows writes. */
export class PortBus {
  private readonly devices: PortDevice[] = [];

  add(device: PortDevice): void {
    this.devices.push(device);
  }
  /** The device that answers `port`, for display. */
  at(port: number): PortDevice | undefined {
    return this.devices.find((d) => port >= d.first && port <= d.last);
  }
  get all(): readonly PortDevice[] {
    return this.devices;
  }

  /** IN of `size` bytes (1, 2, 4), zero-extended. */
  read(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++)
      value |= ((this.at((port + i) & 0xffff)?.read((port + i) & 0xffff) ?? 0xff) & 0xff) << (8 * i);
    return value >>> 0;
  }
  write(port: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.at((port + i) & 0xffff)?.write((port + i) & 0xffff, (value >>> (8 * i)) & 0xff);
  }

  save(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(this.devices.map((d) => [d.name, d.save()]));
  }
  restore(state: Readonly<Record<string, unknown>>): void {
    for (const d of this.devices) d.restore(state[d.name]);
  }
}
