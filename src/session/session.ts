/**
 * The debug target: one program on one machine, run and inspected. It assembles the parts; each part is a class in its
 * own folder, and callers use the part that they need.
 */
import type { Diagnostic } from '../base/diagnostic';
import { err, ok } from '../base/result';
import type { Machine } from '../vmm/machine';
import type { Answer } from './answer';
import type { DebugTarget } from './api';
import { Console } from './console/console';
import { HostEvents } from './console/host-events';
import { Names } from './console/names';
import { RunFacts } from './console/run-facts';
import { ExitHistory } from './exits/history';
import { Disassembly } from './guest/disassembly';
import { MemoryAccess, formatReference } from './guest/memory';
import type { SymbolTable } from './guest/symbols';
import { GuestView } from './guest/view';
import { createMachine } from './launch/launch';
import type { Program } from './launch/program';
import { Breakpoints } from './run/breakpoints';
import { checkClauses } from './run/check-clauses';
import { Checks } from './run/checks';
import { HostScript } from './run/host-script';
import { OutputQueue } from './run/output-queue';
import { runReport, type RunReport } from './run/report';
import { RunControl } from './run/run-control';
import { firstTouch } from './run/whereabouts';
import { Frames } from './stack/frames';
import { Tables } from './tables/tables';
import { GuestPhysical } from './translate/guest-physical';
import { translateQuery } from './translate/query';
import type { Translate } from './translate/translation';
import { Views } from './views';

export class Session implements DebugTarget {
  readonly guest: GuestView;
  readonly symbols: SymbolTable;
  readonly run: RunControl;
  readonly breakpoints: Breakpoints;
  readonly checks: Checks;
  readonly stack: Frames;
  readonly exits: ExitHistory;
  readonly tables: Tables;
  readonly memory: MemoryAccess;
  readonly disassembly: Disassembly;
  readonly views: Views;
  readonly console: Console;
  readonly translate: Translate;
  private readonly script: HostScript;
  /** What is wrong with the guest file's checks. */
  private readonly problems: readonly Diagnostic[];

  private constructor(
    readonly program: Program,
    readonly machine: Machine,
    readonly output: OutputQueue,
  ) {
    const { symbols, settings } = program;
    const { checks, events: directives, places } = program.directives;
    const guest = guestOf(machine);
    const memory = new MemoryAccess(guest);
    const translate: Translate = (query) => translateQuery(guest, query);
    const names = new Names(guest, memory, symbols, new RunFacts(machine, translate));
    const breakpoints = new Breakpoints(names, (o) => output.add(o), settings.mmu);
    const checked = checkClauses(checks, names);
    this.checks = new Checks(checks, checked.clauses, {
      env: () => names.env(),
      output: (o) => output.add(o),
      place: () => `Before the instruction at ${formatReference({ space: 'gva', value: guest.linearRip })}.`,
    });
    const atExits = checks.filter((d) => d.kind === 'break').filter((d) => d.at !== 'line');
    this.problems = [...checked.problems, ...breakpoints.setDirectives(atExits)];
    const events = new HostEvents(machine, guest, symbols);
    this.script = new HostScript(directives, this.checks.atLines, places, symbols, guest, events, (o) => output.add(o));
    machine.bus.unanswered.onFirst = (place, write) => {
      const text = firstTouch({ machine, guest, symbols }, place, write);
      if (text) output.add(text);
    };
    const run = new RunControl(machine, guest, memory, names, breakpoints, this.script, this.checks, translate);
    const stack = new Frames(guest, memory, symbols, () => run.activity);
    const views = new Views(machine, guest, names, (level) => {
      const registers = stack.registersAt(level);
      return registers && names.at(registers);
    });
    this.guest = guest;
    this.symbols = symbols;
    this.run = run;
    this.breakpoints = breakpoints;
    this.stack = stack;
    this.exits = new ExitHistory(machine, symbols);
    this.tables = new Tables(machine, guest, symbols, settings.mmu, () => run.stops);
    this.memory = memory;
    this.disassembly = new Disassembly(guest, memory, symbols);
    this.views = views;
    this.console = new Console({ machine, guest, memory, names, stack, views, events, translate });
    this.translate = translate;
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

  /** What the run has come to, as `pagewalk run --json` prints it. */
  report(outputs: { readonly serial: string; readonly debugcon: string }): RunReport {
    const end = this.run.ended ?? this.run.presentEnd();
    return runReport(this.program, this.machine, this.guest, end, this.script.outcomes, outputs, this.checks.results);
  }
  /** A hash of the whole machine (Machine.hash); undefined in the middle of an exit, where no snapshot lies. */
  hash(): string | undefined {
    return this.machine.atBoundary ? this.machine.hash() : undefined;
  }
}

function guestOf(machine: Machine): GuestView {
  const slots = (): GuestPhysical['slots'] =>
    machine.ram.memslots.all.map((s) => ({
      slot: s.id,
      gpa: s.start,
      size: s.end - s.start,
      hva: s.hva,
      readOnly: s.readonly,
    }));
  return new GuestView(machine.accelerator, new GuestPhysical(machine.memory, machine.host, slots), machine.host);
}
