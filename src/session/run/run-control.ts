/**
 * Continuing and stepping: carries out an intention a budget at a time, asks the breakpoints at each event, and says why it stopped.
 * What is observed never changes what the guest does: addresses are watched by the CPU's own comparison, exits and faults by being asked on their way.
 */
import { hex } from '../../base/hex';
import { reasonOfFault, type FaultInChain } from '../../vmm/fault-reasons';
import type { FaultEvent } from '../../hw/state/event';
import { VECTOR } from '../../isa/exceptions';
import type { ExprValue } from '../../expr/index';
import type { Machine } from '../../vmm/machine';
import type { ExitInfo } from '../../kvm/exit-info';
import type { MachineEnd, MachineStop } from '../../vmm/machine-stop';
import type { Breakpoint, Breakpoints } from './breakpoints';
import type { Checks } from './checks';
import { exitFacts } from '../exits/facts';
import { exitTitle } from '../exits/title';
import { viewExit } from '../exits/view';
import type { GuestView } from '../guest/view';
import { Activity } from '../exits/activity';
import type { MemoryAccess } from '../guest/memory';
import { stepTargets, type StepTarget, type StepTargetKind } from './step-targets';
import { Stepper, type CallReturn, type Granularity, type StepGoal } from './stepper';
import { exceptionTitle, exceptionWords, faultFacts, pageFaultTitle, pageFaultWhy } from './page-faults';
import type { Names } from '../console/names';
import type { Translate } from '../translate/translation';
import type { HostScript } from './host-script';
import type { EndInfo, RunResult, StopInfo, StopKind } from '../types';
import { endOf, stopOfEnd } from './ends';
import { FaultLoop, ModeWatch, whereabouts } from './whereabouts';
import type { OutsideCause } from '../../vmm/machine-stop';

type Goal =
  | { readonly kind: 'continue' }
  | StepGoal
  /** Within an exit: until a Step of at most this depth; `depth` −1: back to the guest. */
  | { readonly kind: 'exit'; readonly depth: number };

/** Steps of one slice between two looks at whether a pause was asked for. */
const MAX_STEPS_PER_RUN = 20_000;
/** What an exit and its handling count for in a budget of instructions: a budget bounds the time of a guest that exits all the while, too. */
const EXIT_WORK = 1000;

export class RunControl {
  activity: Activity | undefined;
  /** The stop at which the target stands; undefined while it runs. */
  stopped: StopInfo | undefined;
  ended: EndInfo | undefined;
  /** How often it has stopped, the first time before its first instruction. */
  stops = 1;
  private goal: Goal = { kind: 'continue' };
  private callReturn: CallReturn | undefined;
  /** What the CPU's breakpoints were last made of. */
  private watched: { on: Set<bigint>; addresses: ReadonlySet<bigint>; callReturn: bigint | undefined } | undefined;
  private pausing = false;
  /** What an observer decided while the machine was running, to be reported when it comes back. */
  private found: StopInfo | undefined;
  /** The page fault that was asked about last: when, where, error code. */
  private faultSeen: string | undefined;
  private exits = 0;
  private readonly stepper: Stepper;
  private readonly faults = new FaultLoop();
  private readonly modes: ModeWatch;

  constructor(
    private readonly machine: Machine,
    private readonly guest: GuestView,
    private readonly memory: MemoryAccess,
    private readonly names: Names,
    private readonly breakpoints: Breakpoints,
    private readonly script: HostScript,
    private readonly checks: Checks,
    private readonly translate: Translate,
  ) {
    this.stepper = new Stepper(guest, memory, names.symbols);
    machine.pauseAtExits = (exit, number) => this.atExit(exit, number);
    machine.pauseOutside = () => this.goal.kind === 'step' && this.goal.into === true && this.callReturn === undefined;
    this.modes = new ModeWatch(guest.cpu, names.symbols);
    guest.cpu.faultObserver = (event) => {
      if (event.software === undefined) this.faults.note(event, guest.cpu.linearRip, this.guest.retired);
      return this.atFault(event);
    };
    this.stopped = plain(
      'entry',
      'entry',
      `Before the guest's first instruction, at ${this.describe(guest.linearRip)}.`,
    );
  }

  // ---- intentions

  continue_(): void {
    this.begin({ kind: 'continue' });
  }
  /** Where the guest stood when an exit's Steps were left, by a step: the instruction is still to be executed. */
  private leftExitAt: string | undefined;
  private here(): string {
    return `${this.guest.retired} ${this.guest.linearRip}`;
  }

