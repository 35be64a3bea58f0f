import type { FaultReason } from '../../isa/reasons/index';
import type { CpuState } from '../state/cpu-state';
import { SLOT } from '../state/layout';
import type { Access } from '../paging/access';
import { NO_INSTRUCTION, type Decoded } from './decoded';
import type { CpuEvent, VmExit } from '../state/event';
import type { Intercepts } from '../state/intercepts';
import type { CpuidModel } from './cpuid-model';
import type { ApicPort } from './apic-port';

/** What a system function answers: done, go on with the next instruction; `core.event` is set; or done and RIP is set (a taken branch). */
export const SYS_NEXT = 0;
export const SYS_EVENT = 1;
export const SYS_JUMPED = 2;
export type SysResult = typeof SYS_NEXT | typeof SYS_EVENT | typeof SYS_JUMPED;

/**
 * Memory as an instruction sees it: linear addresses in, values in slots, failure as an event on the core.
 * The CPU's port is TLB, then the guest's tables, then EPT/NPT; KVM's emulator uses the same instructions over memslot → HVA → host tables.
 * Addresses passed in are canonical-checked here. Accesses may cross a page; both parts are checked before anything is written.
 */
export interface MemoryPort {
  /** Reads `size` (1, 2, 4, 8) bytes into slot `dst`, zero-extended. `intent`: the access checks are those of a write (read-modify-write). */
  load(core: Core, linear: bigint, size: number, access: Access, dst: number, intent: boolean): boolean;
  /** Writes the low `size` bytes of slot `src`. */
  store(core: Core, linear: bigint, size: number, access: Access, src: number): boolean;
  /** Checks that `size` bytes could be accessed, filling the TLB and setting A/D as the access would, but moving no data. */
  probe(core: Core, linear: bigint, size: number, access: Access): boolean;

  /** CR0, CR4, EFER, PKRU or CPL-independent paging controls changed: decode them again. */
  controlsChanged(core: Core): void;
  /** MOV to CR3 and its like: PCID rules applied by the caller through `keep` (bit 63 of the source with CR4.PCIDE). */
  cr3Loaded(core: Core, keep: boolean): void;
  /** Every entry of the current VPID; without `globals`, global ones stay. */
  flush(core: Core, globals: boolean): void;
  invlpg(core: Core, linear: bigint): void;
  /** False: PAE paging finds its PDPTEs in memory at each walk (SVM's nested paging), so that a load of CR3 loads none. Default: true. */
  readonly loadsPdptes?: boolean;
  /** Eight bytes at a physical address of the guest, through the second level only: the PDPTEs of PAE paging. Undefined: event set. */
  readPhysical(core: Core, address: bigint): bigint | undefined;
}

/** Port I/O as IN and OUT see it, after permission checks and intercepts. */
export interface IoPort {
  /** False: `core.event` is set. */
  in(core: Core, port: number, size: number, dst: number): boolean;
  out(core: Core, port: number, size: number, src: number): boolean;
}

/** What VMRUN and its like do once their operands and privileges are checked. */
export interface SvmInstructions {
  readonly enabled: boolean;
  /** Whether the address can be a VMCB. */
  isVmcb(address: bigint): boolean;
  vmrun(core: Core, address: bigint): SysResult;
  vmload(address: bigint): void;
  vmsave(address: bigint): void;
  setGif(on: boolean): void;
  invlpga(linear: bigint, asid: number): void;
}

/**
 * One thing that executes instructions: registers, a memory port, an I/O port, and perhaps intercepts. `Cpu` is the hardware; KVM's instruction emulator is
 * another, over its own state and port. Instruction semantics know only this.
 */
export class Core {
  event: CpuEvent | undefined;
  intercepts: Intercepts | null = null;
  /** The instruction being executed by a system function, and where the next one is. */
  insn: Decoded = NO_INSTRUCTION;
  nextRip = 0n;
  /** The local APIC, where the machine has one that the CPU itself reaches. */
  apic: ApicPort | undefined;
  /** SVM's instructions; absent: they are #UD. */
  svmInstructions: SvmInstructions | undefined;
  /** Instructions of the running block that completed before this one: guest time is SLOT.RETIRED plus these. */
  completed = 0;
  /** SYSCALL or SYSRET changed TF: whether it traps, whatever TF was at its start. */
  stepTrap: boolean | undefined;
  /** The IRET that met the event had unblocked NMIs before. */
  nmiUnblocked = false;
  /** Linear CPU features (physical and linear address widths included). */
  constructor(
    readonly state: CpuState,
    readonly port: MemoryPort,
    readonly io: IoPort,
    readonly model: CpuidModel,
  ) {}

  /** Records an exception with its reason; returns SYS_EVENT so that `return core.raise(…)` reads well. In real mode no exception has an error code. */
  raise(vector: number, why: FaultReason, errorCode?: number): typeof SYS_EVENT {
    const real = (this.state.get32(SLOT.CR0) & 1) === 0;
    this.event =
      errorCode === undefined || real ? { kind: 'fault', vector, why } : { kind: 'fault', vector, why, errorCode };
    return SYS_EVENT;
  }
  /** A port access that completed, for those who watch. */
  portAccessed(_port: number, _size: number): void {}
  /** Records a VM exit. */
  exit(exit: VmExit): typeof SYS_EVENT {
    this.event = { kind: 'exit', exit };
    return SYS_EVENT;
  }

  /** Reads through the port into SLOT.VALUE as an implicit supervisor access (descriptor tables, TSS); undefined: event set. */
  readSystem(linear: bigint, size: number): bigint | undefined {
    return this.port.load(this, linear, size, IMPLICIT_READ, SLOT.VALUE, false)
      ? this.state.get(SLOT.VALUE)
      : undefined;
  }
  /** Writes as an implicit supervisor access. */
  writeSystem(linear: bigint, size: number, value: bigint): boolean {
    this.state.set(SLOT.VALUE, value);
    return this.port.store(this, linear, size, IMPLICIT_WRITE, SLOT.VALUE);
  }
}

export const IMPLICIT_READ: Access = { op: 'read', user: false, implicit: true };
export const IMPLICIT_WRITE: Access = { op: 'write', user: false, implicit: true };
