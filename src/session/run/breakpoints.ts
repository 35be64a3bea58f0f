import { VECTOR } from '../../isa/exceptions';
import { hex } from '../../base/hex';
import { VMX_EXIT } from '../../isa/exits';
import { SVM_EXITS } from '../../isa/svm-exits';
import type { Diagnostic } from '../../base/diagnostic';
import type { Env, ExprValue } from '../../expr/index';
import type { MmuKind } from '../../vmm/options';
import type { CheckDirective } from './checks';
import { breakName } from './checks';
import type { Clauses } from './conditions';
import { conditionHolds, logText, parseClauses } from './conditions';
import { sessionError } from '../diagnostics';
import { EXIT_FACTS, FAULT_FACTS } from '../console/names';
import type { Names } from '../console/names';
import { didYouMean } from '../../base/nearest';
import { EXCEPTION_FILTERS } from '../types';
import type {
  BreakClauses,
  BreakpointView,
  ExceptionFilter,
  FilterName,
  FunctionBreakpoint,
  InstructionBreakpoint,
  Output,
  SourceBreakpoint,
} from '../types';

/** What a breakpoint waits for. */
export type Trigger =
  | { readonly kind: 'address'; readonly address: bigint; readonly origin: 'source' | 'instruction' | 'function' }
  /** `names` undefined: any exit. `unless`: not where this fact holds. */
  | {
      readonly kind: 'exit';
      readonly names: readonly string[] | undefined;
      readonly filter: FilterName | undefined;
      readonly unless?: string;
    }
  /** `vector`: of that exception alone. */
  | { readonly kind: 'fault'; readonly vector?: number };

export interface Breakpoint {
  readonly view: BreakpointView;
  readonly trigger: Trigger;
  readonly clauses: Clauses;
  /** As it is written in the guest file, for one of its `@break`. */
  readonly directive?: string;
  /** Times that the condition held. */
  hits: number;
}

interface ByTrigger {
  readonly guest: ReadonlyMap<bigint, readonly Breakpoint[]>;
  readonly addresses: ReadonlySet<bigint>;
  readonly exits: readonly Breakpoint[];
  readonly faults: readonly Breakpoint[];
}

const NO_FACTS: readonly string[] = [];
/** The facts that a filter's conditions may name; without a filter those of an exit. */
const factsOf = (filter: FilterName | undefined): readonly string[] =>
  filter === 'guest-pf' || filter === 'guest-exception' ? FAULT_FACTS : EXIT_FACTS;

/** All breakpoints of a session, set by kind; and the decision what a hit does. */
export class Breakpoints {
  private nextId = 1;
  private readonly source = new Map<string, readonly Breakpoint[]>();
  private instruction: readonly Breakpoint[] = [];
  private functions: readonly Breakpoint[] = [];
  private filters: readonly Breakpoint[] = [];
  /** Of the guest file's own `@break`. */
  private directives: readonly Breakpoint[] = [];
  /** Whether those stop the run; else they are reported. */
  directivesStop = false;
  private sorted: ByTrigger | undefined;

  constructor(
    private readonly names: Names,
    private readonly output: (o: Output) => void,
    private readonly mmu: MmuKind,
  ) {}

  /** The addresses at which the CPU is to stop. */
  get addresses(): ReadonlySet<bigint> {
    return this.byTrigger.addresses;
  }
  at(linear: bigint): readonly Breakpoint[] {
    return this.byTrigger.guest.get(linear) ?? [];
  }
  /** `name`: the exit's, since the extensions' numbers mean different things. */
  onExit(name: string): readonly Breakpoint[] {
    const { exits } = this.byTrigger;
    return exits.length === 0
      ? exits
      : exits.filter(
          (b) => b.trigger.kind === 'exit' && (b.trigger.names === undefined || b.trigger.names.includes(name)),
        );
  }
  onFault(vector: number): readonly Breakpoint[] {
    const { faults } = this.byTrigger;
    return faults.length === 0
      ? faults
      : faults.filter(({ trigger: t }) => t.kind === 'fault' && (t.vector === undefined || t.vector === vector));
  }
  private changed(): void {
    this.sorted = undefined;
  }
  private get byTrigger(): ByTrigger {
    return (this.sorted ??= this.sort());
  }
  /** By trigger, since exits and faults ask often; once for all changes before the guest goes on: an editor sets those of thousands of files one by one. */
  private sort(): ByTrigger {
    const placed = [...this.source.values()].flat();
    const all = [placed, this.instruction, this.functions, this.filters, this.directives].flat();
    const guest = new Map<bigint, Breakpoint[]>();
    for (const b of all) {
      if (b.trigger.kind !== 'address') continue;
      const there = guest.get(b.trigger.address);
      if (there) there.push(b);
      else guest.set(b.trigger.address, [b]);
    }
    return {
      guest,
      addresses: new Set(guest.keys()),
      exits: all.filter((b) => b.trigger.kind === 'exit'),
      faults: all.filter((b) => b.trigger.kind === 'fault'),
    };
  }