  /**
   * Into calls, and from a faulting or exiting instruction into the hypervisor; within an exit: the next Step. A call at which an exit's Steps have just been left is
   * entered, whatever exits are still on its way; `target` says otherwise.
   */
  stepIn(granularity: Granularity, target?: StepTargetKind): void {
    const wanted = target ?? (this.leftExitAt === this.here() && this.stepTargets().length > 0 ? 'call' : 'exit');
    this.step(wanted === 'call' ? 'call' : true, granularity);
  }
  /** Where `stepIn` may lead from the next instruction; empty where there is no choice to make. */
  stepTargets(): readonly StepTarget[] {
    return this.activity ? [] : stepTargets(this.guest, this.memory, this.names, this.translate);
  }
  /** Over calls and over exits; within an exit: the next Step of the same or an outer frame. */
  stepOver(granularity: Granularity): void {
    this.step(false, granularity);
  }
  /** `into`: `call` goes into calls and handles exits on the way. */
  private step(into: boolean | 'call', unit: Granularity): void {
    if (this.activity)
      this.begin({ kind: 'exit', depth: into !== false ? Number.MAX_SAFE_INTEGER : this.activity.depth });
    else this.begin({ kind: 'step', into, unit, start: this.stepper.place() });
  }
  /** Out of the guest function; within an exit: back to the guest. */
  stepOut(): void {
    this.begin(this.activity ? { kind: 'exit', depth: -1 } : { kind: 'out', rsp: this.stepper.rsp });
  }
  /** Heard by the run in progress at its next slice, or at once by the next `advance`. */
  pause(): void {
    this.pausing = true;
  }

  /** Whether failed `@assert` and reached `@break` of the guest file stop the run; else they are only reported. Default: no. */
  stopAtDirectives(stops: boolean): void {
    this.checks.stops = stops;
    this.breakpoints.directivesStop = stops;
  }

  private begin(goal: Goal): void {
    this.goal = goal;
    this.callReturn = undefined;
    this.pausing = false;
    this.found = undefined;
    if (this.stopped?.final) this.ended ??= this.pendingEnd;
    this.stopped = undefined;
    // while an exit is handled the CPU remembers by itself where the guest stood
    if (this.guest.inGuest) this.guest.cpu.passBreakpoint();
  }
  private pendingEnd: EndInfo | undefined;

  /** How things stand, as a report of a run that has not ended tells it. */
  presentEnd(): EndInfo {
    return (
      this.pendingEnd ?? { kind: 'limit', code: 6, rip: this.guest.state.rip, why: 'the run has not ended', reason: [] }
    );
  }

  // ---- running

  /** Carries out what was asked for, for at most `budget` instructions' work. */
  advance(budget: number): RunResult {
    if (this.ended) return { kind: 'ended', end: this.ended };
    if (this.stopped) return { kind: 'stopped', stop: this.stopped };
    let left = Math.max(1, budget);
    for (let turns = 0; left > 0 && turns < MAX_STEPS_PER_RUN; turns++) {
      if (this.pausing) return this.pauseNow();
      const before = this.guest.accelerator.instructions;
      const result = this.activity ? this.insideExit() : this.insideGuest(left);
      if (result) return result;
      left = this.spent ? 0 : left - Math.max(1, Number(this.guest.accelerator.instructions - before));
    }
    return { kind: 'running' };
  }

  /** The machine used up all that it was given: iterations of REP and exits count there, retired instructions do not tell. */
  private spent = false;

  private insideGuest(left: number): RunResult | undefined {
    const { goal } = this;
    if (this.callReturn === undefined && isStep(goal)) this.callReturn = this.stepper.look(goal);
    const cruising = goal.kind === 'continue' || this.callReturn !== undefined;
    this.watch();
    const before = this.script.arrive();
    if (before) return this.stop(before);
    const stop = this.machine.run(cruising ? left : 1, Math.ceil(left / EXIT_WORK));
    this.spent = cruising && stop.kind === 'budget';
    this.guest.refresh();
    // a person who steps onto such a line sees what it did
    const asked = stop.kind !== 'end' && this.guest.inGuest ? this.script.arrive() : undefined;
    const reported = this.handle(stop);
    if (asked)
      return this.stop({ ...asked, breakpoints: reported?.kind === 'stopped' ? reported.stop.breakpoints : [] });
    if (reported) return reported;
    if (goal.kind === 'continue' || this.callReturn !== undefined || this.activity) return undefined;
    return isStep(goal) && this.stepper.reached(goal) ? this.stop(plain('step', 'step', '')) : undefined;
  }

