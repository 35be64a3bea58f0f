import type { Work } from '../../host/step';

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
  /** What a whole OUT of `size` bytes makes the VMM do besides, step by step. */
  act?(port: number, size: number, value: number): Work<void> | undefined;
  save(): unknown;
  restore(state: unknown): void;
}

/** A device in guest physical memory where no RAM is. */
export interface MemoryDevice {
  readonly name: string;
  readonly gpa: bigint;
  /** Bytes. */
  readonly size: number;
  /** One byte at an offset, 0–255. Wider accesses are made a byte at a time, low offset first. */
  read(offset: number): number;
  write(offset: number, value: number): void;
  save(): unknown;
  restore(state: unknown): void;
}

/** Where a device's output bytes go. */
export type ByteSink = (byte: number) => void;
