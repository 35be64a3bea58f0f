import type { Work } from '../../trace/step';
import type { MachineEnd } from '../machine-stop';

/** I/O ports (16 bits), or guest physical addresses without RAM. */
export type Space = 'port' | 'gpa';

/** Addresses at which a device responds. */
export interface BusRange {
  readonly space: Space;
  /** Both inclusive. */
  readonly first: bigint;
  readonly last: bigint;
  /** The VMM functions that a read and a write call, for the Steps. */
  readonly functions: readonly [read: string, write: string];
  /** The range's name in Steps and in the list of devices; absent: the device's name. */
  readonly name?: string;
}

/** A device as a value: one row of the table (devices/table.ts), from which options, schema and checks are derived. */
export interface DeviceSpec {
  /** Unique in a machine: for Steps, snapshots and options. */
  readonly name: string;
  /** What it is, with an article: `the serial port`. */
  readonly title: string;
  readonly ranges: readonly BusRange[];
  /** Interrupt lines that it drives, 0–31 (0–15 are the ISA's). */
  readonly lines?: readonly number[];
  /**
   * Present if the option `device` must name the device to add it; the text describes that value. Absent: every
   * machine has it.
   */
  readonly onRequest?: string;
  /** Present if it outputs bytes, to the file given by the option of its name; the text describes that option. */
  readonly output?: string;
  make(host: DeviceHost): Device;
}

/**
 * A device's state and its reaction to accesses. It is a pure function of the accesses; all external effects go
 * through its DeviceHost. A device with several ranges distinguishes them by `range`, the object in its row.
 */
export interface Device {
  /**
   * One byte at an offset from the range's first address, 0–255. Wider accesses are split into bytes, low address
   * first, as on ISA.
   */
  read(offset: number, range: BusRange): number;
  write(offset: number, value: number, range: BusRange): void;
  /** What a whole write of `size` bytes, already made, additionally makes the VMM do, step by step. */
  written?(offset: number, size: number, value: bigint, range: BusRange): Work<void> | undefined;
  /** Plain data, which `restore` accepts; a saved record does not change with the device. */
  save(): unknown;
  restore(state: unknown): void;
}

/** How a device ends the run. */
export type RunEnd = Omit<MachineEnd, 'rip'>;

/** What the machine does for a device. */
export interface DeviceHost {
  /** Outputs a byte, 0–255, for a device whose row has an output. */
  output(byte: number): void;
  /** Drives one of the row's interrupt lines high or low. */
  setLine(line: number, high: boolean): void;
  /** Ends the run when the current access completes. */
  end(end: RunEnd): void;
  /** Drops what the hypervisor derived from the VMM's mapping of the guest RAM page at a GPA. */
  flushPage(gpa: bigint): Work<void>;
}

type Names = readonly [read: string, write: string];

/** A range of ports, both inclusive. */
export const ports = (first: number, last: number, functions: Names, name?: string): BusRange => ({
  space: 'port',
  first: BigInt(first),
  last: BigInt(last),
  functions,
  ...(name === undefined ? {} : { name }),
});

/** `size` bytes of guest physical memory. */
export const memory = (gpa: bigint, size: number, functions: Names, name?: string): BusRange => ({
  space: 'gpa',
  first: gpa,
  last: gpa + BigInt(size) - 1n,
  functions,
  ...(name === undefined ? {} : { name }),
});
