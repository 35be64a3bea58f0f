import type { CallAnswer, Env, Expr, ExprValue, LoadSize, MemoryRequest } from '../../expr/index';
import { VECTOR } from '../../isa/exceptions';
import { VMX_EXIT } from '../../isa/exits';
import { SVM_EXITS, SVM_INVALID } from '../../isa/svm-exits';
import { SEG } from '../../hw/state/layout';
import type { FrameRegisters } from '../stack/frame-registers';
import { readWide, type WideRegister } from '../guest/fp-registers';
import type { GuestView } from '../guest/view';
import type { MemoryAccess } from '../guest/memory';
import { REGISTER_NAMES, isRegisterName, msrNumber, readRegister, segmentIndex } from '../guest/registers';
import type { SymbolTable } from '../guest/symbols';

/** What is true of the exit or fault at hand, by the names that conditions use. */
export type Facts = ReadonlyMap<string, ExprValue>;

/** The facts that some exit has; a condition may name any of them, and one that the exit at hand has not makes its comparison false. */
export const EXIT_FACTS = [
  'reason',
  'qualification',
  'gpa',
  'gva',
  'read',
  'write',
  'fetch',
  'slot',
  'level',
  'count',
  'instructions',
  'length',
  'port',
  'size',
  'cr',
  'msr',
  'vector',
  'error_code',
  'table_walk',
  'hidden',
  'tracing',
  'dirty',
  'mmio',
  'guest_fault',
] as const;
/** The facts of an exception on its way to the guest; all but vector, error, error_code, count and instructions are those of a page fault. */
export const FAULT_FACTS = [
  'address',
  'error',
  'error_code',
  'present',
  'read',
  'write',
  'user',
  'fetch',
  'reserved',
  'vector',
  'count',
  'instructions',
] as const;

/** What may be asked of the whole run and of the tables: session/console/run-facts.ts answers. */
export interface RunQuestions {
  lookup(name: string): bigint | undefined;
  call(name: string, args: readonly ExprValue[], member: string | undefined): CallAnswer | undefined;
}

type Constants = ReadonlyMap<string, bigint>;
/** Exit reasons of one extension and vectors by their names in the manuals: `EPT_VIOLATION`, `NPF`, `PF`. A name that is both is the exit. */
const constants = (exits: Readonly<Record<string, number>>): Constants =>
  new Map(
    [...Object.entries(VECTOR), ...Object.entries(exits)].map(([name, value]): [string, bigint] => [
      name,
      BigInt(value),
    ]),
  );
const VMX_CONSTANTS = constants(VMX_EXIT);
const SVM_CONSTANTS: Constants = new Map([...constants(SVM_EXITS), ['INVALID', SVM_INVALID]]);

/** Names in the order in which they win: facts, registers, the guest's labels and constants, the manuals' constants. Exit conditions put the manuals first. */
export class Names {
  constructor(
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    readonly symbols: SymbolTable,
    private readonly run: RunQuestions,
    /** The guest frame whose registers are meant; absent: the top one. */
    readonly frame?: FrameRegisters,
  ) {}

  /** The same names, with the registers of a frame. */
  at(frame: FrameRegisters): Names {
    return new Names(this.guest, this.memory, this.symbols, this.run, frame);
  }

  /** @param facts of the exit or fault at hand; absent in ordinary expressions */
  env(facts?: Facts): Env {
    const { guest } = this;
    const wordSize: LoadSize = guest.bits === 64 ? 8 : guest.bits === 32 ? 4 : 2;
    return {
      lookup: (name) => this.lookup(name, facts),
      readMemory: (request) => this.memory.readNumber(request.space, this.linear(request), request.size),
      call: (name, args, member) => this.msrCall(name, args) ?? this.run.call(name, args, member),
      wordSize,
    };
  }

  /** An exit reason or vector by its name. The extensions' numbers differ for names that they share, so that the processor's own count alone. */
  constantOf(name: string): bigint | undefined {
    return this.constants.get(name);
  }
  get constantNames(): readonly string[] {
    return [...this.constants.keys()];
  }
  private get constants(): Constants {
    return this.guest.cpu.model.has('SVM') ? SVM_CONSTANTS : VMX_CONSTANTS;
  }

  lookup(name: string, facts?: Facts): ExprValue | undefined {
    return (
      facts?.get(name) ??
      this.register(name) ??
      (facts
        ? (this.constantOf(name) ?? this.symbols.valueOf(name))
        : (this.symbols.valueOf(name) ?? this.constantOf(name))) ??
      this.run.lookup(name) ??
      this.msr(msrNumber(name))
    );
  }

  register(name: string): bigint | boolean | undefined {
    return readRegister(this.guest, name, this.frame);
  }
  /** A register of more than 64 bits. */
  wide(name: string): WideRegister | undefined {
    return readWide(this.guest.state, name.toLowerCase());
  }
  /** Whether a name means an MSR that the guest has: registers, labels and constants come first. */
  isMsr(name: string): boolean {
    const isOther = isRegisterName(name) || this.symbols.valueOf(name) !== undefined;
    return !isOther && this.constantOf(name) === undefined && this.msr(msrNumber(name)) !== undefined;
  }
  /** `msr(0x10)`. */
  private msrCall(name: string, [index]: readonly ExprValue[]): bigint | undefined {
    const isMsr = name.toLowerCase() === 'msr' && typeof index === 'bigint' && index >> 32n === 0n;
    return isMsr ? this.msr(Number(index)) : undefined;
  }
  private msr(index: number | undefined): bigint | undefined {
    return index === undefined ? undefined : this.guest.accelerator.readMsr(index);
  }

  /** The address that a memory operand means, with its segment's base. */
  linear(request: MemoryRequest): bigint {
    if (request.space !== 'gva') return request.offset;
    return this.guest.linear(
      request.segmentWritten ? segmentIndex(request.segment) : request.segment === 'ss' ? SEG.SS : SEG.DS,
      request.offset,
    );
  }

  knows(name: string, facts: readonly string[]): boolean {
    return (
      facts.includes(name) ||
      isRegisterName(name) ||
      this.symbols.valueOf(name) !== undefined ||
      this.constantOf(name) !== undefined ||
      this.run.lookup(name) !== undefined ||
      this.msr(msrNumber(name)) !== undefined
    );
  }
  all(facts: readonly string[] = []): readonly string[] {
    return [...facts, ...REGISTER_NAMES, ...this.symbols.names, ...(facts.length > 0 ? this.constantNames : [])];
  }
}

/** The names that an expression mentions, with where they stand. */
export const namesIn = (e: Expr): readonly Extract<Expr, { kind: 'name' }>[] =>
  partsOf(e).filter((part) => part.kind === 'name');
/** The functions that it calls. */
export const callsIn = (e: Expr): readonly Extract<Expr, { kind: 'call' }>[] =>
  partsOf(e).filter((part) => part.kind === 'call');

/** An expression and all within it. */
function partsOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'name':
    case 'number':
      return [e];
    case 'memory':
      return [e, ...partsOf(e.address)];
    case 'address':
      return [e, ...partsOf(e.value)];
    case 'call':
      return [e, ...e.args.flatMap(partsOf)];
    case 'unary':
      return [e, ...partsOf(e.operand)];
    case 'binary':
      return [e, ...partsOf(e.left), ...partsOf(e.right)];
  }
}