  /** What the machine came back with, where that ends the run or begins an activity. */
  private handle(stop: MachineStop): RunResult | undefined {
    switch (stop.kind) {
      case 'budget':
        return undefined;
      case 'breakpoint':
        return this.atBreakpoint(stop.linear);
      case 'exit-pending':
        return this.atPendingExit(stop.exit);
      case 'outside-pending':
        return this.intoEmulation(stop.about);
      case 'fault':
        return this.found ? this.stop(this.found) : undefined;
      case 'end':
        return this.end(stop.end);
    }
  }

  private end(machineEnd: MachineEnd): RunResult {
    this.activity = undefined;
    const { machine, guest, names, faults, modes } = this;
    const more = whereabouts({ machine, guest, symbols: names.symbols, faults, modes }, machineEnd);
    const end = endOf(more === '' ? machineEnd : { ...machineEnd, why: `${machineEnd.why}. ${more}` });
    this.script.finish();
    const failed = this.checks.finish();
    const explained = stopOfEnd(end) ?? (failed && { ...failed, final: true });
    if (explained === undefined) {
      this.ended = end;
      return { kind: 'ended', end };
    }
    this.pendingEnd = end;
    return this.stop(explained);
  }

  private stop(at: StopInfo): RunResult {
    const stop = this.problem === undefined || at.breakpoints.length === 0 ? at : { ...at, problem: this.problem };
    this.problem = undefined;
    this.stopped = stop;
    this.stops++;
    this.found = undefined;
    this.callReturn = undefined;
    this.pausing = false;
    return { kind: 'stopped', stop };
  }

  private pauseNow(): RunResult {
    this.guest.refresh();
    return this.stop(plain('pause', 'paused', `Paused at ${this.describe(this.guest.linearRip)}.`));
  }

  /** Where the CPU compares addresses: at the breakpoints, and where a call that is stepped over returns to. */
  private watch(): void {
    const { breakpoints } = this.guest.cpu;
    const { addresses } = this.breakpoints;
    const callReturn = this.callReturn?.address;
    const { watched } = this;
    // there may be tens of thousands, and a run is many slices
    if (watched?.on === breakpoints && watched.addresses === addresses && watched.callReturn === callReturn) return;
    breakpoints.clear();
    for (const a of addresses) breakpoints.add(a);
    for (const a of this.script.addresses) breakpoints.add(a);
    if (callReturn !== undefined) breakpoints.add(callReturn);
    this.watched = { on: breakpoints, addresses, callReturn };
  }

  private atBreakpoint(linear: bigint): RunResult | undefined {
    const hit = this.hits(this.breakpoints.at(linear));
    if (this.callReturn?.address === linear && this.stepper.rsp >= this.callReturn.rsp) {
      this.callReturn = undefined;
      const goal = this.goal;
      if (hit.length === 0 && isStep(goal) && this.stepper.reached(goal)) return this.stop(plain('step', 'step', ''));
    }
    if (hit.length === 0) return undefined;
    const origins = hit.map((b) => (b.trigger.kind === 'address' ? b.trigger.origin : 'source'));
    const kind: StopKind = origins.includes('source')
      ? 'breakpoint'
      : origins.includes('instruction')
        ? 'instruction-breakpoint'
        : 'function-breakpoint';
    return this.stop({
      ...plain(kind, 'breakpoint', `Before the instruction at ${this.describe(linear)}.`),
      breakpoints: hit.map((b) => b.view.id),
    });
  }

  private hits(candidates: readonly Breakpoint[], facts?: ReadonlyMap<string, ExprValue>): readonly Breakpoint[] {
    const env = this.names.env(facts);
    const problems: string[] = [];
    const hit = candidates.filter((b) => {
      const answer = this.breakpoints.hit(b, env, facts);
      if (typeof answer === 'boolean') return answer;
      problems.push(`${answer.code}: ${answer.message} (column ${answer.span?.start.column ?? 1} of the condition)`);
      return true;
    });
    this.problem = problems.length === 0 ? undefined : problems.join('\n');
    return hit;
  }
  /** What the conditions asked last could not be evaluated for. */
  private problem: string | undefined;

  // ---- exits

