/** The debug target: one program on one machine, run and looked at. See api.ts for what each member promises. */
import type { Diagnostic } from '../base/diagnostic';
import { err, ok } from '../base/result';
import type { Step } from '../trace/step';
import type { Machine } from '../vmm/machine';
import type { Answer } from './answer';
import type { DebugTarget, EvaluateOptions, Granularity, HoverAnswer } from './api';
import { Assignment } from './console/assign';
import { splitAssignment } from './console/assignment-text';
import { Breakpoints } from './run/breakpoints';
import { checkClauses } from './run/check-clauses';
import type { AssertResult } from './run/checks';
import { Checks } from './run/checks';
import { disassembleAround } from './guest/disassembly';
import { Documents } from './stack/documents';
import { sessionError } from './diagnostics';
import { ExitHistory } from './exits/history';
import { evaluateExpression } from './console/evaluate';
import { GuestPhysical } from './translate/guest-physical';
import { GuestView } from './guest/view';
import { HostEvents } from './console/host-events';
import { HostScript } from './run/host-script';
import { hoverAt } from './console/hover';
import { createMachine } from './launch/launch';
import { MemoryAccess, formatReference, parseReference } from './guest/memory';
import { memoryMap, type MemoryMap, type MemoryMapQuery } from './tables/memory-map';
import { pagemap, type PagemapRow } from './tables/pagemap';
import { MONITOR_WORDS, hostCommand, monitor } from './console/monitor';
import { Names } from './console/names';
import { OutputQueue } from './run/output-queue';
import { runReport, type RunReport } from './run/report';
import type { Program } from './launch/program';
import { REGISTER_NAMES } from './guest/registers';
import { RunControl } from './run/run-control';
import { RunFacts } from './console/run-facts';
import { guestFrames } from './stack/stack';
import type { SymbolTable } from './guest/symbols';
import { driftOf } from './tables/drift';
import { firstTouch } from './run/whereabouts';
import { listShadowTables } from './tables/shadow-listing';
import { TableMaps } from './tables/map/index';
import { listGuestTables, listHostTables, type TableListing } from './tables/listing';
import type { TlbState } from './tables/tlb-state';
import { tlbState } from './tables/tlb-view';
import { accessOf, translateGpa, translateGva } from './translate/translate';
import { reverseHpa, reverseHva } from './translate/reverse';
import type { RowAction } from './views/row-actions';
import { rowActions } from './views/row-actions';
import type { StepTarget, StepTargetKind } from './run/step-targets';
import { stepTargets } from './run/step-targets';
import type { TranslateAnswer, TranslateQuery } from './translate/translation';
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
import { frameOfRoot } from './types';
import { Views } from './views';

export class Session implements DebugTarget {
  readonly guest: GuestView;
  readonly symbols: SymbolTable;
  readonly tableMaps: TableMaps;
  private readonly memory: MemoryAccess;
  private readonly names: Names;
  private readonly breakpoints: Breakpoints;
  private readonly checks: Checks;
  /** What is wrong with the guest file's checks. */
  private readonly problems: readonly Diagnostic[];
  private readonly control: RunControl;
  private readonly script: HostScript;
  private readonly events: HostEvents;
  private readonly views: Views;
  readonly exits: ExitHistory;
  private readonly documents = new Documents();

  private constructor(
    readonly program: Program,
    readonly machine: Machine,
    private readonly outputs: OutputQueue,
  ) {
    this.symbols = program.symbols;
    const slots = (): GuestPhysical['slots'] =>
      machine.ram.memslots.all.map((s) => ({
        slot: s.id,
        gpa: s.start,
        size: s.end - s.start,
        hva: s.hva,
        readOnly: s.readonly,
      }));
    this.guest = new GuestView(
      machine.accelerator,
      new GuestPhysical(machine.memory, machine.host, slots),
      machine.host,
    );
    this.memory = new MemoryAccess(this.guest);
    const facts = new RunFacts(machine, (query) => this.translate(query));
    this.names = new Names(this.guest, this.memory, this.symbols, facts);
    this.breakpoints = new Breakpoints(this.names, (o) => outputs.add(o), program.settings.mmu);
    const { checks, events } = program.directives;
    const checked = checkClauses(checks, this.names);
    this.checks = new Checks(checks, checked.clauses, {
      env: () => this.names.env(),
      output: (o) => outputs.add(o),
      place: () => `Before the instruction at ${this.formatReference({ space: 'gva', value: this.guest.linearRip })}.`,
    });
    const atExits = checks.filter((d) => d.kind === 'break').filter((d) => d.at !== 'line');
    this.problems = [...checked.problems, ...this.breakpoints.setDirectives(atExits)];
    this.events = new HostEvents(machine, this.guest, this.symbols);
    const { places } = program.directives;
    this.script = new HostScript(events, this.checks.atLines, places, this.symbols, this.guest, this.events, (o) =>
      outputs.add(o),
    );
    machine.bus.unanswered.onFirst = (place, write) => {
      const told = firstTouch(this, place, write);
      if (told) outputs.add(told);
    };
    this.control = new RunControl(
      machine,
      this.guest,
      this.memory,
      this.names,
      this.breakpoints,
      this.script,
      this.checks,
    );
    this.exits = new ExitHistory(machine, this.symbols);
    this.views = new Views(machine, this.guest, this.names, (level) => this.namesAt(level));
    this.tableMaps = new TableMaps(this.guest, machine, this.symbols, () => this.control.stops);
  }

