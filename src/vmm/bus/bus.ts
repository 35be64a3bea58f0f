import { invariant } from '../../base/assert';
import type { BusRange, Device, DeviceHost, DeviceSpec, RunEnd, Space } from './device';
import { InterruptLines, type LinesState } from './interrupt-lines';
import { Unanswered, type UnansweredState } from './unanswered';

/** What responds in a range. */
export interface BusEntry {
  /** The range's name, or the device's. */
  readonly name: string;
  readonly range: BusRange;
  readonly device: Device;
}

/** What devices need from the machine around the bus. */
export interface BusServices extends Pick<DeviceHost, 'flushPage'> {
  /** A byte output by the named device. */
  output(device: string, byte: number): void;
}

/**
 * Maps ports, and guest physical memory without RAM, to devices. An unassigned address reads as ones and ignores
 * writes.
 */
export class Bus {
  private readonly devices = new Map<string, Device>();
  private readonly entries: BusEntry[] = [];
  readonly lines = new InterruptLines();
  /** Accesses without a device. */
  readonly unanswered = new Unanswered();
  private ending: RunEnd | undefined;

  /** Creates the device of a row and assigns its ranges; where ranges overlap, the device added first responds. */
  plug(spec: DeviceSpec, services: BusServices): void {
    const { name } = spec;
    invariant(!this.devices.has(name), `one device has the name ${name}`);
    const device = spec.make({
      output: (byte) => services.output(name, byte & 0xff),
      setLine: (line, high) => {
        invariant(spec.lines?.includes(line) === true, `${name} drives the interrupt lines of its row`);
        this.lines.drive(name, line, high);
      },
      end: (end) => (this.ending = end),
      flushPage: (gpa) => services.flushPage(gpa),
    });
    this.devices.set(name, device);
    for (const range of spec.ranges) this.entries.push({ name: range.name ?? name, range, device });
  }

  /** The range at an address. */
  at(space: Space, address: bigint): BusEntry | undefined {
    return this.entries.find(({ range: r }) => r.space === space && address >= r.first && address <= r.last);
  }
  /** Every assigned range, in device order. */
  get all(): readonly BusEntry[] {
    return this.entries;
  }
  /** The device of a class, if the machine has one. */
  find<T extends Device>(kind: abstract new (...args: never[]) => T): T | undefined {
    return [...this.devices.values()].find((d): d is T => d instanceof kind);
  }

  /** A read of `size` bytes (1–8), zero-extended. */
  read(space: Space, address: bigint, size: number): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const at = following(space, address, i);
      const entry = this.at(space, at);
      const byte = entry ? entry.device.read(Number(at - entry.range.first), entry.range) & 0xff : 0xff;
      value |= BigInt(byte) << BigInt(8 * i);
    }
    return value;
  }
  write(space: Space, address: bigint, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) {
      const at = following(space, address, i);
      const entry = this.at(space, at);
      entry?.device.write(Number(at - entry.range.first), Number((value >> BigInt(8 * i)) & 0xffn), entry.range);
    }
  }
  /** Whether the access just made ends the run, and how. */
  takeEnd(): RunEnd | undefined {
    const { ending } = this;
    this.ending = undefined;
    return ending;
  }

  save(): BusState {
    return {
      devices: Object.fromEntries([...this.devices].map(([name, d]) => [name, d.save()])),
      lines: this.lines.save(),
      unanswered: this.unanswered.save(),
    };
  }
  restore(s: BusState): void {
    for (const [name, d] of this.devices) d.restore(s.devices[name]);
    this.lines.restore(s.lines);
    this.unanswered.restore(s.unanswered);
    this.ending = undefined;
  }
}

/** The address of byte `i` of an access: ports wrap. */
const following = (space: Space, address: bigint, i: number): bigint =>
  space === 'port' ? (address + BigInt(i)) & 0xffffn : address + BigInt(i);

export interface BusState {
  readonly devices: Readonly<Record<string, unknown>>;
  readonly lines: LinesState;
  readonly unanswered: UnansweredState;
}
