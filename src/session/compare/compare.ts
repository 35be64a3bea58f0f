/**
 * One guest under several methods of memory virtualization: each is a machine of its own, run to its end, and the guest must not be able to tell them apart. What each method
 * cost stands beside it. Driven in slices like a debug target, so that whoever runs it can show progress and stop it.
 */
import type { References } from '../../vmm/accelerator';
import { LANES } from '../../vmm/exits/lanes';
import { COSTS } from '../../trace/costs';
import { formatDiagnostic } from '../../base/diagnostic';
import { notBuilt, withMethod, type Method } from './methods';
import { dominantCost } from './dominant-cost';
import { digestOf, ramDigest, type RamDigest } from './memory-digest';
import type { Program } from '../launch/program';
import { Session } from '../session';
import type { EndInfo } from '../types';

/** Instructions that a method may run where the guest has no limit of its own: a comparison ends. */
const COMPARE_LIMIT = 5_000_000;
/** Pages and names of differences that are told. */
const MOST_DIFFERENCES = 16;

/** What one method came to. */
export interface MethodRun {
  readonly method: string;
  readonly title: string;
  readonly stop: EndInfo;
  readonly instructions: number;
  /** By the cost model, in all and by who spent them. */
  readonly cycles: number;
  readonly cyclesBy: Readonly<Record<(typeof LANES)[number], number>>;
  /** What most of the cycles go to, in words. */
  readonly dominant: string;
  readonly exitCount: number;
  /** VM exits by name, those that happened. */
  readonly exits: Readonly<Record<string, number>>;
  readonly references: References;
  readonly tlb: { readonly hits: number; readonly misses: number };
  readonly stats: Readonly<Record<string, number>>;
  /** Host frames in use at the end: guest RAM that was touched, and all tables. */
  readonly hostFrames: number;
  readonly registers: Readonly<Record<string, bigint>>;
  readonly serial: string;
  readonly debugcon: string;
  /** Guest RAM at the end: pages that are not all zeros, and a digest of them. */
  readonly memory: { readonly pages: number; readonly digest: bigint };
}

/** A method that was asked for and did not run. */
export interface MethodRefused {
  readonly method: string;
  readonly title: string;
  readonly why: string;
}

/** Something that the guest, or whoever it talks to, could have seen. Values by method. */
export interface Difference {
  readonly what: 'end' | 'register' | 'memory' | 'serial' | 'debugcon';
  /** A register's name, or the GPA of a page. */
  readonly where?: string | bigint;
  readonly values: Readonly<Record<string, string | bigint>>;
}

export interface Comparison {
  readonly guest: string;
  readonly methods: readonly MethodRun[];
  readonly refused: readonly MethodRefused[];
  /** The guest-visible result is the same under all methods that ran. */
  readonly equal: boolean;
  readonly differences: readonly Difference[];
  /** The parameters of the cost model, with where each comes from. */
  readonly costs: readonly { readonly name: string; readonly cycles: number; readonly source: string }[];
}

/** How far a comparison is. */
export interface CompareProgress {
  /** The method that runs, and its place among all. */
  readonly method: string;
  readonly index: number;
  readonly of: number;
  readonly instructions: number;
}

/** The method that is under way; `digest`: its run has ended, and guest RAM is being read. */
interface Current {
  readonly method: Method;
  readonly session: Session;
  serial: string;
  debugcon: string;
  digest: ReturnType<typeof ramDigest> | undefined;
}

export class Compare {
  private readonly runs: MethodRun[] = [];
  private readonly refused: MethodRefused[] = [];
  private readonly pages = new Map<string, RamDigest>();
  private next = 0;
  private current: Current | undefined;

  constructor(
    private readonly program: Program,
    private readonly methods: readonly Method[],
  ) {}

  get progress(): CompareProgress {
    const method = this.current?.method ?? this.methods[Math.min(this.next, this.methods.length - 1)];
    return {
      method: method?.name ?? '',
      index: this.current ? this.next - 1 : this.next,
      of: this.methods.length,
      instructions: this.current?.session.guest.retired ?? 0,
    };
  }

