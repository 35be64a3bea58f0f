import type { MemoryDevice, PortDevice } from './device';
import { Unanswered, type UnansweredState } from './unanswered';

/** The port bus: who answers which port. An unknown port reads as ones and swallows writes. */
export class PortBus {
  private readonly devices: PortDevice[] = [];
  /** The other address space of the same machine. */
  readonly memory = new MemoryBus();
  /** Accesses that no device answered, of physical addresses too. */
  readonly unanswered = new Unanswered();

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
    const devices = [...this.devices, ...this.memory.all].map((d) => [d.name, d.save()] as const);
    return { ...Object.fromEntries(devices), unanswered: this.unanswered.save() };
  }
  restore(state: Readonly<Record<string, unknown>>): void {
    for (const d of [...this.devices, ...this.memory.all]) d.restore(state[d.name]);
    this.unanswered.restore(state['unanswered'] as UnansweredState);
  }
}

/** Who answers which GPA where no RAM is. An unknown address reads as ones and swallows writes. */
class MemoryBus {
  private readonly devices: MemoryDevice[] = [];

  add(device: MemoryDevice): void {
    this.devices.push(device);
  }
  at(gpa: bigint): MemoryDevice | undefined {
    return this.devices.find((d) => gpa >= d.gpa && gpa < d.gpa + BigInt(d.size));
  }
  get all(): readonly MemoryDevice[] {
    return this.devices;
  }

  /** A read of `size` bytes (1–8), zero-extended. */
  read(gpa: bigint, size: number): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const at = gpa + BigInt(i);
      const device = this.at(at);
      value |= BigInt((device?.read(Number(at - device.gpa)) ?? 0xff) & 0xff) << BigInt(8 * i);
    }
    return value;
  }
  write(gpa: bigint, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) {
      const at = gpa + BigInt(i);
      const device = this.at(at);
      device?.write(Number(at - device.gpa), Number((value >> BigInt(8 * i)) & 0xffn));
    }
  }
}
