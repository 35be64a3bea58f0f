/** What a run's exits can be asked: the whole in bins, single ones with their Steps, counts by reason, instruction and line. */
import type * as model from '../../model/exits';
import type { ExitSummary } from '../../model/exits';
import type { Step } from '../../trace/step';
import type { Machine } from '../../vmm/machine';
import type { ExitRecord } from '../../vmm/exits/records';
import type { NamedStep } from '../../vmm/exits/step-names';
import { qualificationParts } from './qualification';
import { exitTitle } from './title';
import type { SymbolTable } from '../guest/symbols';
import type { Location } from '../types';
import { costOf, sum, tileOf, type Tile } from './tile';

export type { ExitSummary };
export interface ExitRow extends model.ExitRow<bigint> {
  readonly location?: Location;
}
export interface ExitPlace extends model.ExitPlace<bigint> {
  readonly location?: Location;
}

export interface ExitDetail {
  readonly row: ExitRow;
  readonly decoded: readonly { readonly name: string; readonly value: string }[];
  /** In full where they are kept so; else by name and cycles; absent where not even those are. */
  readonly steps?: readonly (Step | NamedStep)[];
  readonly full: boolean;
  /** It is being handled: more Steps will come. */
  readonly open: boolean;
}

export interface ExitFilter {
  readonly reason?: string;
  readonly address?: bigint;
}

export interface ExitPage<T> {
  readonly total: number;
  readonly rows: readonly T[];
}

export class ExitHistory {
  /** The numbers that the last filter let through, and how many exits there were then. */
  private filtered: { readonly key: string; readonly count: number; readonly numbers: readonly number[] } | undefined;

  constructor(
    private readonly machine: Pick<Machine, 'exits' | 'moment'>,
    private readonly symbols: Pick<SymbolTable, 'symbolOf' | 'locationOf'>,
  ) {}

  summary(): ExitSummary {
    const { exits, moment } = this.machine;
    return {
      count: exits.count,
      instructions: moment.instructions,
      cycles: exits.now(moment),
      lanes: exits.totals(moment),
      reasons: exits.reasonCounts.map(({ name, count, cycles }) => ({ name, count, cycles })),
      first: exits.records.first + 1,
      firstNamed: exits.firstNamed + 1,
      firstFull: exits.firstWithSteps + 1,
      binWidth: exits.bins.width,
      uncounted: exits.byInstruction.dropped,
    };
  }

  tile(level: number, index: number): Tile {
    const { exits, moment } = this.machine;
    const tile = tileOf(exits, moment, level, index);
    const { segments } = tile;
    if (!segments) return tile;
    return { ...tile, segments: segments.map((s) => (s.exit === undefined ? s : { ...s, exit: s.exit + 1 })) };
  }

  /** `count` rows from the `start`th of those recorded that the filter lets through, in the order of the run. */
  list(start: number, count: number, filter: ExitFilter = {}): ExitPage<ExitRow> {
    const { records } = this.machine.exits;
    const isAll = filter.reason === undefined && filter.address === undefined;
    const numbers = isAll ? undefined : this.numbersOf(filter);
    const total = numbers ? numbers.length : records.count - records.first;
    const rows: ExitRow[] = [];
    for (let i = Math.max(0, start); i < Math.min(total, start + count); i++) {
      const record = records.at(numbers ? (numbers[i] ?? -1) : records.first + i);
      if (record) rows.push(this.row(record));
    }
    return { total, rows };
  }

  exit(number: number): ExitDetail | undefined {
    const { exits, moment } = this.machine;
    const record = exits.record(number - 1);
    if (!record) return undefined;
    const open = exits.inExit && number === exits.count;
    const full = exits.stepsOf(record.number);
    const steps = full ?? exits.namedStepsOf(record);
    const row = this.row(record);
    const present = exits.open(moment);
    return {
      row: open ? { ...row, lanes: present.cycles, cost: sum(present.cycles) } : row,
      decoded: qualificationParts(record),
      ...(steps ? { steps } : {}),
      full: full !== undefined,
      open,
    };
  }

