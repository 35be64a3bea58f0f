import type { References } from '../../vmm/accelerator';
import type { Machine } from '../../vmm/machine';
import type { HostOutcome } from './host-script';
import type { EndInfo } from '../types';
import type { GuestView } from '../guest/view';
import type { AssertResult } from './checks';
import type { Program } from '../launch/program';
import { readRegister } from '../guest/registers';
import { GPR64 } from '../../isa/registers';

/** The report of a run, as cli.md lays it out, with bigints where that has hex strings. */
export interface RunReport {
  readonly guest: string;
  readonly mmu: string;
  readonly stop: EndInfo;
  readonly instructions: number;
  /** From the cost model. */
  readonly cycles: number;
  readonly registers: Readonly<Record<string, bigint>>;
  /** Exits by name, those that happened. */
  readonly exits: Readonly<Record<string, number>>;
  readonly stats: Readonly<Record<string, number>>;
  /** Table entries loaded: by completed hardware walks of the guest's tables and of EPT, of shadow tables, and of the host's by software. */
  readonly references: References;
  readonly tlb: { readonly hits: number; readonly misses: number };
  /** What came of the `; @host` directives that the guest reached. */
  readonly host: readonly HostOutcome[];
  /** Places that the guest touched and where no device is, in the order of the first touch. */
  readonly unanswered: readonly UnansweredReport[];
  readonly serial: string;
  readonly debugcon: string;
  /** Of a guest file with `@assert` lines, in the order of the file. */
  readonly asserts?: readonly AssertResult[];
}

/** `port` or `gpa`: where; `name`: what a PC usually has there. */
export interface UnansweredReport {
  readonly port?: bigint;
  readonly gpa?: bigint;
  readonly name: string;
  readonly reads: number;
  readonly writes: number;
}

const REGISTERS = [...GPR64, 'rip', 'rflags', 'cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const;

/** @param outputs everything that the guest has written so far */
export function runReport(
  program: Program,
  machine: Machine,
  g: GuestView,
  end: EndInfo,
  host: readonly HostOutcome[],
  outputs: { readonly serial: string; readonly debugcon: string },
  asserts: readonly AssertResult[],
): RunReport {
  const { tlb } = machine.cpu;
  return {
    guest: program.file,
    mmu: program.settings.mmu,
    stop: end,
    instructions: g.retired,
    cycles: machine.cycles,
    registers: Object.fromEntries(REGISTERS.map((name) => [name, BigInt(readRegister(g, name) ?? 0n)])),
    exits: Object.fromEntries(machine.exits.byReason),
    stats: machine.accelerator.stats(),
    references: machine.references,
    tlb: { hits: tlb.hits, misses: tlb.misses },
    host,
    unanswered: machine.bus.unanswered.all.map(({ space, address, name, reads, writes }) => ({
      [space]: address,
      name: name ?? 'nothing that is usual',
      reads,
      writes,
    })),
    ...outputs,
    ...(asserts.length > 0 ? { asserts } : {}),
  };
}
