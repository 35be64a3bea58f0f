import type { Work } from '../../trace/step';
import type { MachineEnd } from '../machine-stop';

/** I/O ports (16 bits), or guest physical addresses where no RAM is. */
export type Space = 'port' | 'gpa';

/** Addresses that a device answers. */
export interface BusRange {
  readonly space: Space;
  /** Both inclusive. */
  readonly first: bigint;
  readonly last: bigint;
  /** The VMM's functions that a read and a write call, for the Steps. */
  readonly functions: readonly [read: string, write: string];
  /** Its name in Steps and in the list of devices; absent: the device's. */
  readonly name?: string;
}

/** A device as a value: one row of the table (devices/table.ts), from which options, schema and checks follow. */
export interface DeviceSpec {
  /** Unique in a machine: for Steps, snapshots and options. */
  readonly name: string;
  /** What it is, with an article: `the serial port`. */
  readonly title: string;
  readonly ranges: readonly BusRange[];
  /** Interrupt lines that it drives, 0–31 (0–15 are the ISA's). */
  readonly lines?: readonly number[];
  /** A machine has it only where the option `device` names it, and this is that value's description. Absent: every machine has it. */
  readonly onRequest?: string;
  /** It puts out bytes, which go to the file that the option of its name gives; this is the option's description. */
  readonly output?: string;
  make(host: DeviceHost): Device;
}

/**
 * The state of a device, and what it makes of accesses. It is a pure function of the accesses it sees; what it does to the outside goes through its DeviceHost.
 * A device of several ranges tells them apart by `range`, which is the object in its row.
 */
export interface Device {
  /** One byte at an offset from the range's first address, 0–255. Wider accesses are made a byte at a time, low address first, as on ISA. */
  read(offset: number, range: BusRange): number;
  write(offset: number, value: number, range: BusRange): void;
  /** What a whole write of `size` bytes, made already, makes the VMM do besides, step by step. */
  written?(offset: number, size: number, value: bigint, range: BusRange): Work<void> | undefined;
  /** Plain data, which `restore` takes back; what is saved does not change with the device. */
  save(): unknown;
  restore(state: unknown): void;
}

/** How a device ends the run. */
export type RunEnd = Omit<MachineEnd, 'rip'>;

/** What the machine does for a device. */
export interface DeviceHost {
  /** Puts out a byte, 0–255, for a device whose row has an output. */
  output(byte: number): void;
  /** Drives one of the row's interrupt lines high or low. */
  setLine(line: number, high: boolean): void;
  /** Ends the run when the access in progress is done. */
  end(end: RunEnd): void;
  /** Takes away what the hypervisor derived from the VMM's mapping of the page of guest RAM at a GPA. */
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