  /** Who did what in an exit, as far as that is known. */
  stepsByName(number: number): readonly NamedStep[] {
    const { exits } = this.machine;
    const record = exits.record(number - 1);
    return (record && exits.namedStepsOf(record)) ?? [];
  }

  /** The exit that the fields of VMCS and VMCB are compared with (`ViewNode.before`): the one before the last. */
  get compared(): { readonly number: number; readonly name: string } | undefined {
    const { exits } = this.machine;
    const record = exits.record(exits.count - 2);
    return record && { number: record.number + 1, name: record.name };
  }

  /** The exit whose time `cycle` falls into, or the next one; undefined behind the last. */
  at(cycle: number): number | undefined {
    const { records } = this.machine.exits;
    const next = records.from(cycle);
    const before = records.at(next - 1);
    if (before && cycle < before.end) return before.number + 1;
    return next < records.count ? next + 1 : undefined;
  }

  /** The instructions that exited, those with the most exits first. */
  places(reason?: string): readonly ExitPlace[] {
    const { exits } = this.machine;
    const byAddress = new Map<bigint, { count: number; cycles: number; reasons: { name: string; count: number }[] }>();
    for (const { linear, reason: number, count, cycles } of exits.instructionCounts) {
      const name = exits.nameOf(number);
      if (reason !== undefined && reason !== name) continue;
      let place = byAddress.get(linear);
      if (!place) byAddress.set(linear, (place = { count: 0, cycles: 0, reasons: [] }));
      place.count += count;
      place.cycles += cycles;
      place.reasons.push({ name, count });
    }
    return [...byAddress]
      .sort(([a, x], [b, y]) => y.count - x.count || (a < b ? -1 : 1))
      .map(([address, place]) => ({ address, ...this.where(address), ...place }));
  }

  /** A row for each recorded exit, told as soon as it is handled. */
  onExit(listener: (row: ExitRow, steps: readonly NamedStep[]) => void): void {
    const { exits } = this.machine;
    exits.onFinish = (number) => {
      const record = exits.record(number);
      if (record) listener(this.row(record), exits.namedStepsOf(record) ?? []);
    };
  }

  private numbersOf(filter: ExitFilter): readonly number[] {
    const { exits } = this.machine;
    const { records } = exits;
    const key = `${filter.reason ?? ''} ${filter.address ?? ''}`;
    if (this.filtered?.key === key && this.filtered.count === records.count) return this.filtered.numbers;
    const numbers: number[] = [];
    const reason = exits.reasonCounts.find((r) => r.name === filter.reason)?.reason;
    for (let n = records.first; n < records.count; n++) {
      if (filter.reason !== undefined && records.reasonOf(n) !== reason) continue;
      if (filter.address !== undefined && records.linearOf(n) !== filter.address) continue;
      numbers.push(n);
    }
    this.filtered = { key, count: records.count, numbers };
    return numbers;
  }

  private row(r: ExitRecord): ExitRow {
    return {
      number: r.number + 1,
      vcpu: r.vcpu,
      name: r.name,
      title: exitTitle(r),
      instructions: r.instructions,
      start: r.start,
      cost: costOf(r),
      lanes: r.cycles,
      before: r.before,
      steps: r.steps,
      qualification: r.qualification,
      rip: r.rip,
      address: r.linear,
      ...this.where(r.linear),
      ...(r.gpa === undefined ? {} : { gpa: r.gpa }),
      ...(r.gva === undefined ? {} : { gva: r.gva }),
    };
  }

  private where(address: bigint): { readonly symbol?: string; readonly location?: Location } {
    const symbol = this.symbols.symbolOf(address);
    const location = this.symbols.locationOf(address);
    return { ...(symbol === undefined ? {} : { symbol }), ...(location ? { location } : {}) };
  }
}