  /** A machine with the program loaded, standing before its first instruction. */
  static create(this: void, program: Program): Answer<Session> {
    const outputs = new OutputQueue();
    // a character is a byte
    const sink = (channel: 'serial' | 'debugcon') => (byte: number) =>
      outputs.add({ channel, text: String.fromCharCode(byte) });
    const machine = createMachine(program, { serial: sink('serial'), debugcon: sink('debugcon') });
    if (!machine.ok) return machine;
    const session = new Session(program, machine.value, outputs);
    return session.problems.length > 0 ? err(session.problems) : ok(session);
  }

  // ---- run control

  continue_(): void {
    this.control.continue_();
  }
  stepIn(granularity: Granularity, target?: StepTargetKind): void {
    const wanted = target ?? (this.control.leftAnExitHere && this.stepTargets().length > 0 ? 'call' : 'exit');
    this.control.step(wanted === 'call' ? 'call' : true, granularity);
  }
  rowActions(node: ViewNode): readonly RowAction[] {
    return rowActions(this.machine, node, (at) => this.events.hvaOf({ kind: 'address', ...at }));
  }
  stepTargets(): readonly StepTarget[] {
    if (this.control.activity) return [];
    return stepTargets(this.guest, this.memory, this.names, (query) => this.translate(query));
  }
  stepOver(granularity: Granularity): void {
    this.control.step(false, granularity);
  }
  stepOut(): void {
    this.control.stepOut();
  }
  pause(): void {
    this.control.pause();
  }
  run(budget: number): RunResult {
    return this.control.run(budget);
  }
  get stopped(): StopInfo | undefined {
    return this.control.stopped;
  }
  get ended(): EndInfo | undefined {
    return this.control.ended;
  }
  takeOutput(): readonly Output[] {
    return this.outputs.take();
  }
  /** Told of every Step of the hypervisor, in order, as it is done. */
  onStep(listener: (step: Step) => void): void {
    this.machine.onStep = listener;
  }

  stopAtDirectives(stops: boolean): void {
    this.checks.stops = stops;
    this.breakpoints.directivesStop = stops;
  }

  // ---- breakpoints

  setSourceBreakpoints(file: string, list: readonly SourceBreakpoint[]): readonly BreakpointView[] {
    return this.breakpoints.setSource(file, list);
  }
  setInstructionBreakpoints(list: readonly InstructionBreakpoint[]): readonly BreakpointView[] {
    return this.breakpoints.setInstruction(list);
  }
  setFunctionBreakpoints(list: readonly FunctionBreakpoint[]): readonly BreakpointView[] {
    return this.breakpoints.setFunctions(list);
  }
  checkFunctionBreakpoint(breakpoint: FunctionBreakpoint): BreakpointView | undefined {
    return this.breakpoints.checkFunction(breakpoint);
  }
  setExceptionFilters(list: readonly ExceptionFilter[]): readonly BreakpointView[] {
    return this.breakpoints.setFilters(list);
  }
  breakpointLines(file: string, from: number, to: number): readonly Location[] {
    return this.symbols.codeLines(file, from, to).map((line) => ({ file, line }));
  }
  codeAt(file: string, line: number): { readonly location: Location; readonly address: bigint } | undefined {
    const span = this.symbols.codeAt(file, line);
    return span && { location: { file: span.file, line: span.line }, address: span.address };
  }

