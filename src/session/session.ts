/** The debug target: one program on one machine, run and looked at. See api.ts for what each member promises. */
import { err, ok } from '../base/result';
import { disassemble } from '../asm/index';
import { findOperandAt } from '../expr/index';
import type { Step } from '../host/step';
import type { Machine } from '../vmm/machine';
import type { Answer, DebugTarget, EvaluateOptions, Granularity, HoverAnswer } from './api';
import { Assignment } from './assign';
import { Breakpoints } from './breakpoints';
import { Documents } from './documents';
import { sessionError } from './diagnostics';
import { evaluateExpression } from './evaluate';
import { GuestPhysical } from './guest-physical';
import { GuestView } from './guest-view';
import { createMachine } from './launch';
import { MemoryAccess, formatReference, parseReference } from './memory';
import { MONITOR_WORDS, monitor } from './monitor';
import { Names } from './names';
import { runReport, type RunReport } from './report';
import type { Program } from './program';
import { REGISTER_NAMES } from './registers';
import { RunControl } from './run-control';
import { guestFrames } from './stack';
import type { SymbolTable } from './symbols';
import { listGuestTables, listHostTables, type TableListing } from './table-listing';
import { accessOf, translateGpa, translateGva } from './translate';
import { reverseHpa, reverseHva } from './reverse';
import type { TranslateAnswer, TranslateQuery } from './translation';
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
  ViewPage,
} from './types';
import { Views } from './views';

/** What the guest's devices have put out since it was last taken; a character is a byte. */
interface Written {
  serial: string;
  debugcon: string;
}

export class Session implements DebugTarget {
  readonly guest: GuestView;
  readonly symbols: SymbolTable;
  private readonly memory: MemoryAccess;
  private readonly names: Names;
  private readonly breakpoints: Breakpoints;
  private readonly control: RunControl;
  private readonly views: Views;
  private readonly documents = new Documents();
  private logs: Output[] = [];

  private constructor(
    readonly program: Program,
    readonly machine: Machine,
    private readonly written: Written,
  ) {
    this.symbols = program.symbols;
    const slots = (): GuestPhysical['slots'] =>
      machine.vm.memslots.all.map((s) => ({
        slot: s.id,
        gpa: s.start,
        size: s.end - s.start,
        hva: s.hva,
        readOnly: s.readonly,
      }));
    this.guest = new GuestView(machine.vcpu, new GuestPhysical(machine.memory, machine.host, slots), machine.host);
    this.memory = new MemoryAccess(this.guest);
    this.names = new Names(this.guest, this.memory, this.symbols);
    this.breakpoints = new Breakpoints(this.names, (o) => this.logs.push(o));
    this.control = new RunControl(machine, this.guest, this.memory, this.names, this.breakpoints);
    this.views = new Views(machine, this.guest, this.names);
  }

  /** A machine with the program loaded, standing before its first instruction. */
  static create(this: void, program: Program): Answer<Session> {
    const written: Written = { serial: '', debugcon: '' };
    const machine = createMachine(program, {
      serial: (byte) => (written.serial += String.fromCharCode(byte)),
      debugcon: (byte) => (written.debugcon += String.fromCharCode(byte)),
    });
    return machine.ok ? ok(new Session(program, machine.value, written)) : machine;
  }

  // ---- run control

