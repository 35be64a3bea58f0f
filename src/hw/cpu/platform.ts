import type { PhysicalPort } from '../paging/physical';
import type { Access } from '../paging/access';
import type { ApicPort } from './apic-port';
import type { Core, IoPort } from './core';
import type { CodeMode } from './lift/emitter';

/** The guest physical address that a linear address leads to, of RAM or of something else; `fault`: the walk ends in an exception. */
export type LookUp =
  { readonly kind: 'memory' | 'device'; readonly gpa: bigint; readonly levels: number } | { readonly kind: 'fault' };

/** What a CPU is wired to on a machine that no hypervisor runs. Accesses without an answer set `core.event`; the instruction is run again when there is one. */
export interface Platform {
  readonly physical: PhysicalPort;
  readonly io: IoPort;
  readonly apic: ApicPort;
  /** A load of 1 to 8 bytes from where no RAM is. */
  read(core: Core, gpa: bigint, size: number): bigint | undefined;
  write(core: Core, gpa: bigint, size: number, value: bigint): boolean;
  /** A look-up that the TLB could not answer: what the walk of the guest's tables came to. */
  lookedUp?(linear: bigint, access: Access, found: LookUp): void;
  /** Code at this offset of the machine's memory is about to run, after a branch, a page change or a flush: where the fetch asks the TLB. */
  entered?(offset: number, mode: CodeMode): void;
}