  // ---- looking

  frames(): readonly FrameView[] {
    const { activity } = this.control;
    const out: FrameView[] = [];
    if (activity) {
      const document = this.documents.of(activity);
      for (const f of activity.frames) {
        out.push({
          id: out.length,
          kind: 'hypervisor',
          name: f.name,
          actor: f.actor,
          mode: f.mode,
          document: { id: document, name: activity.name, line: f.line },
        });
      }
    }
    const above = out.length;
    for (const f of guestFrames(this.guest, this.memory, this.symbols)) {
      out.push({
        id: out.length,
        kind: 'guest',
        name: f.name,
        actor: 'guest',
        mode: this.guest.emulated ? 'user' : 'non-root',
        level: out.length - above,
        address: f.address,
        ...(f.location ? { location: f.location } : {}),
      });
    }
    return out;
  }
  document(id: number): string | undefined {
    return this.documents.text(id);
  }
  view(path: string, start = 0, count = Number.MAX_SAFE_INTEGER): Answer<ViewPage> {
    return this.views.page(path, start, count);
  }
  statistics(): readonly (readonly [string, number])[] {
    return this.views.statistics();
  }
  setValue(path: string, text: string): Answer<string> {
    const { level } = frameOfRoot(path.split('/')[0] ?? '');
    return this.assignment(this.namesAt(level)).setValue(path, text);
  }
  assign(target: string, value: string, options?: EvaluateOptions): Answer<Evaluation> {
    return this.assignment(this.namesOf(options)).assign(target, value);
  }
  private assignment(names = this.names): Assignment {
    return new Assignment(this.guest, this.memory, names, this.views, this.machine);
  }
  /** Names with the registers of a frame; those of a hypervisor's frame are the top guest frame's. */
  private namesOf({ frame = 0 }: EvaluateOptions = {}): Names {
    return this.namesAt(frame - (this.control.activity?.frames.length ?? 0)) ?? this.names;
  }
  /** Those of the guest frame of a level; undefined if there is no frame at that level. */
  private namesAt(level: number): Names | undefined {
    if (level <= 0) return this.names;
    const found = guestFrames(this.guest, this.memory, this.symbols, level + 1)[level];
    return found && this.names.at(found.registers);
  }

  evaluate(text: string, options?: EvaluateOptions): Answer<Evaluation> {
    if (text.trim() === '') return err([sessionError('badExpression', 'there is nothing to evaluate', 'expression')]);
    const { guest, memory, machine, views } = this;
    const names = this.namesOf(options);
    const assignment = options?.acts === false ? undefined : splitAssignment(text);
    if (assignment) return this.assign(assignment.target, assignment.value, options);
    return (
      hostCommand(this.events, text, options?.acts !== false) ??
      monitor({ guest, memory, names, machine, statistics: () => views.statistics() }, text) ??
      evaluateExpression(text, names)
    );
  }
  complete(text: string): readonly string[] {
    const word = /[\w.@$]*$/.exec(text)?.[0] ?? '';
    // behind the first word of a two-word command only its second ones fit
    const typed = text.trimStart().toLowerCase();
    const seconds = typed.includes(' ')
      ? MONITOR_WORDS.filter((w) => w.startsWith(typed)).map((w) => w.slice(w.indexOf(' ') + 1))
      : [];
    if (seconds.length > 0) return seconds;
    const all =
      text.trim() === word
        ? [...MONITOR_WORDS, ...this.names.all()]
        : [...REGISTER_NAMES, ...this.symbols.names, ...this.names.constantNames];
    return [...new Set(all)].filter((n) => n.toLowerCase().startsWith(word.toLowerCase())).slice(0, 100);
  }

  translate(query: TranslateQuery): TranslateAnswer {
    const { guest } = this;
    const access = accessOf(query, guest.cpl);
    switch (query.space) {
      case 'gva':
        return { kind: 'forward', chain: translateGva(guest, query.address, access) };
      case 'gpa':
        return { kind: 'forward', chain: translateGpa(guest, query.address, access) };
      case 'hva':
        return { kind: 'reverse', chain: reverseHva(guest, query.address) };
      case 'hpa':
        return { kind: 'reverse', chain: reverseHpa(guest, query.address) };
    }
  }