  continue_(): void {
    this.control.continue_();
  }
  stepIn(granularity: Granularity): void {
    this.control.step(true, granularity);
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
    const { written, logs } = this;
    const devices = (['serial', 'debugcon'] as const).flatMap((channel): Output[] =>
      written[channel] === '' ? [] : [{ channel, text: written[channel] }],
    );
    written.serial = '';
    written.debugcon = '';
    this.logs = [];
    return [...devices, ...logs];
  }
  /** Told of every Step of the hypervisor, in order, as it is done. */
  onStep(listener: (step: Step) => void): void {
    this.machine.onStep = listener;
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
    for (const f of guestFrames(this.guest, this.memory, this.symbols)) {
      out.push({
        id: out.length,
        kind: 'guest',
        name: f.name,
        actor: 'guest',
        mode: 'non-root',
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
  setValue(path: string, text: string): Answer<string> {
    return this.assignment.setValue(path, text);
  }
  assign(target: string, value: string, _options?: EvaluateOptions): Answer<Evaluation> {
    return this.assignment.assign(target, value);
  }
  private get assignment(): Assignment {
    return new Assignment(this.guest, this.memory, this.names, this.views);
  }

  evaluate(text: string, _options?: EvaluateOptions): Answer<Evaluation> {
    if (text.trim() === '') return err([sessionError('badExpression', 'there is nothing to evaluate', 'expression')]);
    const { guest, memory, names, machine, views } = this;
    return (
      monitor({ guest, memory, names, vm: machine.vm, statistics: () => views.statistics() }, text) ??
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
      text.trim() === word ? [...MONITOR_WORDS, ...this.names.all()] : [...REGISTER_NAMES, ...this.symbols.names];
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

  hover(line: string, column: number, options?: EvaluateOptions): HoverAnswer | undefined {
    const operand = findOperandAt(line, column);
    if (!operand) return undefined;
    // a number alone has a value and a chain too; a jump's target is a label like any other
    const evaluation = this.evaluateQuietly(operand.text, options);
    if (!evaluation) return undefined;
    const { address } = evaluation;
    const wanted =
      operand.kind === 'memory' || operand.kind === 'name' || operand.kind === 'register' || operand.kind === 'number';
    const translation =
      wanted && address && evaluation.kind !== 'constant'
        ? this.translate({ address: address.value, space: address.space })
        : undefined;
    const useful =
      operand.kind === 'memory' ||
      evaluation.kind === 'label' ||
      (translation?.kind === 'forward' && (translation.chain.gpa !== undefined || translation.chain.hpa !== undefined));
    return {
      expression: operand.text,
      start: operand.start,
      end: operand.end,
      evaluation,
      ...(translation && useful ? { translation } : {}),
    };
  }
  private evaluateQuietly(text: string, options?: EvaluateOptions): Evaluation | undefined {
    const value = this.evaluate(text, options);
    if (value.ok) return value.value;
    // memory that cannot be read still has an address, and its chain says why
    const inner = /^[^[]*\[(.*)\]$/s.exec(text)?.[1];
    const address =
      inner === undefined
        ? undefined
        : evaluateExpression(inner.replace(/^\s*(rel|abs)\s+/i, '').replace(/^\s*[c-gs]s\s*:/i, ''), this.names);
    if (!address?.ok || address.value.value === undefined) return undefined;
    return { text: 'cannot be read', kind: 'memory', address: { space: 'gva', value: address.value.value } };
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
    const { bits } = this.guest;
    const before = offset < 0 ? this.instructionsBefore(address, -offset) : [];
    const skip = Math.max(0, offset);
    const wanted = Math.max(0, count + skip - (offset < 0 ? Math.min(count, -offset) : 0));
    const { bytes } = this.memory.read({ space: 'gva', value: address }, Math.min(wanted * 15, 1 << 20));
    const after = disassemble(bytes, address, bits, wanted, (a) => this.symbols.symbolOf(a)).slice(skip);
    const lines = [...before, ...after].slice(0, count).map((i): DisassembledLine => {
      const symbol = this.symbols.symbolOf(i.address);
      const location = this.symbols.locationOf(i.address);
      return {
        address: i.address,
        bytes: i.bytes,
        text: i.text,
        valid: i.valid,
        ...(symbol === undefined || symbol.includes('+') ? {} : { symbol }),
        ...(location ? { location } : {}),
      };
    });
    const last = lines.at(-1);
    let next = last ? last.address + BigInt(Math.max(1, last.bytes.length)) : address;
    while (lines.length < count) {
      lines.push({ address: BigInt.asUintN(64, next), bytes: new Uint8Array(0), text: '??', valid: false });
      next += 1n;
    }
    return lines;
  }
  /** x86 cannot be read backwards: decoding starts far enough before for its boundaries to fall in step with those at `address`. */
  private instructionsBefore(address: bigint, count: number): readonly Omit<DisassembledLine, 'symbol' | 'location'>[] {
    const label = this.symbols.symbolOf(address);
    const distance = label?.includes('+') ? BigInt(label.slice(label.lastIndexOf('+') + 1)) : 0n;
    for (let back = BigInt(count * 15); back > 0n; back--) {
      const from = distance > 0n && distance < back ? distance : back;
      const start = address - from;
      const { bytes } = this.memory.read({ space: 'gva', value: BigInt.asUintN(64, start) }, Number(from));
      if (bytes.length < Number(from)) continue;
      const list = disassemble(bytes, start, this.guest.bits, Number(from));
      const last = list.at(-1);
      if (
        last &&
        last.valid &&
        last.address + BigInt(last.length) === address &&
        (list.length >= count || from === distance)
      )
        return pad(list.slice(-count), count, address);
      if (from === distance) break;
    }
    return pad([], count, address);
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
    return runReport(this.program, this.machine, this.guest, this.control.ended ?? this.control.presentEnd(), outputs);
  }
  /** Guest instructions completed so far. */
  get instructions(): number {
    return Number(this.machine.vcpu.instructions);
  }
  /** The present entries of a set of tables, in the order of the addresses that they map. */
  tables(of: 'guest' | 'ept' | 'host'): readonly TableListing[] {
    const { vm, host } = this.machine;
    switch (of) {
      case 'guest':
        return listGuestTables(this.guest);
      case 'ept':
        return listHostTables('ept', vm.mmu.rootTable(), (t) => vm.mmu.readTable(t));
      case 'host':
        return listHostTables('host', host.rootTable(), (t) => host.readTable(t));
    }
  }
  /** Where a label or `FILE:LINE` lies; undefined: there is no such place. */
  addressOfPlace(place: string): bigint | undefined {
    const at = /^(.*):(\d+)$/.exec(place);
    if (at?.[1] !== undefined) {
      const { file } = this.program;
      const named = at[1] === file || file.endsWith(`/${at[1]}`);
      return this.symbols.codeAt(named ? file : at[1], Number(at[2]))?.address;
    }
    return this.symbols.isLabel(place) ? this.symbols.valueOf(place) : undefined;
  }
}

/** Rows for what cannot be decoded before `address`: clients ask for a fixed number of lines. */
function pad(
  list: readonly Omit<DisassembledLine, 'symbol' | 'location'>[],
  count: number,
  address: bigint,
): readonly Omit<DisassembledLine, 'symbol' | 'location'>[] {
  const first = list[0]?.address ?? address;
  const missing = count - list.length;
  const filler = Array.from({ length: missing }, (_, i) => ({
    address: BigInt.asUintN(64, first - BigInt(missing - i)),
    bytes: new Uint8Array(0),
    text: '??',
    valid: false,
  }));
  return [...filler, ...list];
}