  /** Counts the hit and says whether the run is to stop; a log clause is written instead. A condition that cannot be evaluated stops, as in gdb. */
  hit(b: Breakpoint, env: Env, facts?: ReadonlyMap<string, ExprValue>): boolean | Diagnostic {
    const { trigger } = b;
    // absent: no #PF, so none of the kinds that they are told apart by
    if (trigger.kind === 'exit' && trigger.unless !== undefined && facts?.get(trigger.unless) !== false) return false;
    const holds = conditionHolds(b.clauses.condition, env);
    if (!holds.ok) {
      if (b.directive === undefined || this.directivesStop) return holds.error;
      this.report(b, holds.error.message);
      return false;
    }
    if (!holds.value) return false;
    b.hits++;
    if (b.clauses.hits && !b.clauses.hits(b.hits)) return false;
    if (b.clauses.log === undefined) {
      if (b.directive === undefined || this.directivesStop) return true;
      this.report(b, describe(facts));
      return false;
    }
    const { location } = b.view;
    this.output({ channel: 'log', text: logText(b.clauses.log, env) + '\n', ...(location ? { location } : {}) });
    return false;
  }

  /** In the place of a stop. */
  private report({ directive, view: { location } }: Breakpoint, text: string): void {
    this.output({ channel: 'log', text: `${directive ?? ''}: ${text}\n`, ...(location ? { location } : {}) });
  }

  setSource(file: string, list: readonly SourceBreakpoint[]): readonly BreakpointView[] {
    const { views, breakpoints } = this.make(list, NO_FACTS, (s) => {
      const span = this.names.symbols.codeAt(file, s.line);
      if (span === undefined) return { problem: `no code in this file at line ${s.line} or after it` };
      return {
        trigger: { kind: 'address', address: span.address, origin: 'source' },
        view: { location: { file: span.file, line: span.line }, address: span.address },
      };
    });
    this.source.set(file, breakpoints);
    this.changed();
    return views;
  }

  setInstruction(list: readonly InstructionBreakpoint[]): readonly BreakpointView[] {
    const { views, breakpoints } = this.make(list, NO_FACTS, (s) => {
      const location = this.names.symbols.locationOf(s.address);
      return {
        trigger: { kind: 'address', address: s.address, origin: 'instruction' },
        view: { address: s.address, ...(location ? { location } : {}) },
      };
    });
    this.instruction = breakpoints;
    this.changed();
    return views;
  }

  setFunctions(list: readonly FunctionBreakpoint[]): readonly BreakpointView[] {
    const made = list.map((s) => this.makeFunction(s));
    this.functions = made.flatMap((m) => m.breakpoints);
    this.changed();
    return made.flatMap((m) => m.views);
  }

  /** What a function breakpoint would be; none is set. */
  checkFunction(s: FunctionBreakpoint): BreakpointView | undefined {
    return this.makeFunction(s).views[0];
  }

  private makeFunction(s: FunctionBreakpoint): Made {
    const exit = /^\s*exit\s*:\s*(\S+)\s*$/i.exec(s.name)?.[1];
    return this.make([s], exit === undefined ? NO_FACTS : EXIT_FACTS, () =>
      exit === undefined ? this.label(s.name.trim()) : exitTrigger(exit, this.mmu),
    );
  }

