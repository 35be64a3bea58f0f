/**
 * A debug target without a machine: it does what a test tells it to. The adapter's own behaviour at its edges (a guest that never
 * stops, a target that throws, output, restarts) is tested with it; what people see is tested with real guests.
 */
import { hexBytes } from '../../src/base/hex';
import { ok } from '../../src/base/result';
import type { Answer } from '../../src/session/answer';
import type { DebugTarget, HoverAnswer } from '../../src/session/api';
import type { MemoryMap } from '../../src/session/tables/memory-map';
import type { PagemapRow } from '../../src/session/tables/pagemap';
import type { StepTarget, StepTargetKind } from '../../src/session/run/step-targets';
import type { TlbState } from '../../src/session/tables/tlb-state';
import type { TranslateAnswer } from '../../src/session/translate/translation';
import type {
  BreakpointView,
  DisassembledLine,
  EndInfo,
  Evaluation,
  FrameView,
  Location,
  MemoryRead,
  Output,
  RunResult,
  SpaceAddress,
  StopInfo,
  ViewPage,
} from '../../src/session/types';
import { sessionError } from '../../src/session/diagnostics';
import { prepareProgram, type Program } from '../../src/session/launch/program';

export const stopAt = (kind: StopInfo['kind'], more: Partial<StopInfo> = {}): StopInfo => ({
  kind,
  title: `stopped: ${kind}`,
  why: `because of ${kind}`,
  breakpoints: [],
  final: false,
  ...more,
});

const PROGRAM = prepareProgram({
  file: 'fake.asm',
  bytes: new TextEncoder().encode('bits 16\nhlt\n'),
  options: new Map(),
});

export class FakeTarget implements DebugTarget {
  get program(): Program {
    if (!PROGRAM.ok) throw new Error('the program of the fake target assembles');
    return PROGRAM.value;
  }
  stopped: StopInfo | undefined = stopAt('entry');
  ended: EndInfo | undefined;
  /** What the next calls of `run` do; the last one stays for all further calls. */
  script: (() => RunResult)[] = [];
  readonly asked: string[] = [];
  output: Output[] = [];
  paused = false;
  runs = 0;
  /** Rows of each view. */
  rows = 3;
  private nextId: number;

  /** @param firstId where this target's own breakpoint ids begin: no two targets agree on them */
  constructor(firstId = 100) {
    this.nextId = firstId;
  }

  /** Runs until `pause`. */
  static readonly spinning = (target: FakeTarget) => (): RunResult =>
    target.paused ? target.stop(stopAt('pause')) : { kind: 'running' };

  stop(stop: StopInfo): RunResult {
    this.stopped = stop;
    return { kind: 'stopped', stop };
  }
  end(code: number): RunResult {
    this.ended = { kind: 'halt', code, rip: 0n, why: 'The guest halted.', reason: [] };
    return { kind: 'ended', end: this.ended };
  }

  stopAtDirectives(): void {
    // it has none
  }
  continue_(): void {
    this.ask('continue');
  }
  stepIn(granularity: string, target?: StepTargetKind): void {
    this.ask(`step in ${granularity}${target === undefined ? '' : ` to the ${target}`}`);
  }
  rowActions(): readonly [] {
    return [];
  }
  stepTargets(): readonly StepTarget[] {
    return [{ kind: 'call', label: 'call f' }];
  }
  stepOver(granularity: string): void {
    this.ask(`step over ${granularity}`);
  }
  stepOut(): void {
    this.ask('step out');
  }
  pause(): void {
    this.paused = true;
  }
  run(): RunResult {
    this.runs++;
    const [next] = this.script;
    if (this.script.length > 1) this.script.shift();
    return next ? next() : this.stop(stopAt('step'));
  }
  takeOutput(): readonly Output[] {
    return this.output.splice(0);
  }

  setSourceBreakpoints(file: string, list: readonly { line: number }[]): readonly BreakpointView[] {
    return list.map(({ line }) => ({
      id: this.nextId++,
      verified: true,
      location: { file, line },
      address: BigInt(line),
    }));
  }
  setInstructionBreakpoints(list: readonly { address: bigint }[]): readonly BreakpointView[] {
    return list.map(({ address }) => ({ id: this.nextId++, verified: true, address }));
  }
  checkFunctionBreakpoint(): undefined {
    return undefined;
  }
  setFunctionBreakpoints(list: readonly { name: string }[]): readonly BreakpointView[] {
    return list.map(() => ({ id: this.nextId++, verified: true }));
  }
  setExceptionFilters(list: readonly { filter: string }[]): readonly BreakpointView[] {
    return list.map(({ filter }) => ({ id: this.nextId++, verified: true, message: filter }));
  }
  breakpointLines(file: string, from: number, to: number): readonly Location[] {
    return Array.from({ length: to - from + 1 }, (_, i) => ({ file, line: from + i }));
  }