  tlb(most?: number): TlbState {
    return tlbState(this.guest, most);
  }
  pagemap(): readonly PagemapRow[] {
    return pagemap(this.machine);
  }
  memoryMap(query?: MemoryMapQuery): MemoryMap {
    return memoryMap(this.machine, this.guest.physicalBits, query);
  }

  hover(line: string, column: number, options?: EvaluateOptions): HoverAnswer | undefined {
    return hoverAt(line, column, this.namesOf(options), (query) => this.translate(query));
  }

  readMemory(at: SpaceAddress, length: number): MemoryRead {
    return this.memory.read(at, length);
  }
  writeMemory(at: SpaceAddress, bytes: Uint8Array): Answer<number> {
    const written = this.memory.write(at, bytes);
    if (written === 0 && bytes.length > 0)
      return err([sessionError('noMemory', `there is no memory at ${formatReference(at)}`, 'memory')]);
    this.guest.refresh();
    return ok(written);
  }

  disassemble(address: bigint, offset: number, count: number): readonly DisassembledLine[] {
    return disassembleAround(this.guest.bits, this.memory, this.symbols, address, offset, count);
  }

  symbolOf(address: bigint): string | undefined {
    return this.symbols.symbolOf(address);
  }
  parseReference(text: string): SpaceAddress | undefined {
    return parseReference(text);
  }
  formatReference(at: SpaceAddress): string {
    return formatReference(at);
  }

  // ---- for the command line

  /** What the run has come to, as `pagewalk run --json` prints it. */
  report(outputs: { readonly serial: string; readonly debugcon: string }): RunReport {
    const end = this.control.ended ?? this.control.presentEnd();
    return runReport(this.program, this.machine, this.guest, end, this.script.outcomes, outputs, this.asserts);
  }
  /** What became of the guest file's `@assert` lines so far. */
  get asserts(): readonly AssertResult[] {
    return this.checks.results;
  }
  /** Guest instructions completed so far. */
  get instructions(): number {
    return Number(this.machine.instructions);
  }
  /** A hash of the whole machine (Machine.hash); undefined in the middle of an exit, where no snapshot lies. */
  hash(): string | undefined {
    return this.machine.atBoundary ? this.machine.hash() : undefined;
  }
  /** Whether a set of tables exists in this run at this moment; one that does may be empty still. Otherwise why it does not. */
  tablesAbsent(of: 'guest' | 'shadow' | 'ept' | 'npt' | 'host'): string | undefined {
    const { second } = this.machine.accelerator;
    switch (of) {
      case 'guest':
        return this.guest.controls.format === 'none' ? 'the guest has paging off' : undefined;
      case 'shadow':
        return second.kind === 'shadow' ? undefined : `mmu=${this.program.settings.mmu} has no shadow tables`;
      case 'ept':
      case 'npt':
        return second.kind === 'nested' && second.tables.kind === of
          ? undefined
          : `mmu=${this.program.settings.mmu} has no ${of.toUpperCase()}`;
      case 'host':
        return undefined;
    }
  }
  /** The present entries of a set of tables and those that mark MMIO, in the order of the addresses that they map. */
  tables(of: 'guest' | 'shadow' | 'ept' | 'npt' | 'host'): readonly TableListing[] {
    const { accelerator, host } = this.machine;
    const { second } = accelerator;
    switch (of) {
      case 'guest':
        return listGuestTables(this.guest, driftOf(this.guest));
      case 'shadow':
        return second.kind === 'shadow' ? listShadowTables(second.shadow, driftOf(this.guest)) : [];
      case 'ept':
      case 'npt':
        return second.kind === 'nested' && second.tables.kind === of
          ? listHostTables(of, second.mmu.rootTable(), (t) => second.mmu.readTable(t))
          : [];
      case 'host':
        return listHostTables('host', host.rootTable(), (t) => host.readTable(t));
    }
  }
  /** Where a label or `FILE:LINE` lies; undefined: there is no such place. */
  addressOfPlace(place: string): bigint | undefined {
    const at = /^(.*):(\d+)$/.exec(place);
    if (at?.[1] !== undefined) {
      const { file } = this.program;
      const written = at[1];
      const isNamed = (path: string): boolean => path === written || path.endsWith(`/${written}`);
      const named = isNamed(file) ? file : (this.symbols.files.find(isNamed) ?? written);
      return this.symbols.codeAt(named, Number(at[2]))?.address;
    }
    return this.symbols.isLabel(place) ? this.symbols.valueOf(place) : undefined;
  }
}