  setFilters(list: readonly ExceptionFilter[]): readonly BreakpointView[] {
    const made = list.map((s) => {
      const facts = factsOf(s.filter);
      return this.make([s], facts, () => filterTrigger(s.filter, this.mmu));
    });
    this.filters = made.flatMap((m) => m.breakpoints);
    this.changed();
    return made.flatMap((m) => m.views);
  }

  /**
   * `@break exit NAME` and `@break FILTER` of the guest file. What a method cannot have is told and waits for nothing: a guest runs under any.
   * @returns what is wrong with them under every method
   */
  setDirectives(list: readonly BreakDirective[]): readonly Diagnostic[] {
    const problems: Diagnostic[] = [];
    this.directives = list.flatMap((d): Breakpoint[] => {
      const { span, name } = d;
      const location = { file: span.file, line: span.start.line };
      const wrong = (code: 'unknownName' | 'badExpression', message: string): void => {
        problems.push(sessionError(code, `\`${breakName(d)}\`: ${message}`, span.file, span));
      };
      const filter = EXCEPTION_FILTERS.find((each) => each.filter === name)?.filter;
      const facts = factsOf(filter);
      const clauses = parseClauses({ condition: d.condition }, this.names, facts);
      if (!clauses.ok) wrong('badExpression', clauses.error.map((each) => each.message).join('; '));
      const placed = filter ? filterTrigger(filter, this.mmu) : exitTrigger(name, this.mmu);
      if ('problem' in placed) {
        const isKnown = filter !== undefined || name === '*' || EXIT_NAMES.includes(name.toUpperCase());
        if (isKnown) this.output({ channel: 'log', text: `${breakName(d)}: ${placed.problem}\n`, location });
        else wrong('unknownName', placed.problem);
        return [];
      }
      if (!clauses.ok) return [];
      const view = { id: this.nextId++, verified: true, location };
      return [{ view, trigger: placed.trigger, clauses: clauses.value, directive: breakName(d), hits: 0 }];
    });
    this.changed();
    return problems;
  }

  private label(name: string): Placed {
    const address = this.names.symbols.isLabel(name) ? this.names.symbols.valueOf(name) : undefined;
    if (address === undefined) {
      const hint =
        didYouMean(name, this.names.symbols.names) || '; a function breakpoint is a label, or exit:NAME for a VM exit';
      return { problem: `there is no label \`${name}\`${hint}` };
    }
    const location = this.names.symbols.locationOf(address);
    return {
      trigger: { kind: 'address', address, origin: 'function' },
      view: { address, ...(location ? { location } : {}) },
    };
  }

  private make<S extends BreakClauses>(list: readonly S[], facts: readonly string[], place: (s: S) => Placed): Made {
    const views: BreakpointView[] = [];
    const breakpoints: Breakpoint[] = [];
    for (const s of list) {
      const id = this.nextId++;
      const placed = place(s);
      const clauses = parseClauses(s, this.names, facts);
      if ('problem' in placed) views.push({ id, verified: false, message: placed.problem });
      else if (!clauses.ok)
        views.push({ id, verified: false, message: clauses.error.map((d) => d.message).join('; '), ...placed.view });
      else {
        const view: BreakpointView = { id, verified: true, ...placed.view };
        views.push(view);
        breakpoints.push({ view, trigger: placed.trigger, clauses: clauses.value, hits: 0 });
      }
    }
    return { views, breakpoints };
  }
}

interface Made {
  readonly views: readonly BreakpointView[];
  readonly breakpoints: readonly Breakpoint[];
}

/** The facts of an exit or fault, as one line. */
function describe(facts: ReadonlyMap<string, ExprValue> | undefined): string {
  const shown = [...(facts ?? [])].filter(([, value]) => value !== false).slice(0, MOST_FACTS);
  return shown.map(([name, value]) => (value === true ? name : `${name} ${hex(BigInt(value))}`)).join(', ');
}
const MOST_FACTS = 8;

type BreakDirective = Extract<CheckDirective, { kind: 'break' }>;

type Placed = { readonly problem: string } | { readonly trigger: Trigger; readonly view: Partial<BreakpointView> };