  /** Asked at each exit before it is handled: whether to stop the machine there. */
  private atExit(info: ExitInfo, number: number): boolean {
    this.exits = number + 1;
    const { goal } = this;
    const candidates = this.breakpoints.onExit(info.name);
    const stepping = isStep(goal) && this.callReturn === undefined;
    if (candidates.length === 0) return stepping;
    this.guest.refresh();
    const hit = this.hits(candidates, exitFacts(this.guest, info, this.exits));
    if (hit.length > 0) {
      const exit = viewExit(this.guest, info, this.exits);
      const filters = hit.map((b) => (b.trigger.kind === 'exit' ? b.trigger.filter : undefined));
      const kind: StopKind = filters.includes('ept-violation')
        ? 'ept-violation'
        : filters.includes('vm-exit')
          ? 'vm-exit'
          : 'function-breakpoint';
      this.found = {
        kind,
        title: `VM exit ${exitTitle(exit)}`,
        why: exit.why,
        breakpoints: hit.map((b) => b.view.id),
        final: false,
        exit,
      };
    }
    return stepping || hit.length > 0;
  }

  private atPendingExit(info: ExitInfo): RunResult | undefined {
    const exit = this.found?.exit ?? viewExit(this.guest, info, this.exits);
    this.activity = Activity.ofExit(exit, exitTitle(exit));
    if (this.found) return this.stop(this.found);
    const { goal } = this;
    if (goal.kind === 'step' && goal.into === true) {
      return this.stop({
        kind: 'step',
        title: `VM exit ${exitTitle(exit)}`,
        why: exit.why,
        breakpoints: [],
        final: false,
        exit,
      });
    }
    // stepped over: the exit is part of the instruction
    this.drain();
    return undefined;
  }

  /** Stepped into what an instruction makes a VMM do that emulates the CPU. */
  private intoEmulation(about: OutsideCause): RunResult {
    this.activity = Activity.ofEmulation(about, this.guest.retired);
    return this.stop(plain('step', `vmm: ${about.fn}`, about.why));
  }

  /** One Step of the exit in progress, or back in the guest. */
  private insideExit(): RunResult | undefined {
    const { activity, goal } = this;
    if (!activity) return undefined;
    if (goal.kind !== 'exit') {
      // continuing: the machine itself finishes what is in progress
      this.activity = undefined;
      return undefined;
    }
    const step = this.machine.stepActivity();
    this.guest.refresh();
    if (step === undefined) {
      this.activity = undefined;
      const over = this.machine.ended;
      if (over) return this.end(over);
      this.leftExitAt = this.here();
      return this.stop(
        plain(
          'step',
          'back in the guest',
          `${activity.exit ? 'The exit is handled' : 'The VMM has done it'}; the guest goes on at ${this.describe(this.guest.linearRip)}.`,
        ),
      );
    }
    activity.add(step);
    if (activity.depth > goal.depth) return undefined;
    const told = plain('step', `${step.actor}: ${step.fn}`, step.what);
    return this.stop(activity.exit ? { ...told, exit: activity.exit } : told);
  }

  private drain(): void {
    while (this.machine.stepActivity() !== undefined) continue;
    this.activity = undefined;
    this.guest.refresh();
  }

  // ---- faults

  private atFault(event: FaultEvent): boolean {
    if (event.software === 'int') return false;
    const candidates = this.breakpoints.onFault(event.vector);
    if (candidates.length === 0) return false;
    this.guest.refresh();
    const now = `${this.guest.retired} ${event.vector} ${event.cr2 ?? 0n} ${event.errorCode ?? 0}`;
    // an exit may interrupt the delivery, which KVM then begins anew: one fault
    if (now === this.faultSeen) return false;
    this.faultSeen = now;
    const hit = this.hits(candidates, faultFacts(event, this.guest.retired));
    if (hit.length === 0) return false;
    this.found = {
      ...(event.vector === VECTOR.PF
        ? plain('guest-pf', pageFaultTitle(event), pageFaultWhy(event, this.guest))
        : plain('guest-exception', exceptionTitle(event, this.guest.state.rip), this.exceptionWhy(event))),
      reason: [this.reasonOf(event)],
      breakpoints: hit.map((b) => b.view.id),
    };
    return true;
  }

  private reasonOf(event: FaultEvent): FaultInChain {
    const { state, cpu } = this.guest;
    return reasonOfFault(event, { rip: state.rip, cpl: this.guest.cpl, mnemonic: cpu.insn.mnemonic });
  }
  private exceptionWhy(event: FaultEvent): string {
    return exceptionWords(event, this.reasonOf(event));
  }

  // ---- stepping in the guest

  private describe(linear: bigint): string {
    const symbol = this.names.symbols.symbolOf(linear);
    return symbol === undefined ? hex(linear) : `${hex(linear)} (${symbol})`;
  }
}

const isStep = (goal: Goal): goal is StepGoal => goal.kind === 'step' || goal.kind === 'out';

const plain = (kind: StopKind, title: string, why: string): StopInfo => ({
  kind,
  title,
  why,
  breakpoints: [],
  final: false,
});
