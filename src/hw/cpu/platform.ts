import type { PhysicalPort } from '../paging/physical';
import type { ApicPort } from './apic-port';
import type { Core, IoPort } from './core';
import type { CodeMode } from './lift/emitter';

/** What a CPU is wired to on a machine that no hypervisor runs. Accesses without an answer set `core.event`; the instruction is run again when there is one. */
export interface Platform {
  readonly physical: PhysicalPort;
  readonly io: IoPort;
  readonly apic: ApicPort;
  /** A load of 1 to 8 bytes from where no RAM is. */
  read(core: Core, gpa: bigint, size: number): bigint | undefined;
  write(core: Core, gpa: bigint, size: number, value: bigint): boolean;
  /** Code at this offset of the machine's memory is about to run, after a branch, a page change or a flush: where the fetch asks the TLB. */
  entered?(offset: number, mode: CodeMode): void;
}