  /** At most `budget` instructions' work; the comparison once it is done. */
  run(budget: number): Comparison | undefined {
    if (!this.current && !this.begin()) return this.done();
    const { current } = this;
    if (!current) return undefined;
    if (current.digest) {
      const digested = current.digest.next();
      if (digested.done !== true) return undefined;
      this.runs.push(this.finish(current, digested.value));
      this.current = undefined;
      return undefined;
    }
    const result = current.session.run.advance(budget);
    for (const o of current.session.output.take()) if (o.channel !== 'log') current[o.channel] += o.text;
    if (result.kind === 'stopped') current.session.run.continue_();
    if (result.kind === 'ended') current.digest = ramDigest(current.session.machine);
    return undefined;
  }

  /** The next method's machine; false: there is none left. */
  private begin(): boolean {
    const method = this.methods[this.next];
    if (!method) return false;
    this.next++;
    const { name, title } = method;
    const why = notBuilt(method);
    const made = why === undefined ? Session.create(withMethod(this.program, method, COMPARE_LIMIT)) : undefined;
    if (made?.ok !== true) {
      const reason = made ? made.error.map(formatDiagnostic).join('; ') : (why ?? '');
      this.refused.push({ method: name, title, why: reason });
      return true;
    }
    made.value.run.continue_();
    this.current = { method, session: made.value, serial: '', debugcon: '', digest: undefined };
    return true;
  }

  private finish({ method, session, serial, debugcon }: Current, pages: RamDigest): MethodRun {
    const { machine } = session;
    const { registers, stop, instructions, cycles, exits, references, tlb, stats } = session.report({
      serial,
      debugcon,
    });
    const by = machine.exits.totals(machine.moment);
    this.pages.set(method.name, pages);
    return {
      method: method.name,
      title: method.title,
      stop,
      instructions,
      cycles,
      cyclesBy: Object.fromEntries(LANES.map((lane, i) => [lane, by[i] ?? 0])) as MethodRun['cyclesBy'],
      dominant: dominantCost(by, machine.accelerator.cycles()),
      exitCount: machine.exits.count,
      exits,
      references,
      tlb,
      stats,
      hostFrames: machine.kernel.frames.framesUsed,
      registers,
      serial,
      debugcon,
      memory: { pages: pages.size, digest: digestOf(pages) },
    };
  }

  private done(): Comparison {
    const differences = this.differences();
    return {
      guest: this.program.file,
      methods: this.runs,
      refused: this.refused,
      equal: differences.length === 0,
      differences: differences.slice(0, MOST_DIFFERENCES),
      costs: Object.entries(COSTS).map(([name, { cycles, source }]) => ({ name, cycles, source })),
    };
  }

  private differences(): readonly Difference[] {
    const out: Difference[] = [];
    const differ = (what: Difference['what'], of: (r: MethodRun) => string | bigint, where?: string | bigint): void => {
      const values = Object.fromEntries(this.runs.map((r) => [r.method, of(r)]));
      if (new Set(Object.values(values)).size > 1)
        out.push({ what, values, ...(where === undefined ? {} : { where }) });
    };
    differ('end', (r) => `${r.stop.kind} (${r.stop.code})`);
    differ('serial', (r) => r.serial);
    differ('debugcon', (r) => r.debugcon);
    for (const name of Object.keys(this.runs[0]?.registers ?? {}))
      differ('register', (r) => r.registers[name] ?? 0n, name);
    const everyPage = new Set([...this.pages.values()].flatMap((pages) => [...pages.keys()]));
    const sorted = [...everyPage].sort((a, b) => (a < b ? -1 : 1));
    for (const page of sorted) {
      if (out.length > MOST_DIFFERENCES) break;
      differ('memory', (r) => this.pages.get(r.method)?.get(page) ?? 0n, page);
    }
    return out;
  }
}