/** Exits of both extensions. */
const EXIT_NAMES: readonly string[] = [...Object.keys(VMX_EXIT), ...Object.keys(SVM_EXITS)];

/** Exits that only an EPT in use can cause. */
const EPT_EXITS: ReadonlySet<string> = new Set(['EPT_VIOLATION', 'EPT_MISCONFIG', 'PML_FULL']);
const NO_EXITS =
  'mmu=software has no VM exits: the VMM emulates the CPU, and calls the device, or is itself interrupted by the host’s page fault; step in to see it';

function exitTrigger(name: string, mmu: MmuKind): Placed {
  const upper = name.toUpperCase();
  if (name !== '*' && !EXIT_NAMES.includes(upper))
    return {
      problem: `there is no VM exit \`${name}\`${didYouMean(name, EXIT_NAMES) || '; names are as in Linux: EPT_VIOLATION, CPUID, IO_INSTRUCTION, …, or under mmu=npt AMD’s: NPF, CPUID, IOIO, …, or * for any'}`,
    };
  if (mmu === 'software') return { problem: NO_EXITS };
  if (name === '*') return { trigger: { kind: 'exit', names: undefined, filter: undefined }, view: {} };
  const [own, its] = mmu === 'npt' ? [SVM_EXITS, 'SVM, whose exits'] : [VMX_EXIT, 'VMX, whose exits'];
  if (!Object.hasOwn(own, upper))
    return {
      problem: `mmu=${mmu} runs on ${its} have no \`${upper}\`${didYouMean(COUNTERPART[upper] ?? upper, Object.keys(own))}`,
    };
  if (mmu === 'shadow' && EPT_EXITS.has(upper))
    return {
      problem: `mmu=shadow has no EPT, so nothing exits as \`${upper}\`: what its tables do not allow is a #PF, which exits as \`EXCEPTION_NMI\``,
    };
  return { trigger: { kind: 'exit', names: [upper], filter: undefined }, view: {} };
}

/** The other extension's name of what is much the same exit. */
const COUNTERPART: Readonly<Record<string, string>> = {
  EPT_VIOLATION: 'NPF',
  EPT_MISCONFIG: 'NPF',
  NPF: 'EPT_VIOLATION',
  IO_INSTRUCTION: 'IOIO',
  IOIO: 'IO_INSTRUCTION',
  VMCALL: 'VMMCALL',
  VMMCALL: 'VMCALL',
  MSR_READ: 'MSR',
  MSR_WRITE: 'MSR',
  MSR: 'MSR_WRITE',
  EXTERNAL_INTERRUPT: 'INTR',
  INTR: 'EXTERNAL_INTERRUPT',
  TRIPLE_FAULT: 'SHUTDOWN',
  SHUTDOWN: 'TRIPLE_FAULT',
};

/** What a filter waits for under a method. */
function filterTrigger(filter: FilterName, mmu: MmuKind): Placed {
  switch (filter) {
    case 'vm-exit':
      return mmu === 'software'
        ? { problem: NO_EXITS }
        : { trigger: { kind: 'exit', names: undefined, filter }, view: {} };
    case 'ept-violation':
      return mmu === 'software'
        ? { problem: NO_EXITS }
        : { trigger: { kind: 'exit', filter, ...unseenFaults(mmu) }, view: {} };
    case 'guest-pf':
      return { trigger: { kind: 'fault', vector: VECTOR.PF }, view: {} };
    case 'guest-exception':
      return { trigger: { kind: 'fault' }, view: {} };
  }
}

/** The exits that are faults of the hypervisor's tables alone. */
function unseenFaults(mmu: Exclude<MmuKind, 'software'>): {
  readonly names: readonly string[];
  readonly unless?: string;
} {
  switch (mmu) {
    case 'ept':
      return { names: ['EPT_VIOLATION', 'EPT_MISCONFIG'] };
    case 'npt':
      return { names: ['NPF'] };
    case 'shadow':
      // facts tell a #PF from another exception: only it is one of those kinds
      return { names: ['EXCEPTION_NMI'], unless: 'guest_fault' };
  }
}
