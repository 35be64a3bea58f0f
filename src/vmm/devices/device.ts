/**
 * A device on the port bus. To add one: copy debugcon.ts, give it its ports, and add it to the bus in machine.ts. A device is a pure function of the accesses it sees;
 * what it sends to the outside goes through the sink it is given.
 */
export interface PortDevice {
  readonly name: string;
  /** Ports it answers, both inclusive. */
  readonly first: number;
  readonly last: number;
  /** An IN of one byte at `port`, 0–255. Wider accesses reach a device a byte at a time, low port first, as on ISA. */
  read(port: number): number;
  write(port: number, value: number): void;
  save(): unknown;
  restore(state: unknown): void;
}

/** Where a device's output bytes go. */
export type ByteSink = (byte: number) => void;
