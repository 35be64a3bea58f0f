/**
 * The debug target's interface: everything that an adapter or the command line can ask. `Session` (session.ts) is the one
 * implementation; this file is what its users read.
 *
 * Control is asked for by an intention (`continue_`, `stepIn`, …) and carried out by calls of `run`, each of which does at most
 * `budget` instructions' work and returns. Whoever drives yields to the event loop between calls, so that `pause` is heard.
 * Errors of a person are diagnostics in a Result; none of them ends the session.
 */
import type { Answer } from './answer';
import type {
  BreakpointView,
  DisassembledLine,
  EndInfo,
  Evaluation,
  ExceptionFilter,
  FrameView,
  FunctionBreakpoint,
  InstructionBreakpoint,
  Location,
  MemoryRead,
  Output,
  RunResult,
  SourceBreakpoint,
  SpaceAddress,
  StopInfo,
  ViewNode,
  ViewPage,
} from './types';
import type { MemoryMap, MemoryMapQuery } from './tables/memory-map';
import type { PagemapRow } from './tables/pagemap';
import type { RowAction } from './views/row-actions';
import type { StepTarget, StepTargetKind } from './run/step-targets';
import type { TlbState } from './tables/tlb-state';
import type { ExitHistory } from './exits/history';
import type { TableMaps } from './tables/map/index';
import type { Program } from './launch/program';
import type { TranslateAnswer, TranslateQuery } from './translate/translation';

export type Granularity = 'instruction' | 'line';

/** Where an expression is evaluated: a guest frame's registers (those of the top frame are the CPU's). */
export interface EvaluateOptions {
  /** Default: the top guest frame. */
  readonly frame?: number;
  /** Whether commands that change something may be carried out: a console's yes, a watch's or a hover's no. Default: yes. */
  readonly acts?: boolean;
}

export interface DebugTarget {
  /** What was launched. */
  readonly program: Program;

  // run control
  continue_(): void;
  /**
   * Into calls, and from a faulting or exiting instruction into the hypervisor; within an exit: the next Step. A call at which an exit's Steps have just been left is
   * entered, whatever exits are still on its way; `target` says otherwise.
   */
  stepIn(granularity: Granularity, target?: StepTargetKind): void;
  /** Where `stepIn` may lead from the next instruction; empty where there is no choice to make. */
  stepTargets(): readonly StepTarget[];
  /** Over calls and over exits; within an exit: the next Step of the same or an outer frame. */
  stepOver(granularity: Granularity): void;
  /** Out of the guest function; within an exit: back to the guest. */
  stepOut(): void;
  /** Heard by the run in progress at its next slice, or at once by the next `run`. */
  pause(): void;
  run(budget: number): RunResult;
  /** The stop at which the target stands; undefined while it runs. */
  readonly stopped: StopInfo | undefined;
  readonly ended: EndInfo | undefined;
  /** Output since the last call. */
  takeOutput(): readonly Output[];

  /** Whether failed `@assert` and reached `@break` of the guest file stop the run; else they are reported alone. Default: no. */
  stopAtDirectives(stops: boolean): void;

  // breakpoints: each call replaces the set of its kind (of its file)
  setSourceBreakpoints(file: string, list: readonly SourceBreakpoint[]): readonly BreakpointView[];
  setInstructionBreakpoints(list: readonly InstructionBreakpoint[]): readonly BreakpointView[];
  setFunctionBreakpoints(list: readonly FunctionBreakpoint[]): readonly BreakpointView[];
  /** What that one would be, without setting it. */
  checkFunctionBreakpoint(breakpoint: FunctionBreakpoint): BreakpointView | undefined;
  setExceptionFilters(list: readonly ExceptionFilter[]): readonly BreakpointView[];
  /** The lines of `file` between `from` and `to` that hold code. */
  breakpointLines(file: string, from: number, to: number): readonly Location[];
  /** The first code on a line or behind it, by its linear address. */
  codeAt(file: string, line: number): { readonly location: Location; readonly address: bigint } | undefined;

  // looking
  frames(): readonly FrameView[];
  /** A hypervisor frame's generated text. */
  document(id: number): string | undefined;
  view(path: string, start?: number, count?: number): Answer<ViewPage>;
  /** What the menu of a row of a view may offer. */
  rowActions(node: ViewNode): readonly RowAction[];
  /** The page tables as maps, for the Page Tables panel. */
  readonly tableMaps: Pick<TableMaps, 'sets' | 'page' | 'find' | 'strips'>;
  /** KVM's counters by the names of its debugfs files, then our own. */
  /** What became of the run's time, exit by exit. */
  readonly exits: ExitHistory;
  statistics(): readonly (readonly [name: string, value: number])[];
  setValue(path: string, text: string): Answer<string>;
  evaluate(text: string, options?: EvaluateOptions): Answer<Evaluation>;
  /** Assigns to a register, flag, or memory operand. */
  assign(target: string, value: string, options?: EvaluateOptions): Answer<Evaluation>;
  /** Names that may stand where `text` ends. */
  complete(text: string): readonly string[];
  translate(query: TranslateQuery): TranslateAnswer;
  /** TLB and paging-structure caches, compared with the tables; at most `most` entries of each. */
  tlb(most?: number): TlbState;
  /** GPA, HVA and frame or swap slot of each page of guest RAM that there is. */
  pagemap(): readonly PagemapRow[];
  /** Slots, holes, VMAs, and guest memory as runs. */
  memoryMap(query?: MemoryMapQuery): MemoryMap;
  /** What stands under a 1-based column of a source line: see src/expr's findOperandAt. */
  hover(line: string, column: number, options?: EvaluateOptions): HoverAnswer | undefined;
  readMemory(at: SpaceAddress, length: number): MemoryRead;
  /** The number of bytes written; stops at the first unwritable one. */
  writeMemory(at: SpaceAddress, bytes: Uint8Array): Answer<number>;
  /** `count` instructions from `offset` instructions before or after `address`; always that many. */
  disassemble(address: bigint, offset: number, count: number): readonly DisassembledLine[];
  /** `name` or `name+0x8`; undefined far from every symbol. */
  symbolOf(address: bigint): string | undefined;
  /** `gpa:0x5000`, `0x7c00` (linear), `hpa:…`. */
  parseReference(text: string): SpaceAddress | undefined;
  formatReference(at: SpaceAddress): string;
}

export interface HoverAnswer {
  /** 1-based columns of what the hover is about, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** `instruction`: a mnemonic. */
  readonly about: 'operand' | 'instruction';
  /** The operand there; on a mnemonic, those of its operands that have a value. Never empty. */
  readonly operands: readonly HoverOperand[];
}

export interface HoverOperand {
  readonly expression: string;
  readonly evaluation: Evaluation;
  /** The chain of the operand's own address, or of the value where that is a mapped address. */
  readonly translation?: TranslateAnswer;
}