  codeAt(file: string, line: number): { readonly location: Location; readonly address: bigint } {
    return { location: { file, line }, address: BigInt(line) };
  }

  frames(): readonly FrameView[] {
    const location = { file: '/guests/fake.asm', line: 2 };
    return [
      {
        id: 0,
        kind: 'hypervisor',
        name: 'handle_cpuid',
        actor: 'kvm',
        mode: 'kernel',
        document: { id: 7, name: 'exit', line: this.runs },
      },
      { id: 1, kind: 'guest', name: 'start', actor: 'guest', mode: 'non-root', address: 0x7c00n, location },
    ];
  }
  document(): string | undefined {
    return Array.from({ length: this.runs }, (_, i) => `step ${i + 1}`).join('\n');
  }
  readonly tableMaps: DebugTarget['tableMaps'] = {
    sets: () => [],
    page: () => ok({ rows: [], total: 0 }),
    find: () => ok({ path: [], present: false }),
    strips: () => ok([]),
  };
  get exits(): DebugTarget['exits'] {
    throw new Error('this target has no exits');
  }
  statistics(): readonly (readonly [string, number])[] {
    return [['exits', this.runs]];
  }
  view(path: string, start = 0, count = 1000): Answer<ViewPage> {
    if (path === 'ept') throw new Error('a broken view');
    const all = Array.from({ length: this.rows }, (_, i) => ({
      path: `${path}/${i}`,
      name: `row ${i}`,
      value: `value ${i}`,
      kind: 'field' as const,
      raw: BigInt(i),
      children: path === 'tlb' ? 500 : 0,
      editable: path === 'registers',
    }));
    return ok({ nodes: all.slice(start, start + count), total: all.length });
  }
  setValue(path: string, text: string): Answer<string> {
    this.asked.push(`set ${path} ${text}`);
    return ok(text);
  }
  evaluate(text: string): Answer<Evaluation> {
    if (text === 'nothing')
      return { ok: false, error: [sessionError('unknownName', 'there is no `nothing`', 'expression')] };
    return ok({ text: `${text}!`, value: 42n, kind: 'number' });
  }
  assign(target: string, value: string): Answer<Evaluation> {
    this.asked.push(`assign ${target} ${value}`);
    return ok({ text: value, kind: 'register' });
  }
  complete(text: string): readonly string[] {
    return [`${text}x`];
  }
  translate(): TranslateAnswer {
    const rights = { r: true, w: false, x: false, user: false };
    return {
      kind: 'forward',
      chain: { ok: true, gva: 42n, rights, references: 0, tlb: { hit: false, stale: null }, stages: [] },
    };
  }
  tlb(): TlbState {
    return { sets: 0, ways: 0, hits: 0, misses: 0, entries: [], total: 0, staleCount: 0 };
  }
  pagemap(): readonly PagemapRow[] {
    return [];
  }
  memoryMap(): MemoryMap {
    const host = { frames: 0, used: 0, swapPages: 0, swapUsed: 0, base: 0n };
    return { generation: 0, slots: [], holes: [], vmas: [], runs: [], host };
  }
  hover(): HoverAnswer | undefined {
    return undefined;
  }
  readMemory(at: SpaceAddress, length: number): MemoryRead {
    return { address: at, bytes: new Uint8Array(Math.min(length, 4)).fill(0xaa), unreadable: Math.max(0, length - 4) };
  }
  writeMemory(at: SpaceAddress, bytes: Uint8Array): Answer<number> {
    this.asked.push(`write ${this.formatReference(at)} ${hexBytes(bytes)}`);
    return ok(bytes.length);
  }
  disassemble(): readonly DisassembledLine[] {
    return [];
  }
  symbolOf(): string | undefined {
    return undefined;
  }
  parseReference(text: string): SpaceAddress | undefined {
    const match = /^(?:(gva|gpa|hva|hpa):)?(0x[0-9a-f]+)$/.exec(text);
    return match?.[2] ? { space: (match[1] ?? 'gva') as SpaceAddress['space'], value: BigInt(match[2]) } : undefined;
  }
  formatReference({ space, value }: SpaceAddress): string {
    return `${space === 'gva' ? '' : `${space}:`}0x${value.toString(16)}`;
  }

  private ask(what: string): void {
    this.asked.push(what);
    this.stopped = undefined;
    this.paused = false;
  }
}
