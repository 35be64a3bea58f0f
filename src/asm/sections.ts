import type { Span } from '../base/diagnostic';
import type { DiagnosticSink } from './diagnostics';
import type { SectionAttribute } from './statement';

/**
 * The sections of a flat binary and where they go, as NASM's `bin` format lays them out (NASM manual, 9.1.3): progbits sections
 * in order of first mention, each aligned (4 where nothing is said), nobits after all of them; `start`, `follows`, `vstart`,
 * `vfollows`, `align` and `valign` move them.
 */
export class Section {
  nobits: boolean | undefined;
  start: bigint | undefined;
  vstart: bigint | undefined;
  align: bigint | undefined;
  valign: bigint | undefined;
  follows: string | undefined;
  vfollows: string | undefined;
  /** Bytes so far in this pass. */
  offset = 0;
  /** Settled by `place`. */
  placedStart = 0n;
  placedVstart = 0n;

  constructor(
    readonly id: number,
    readonly name: string,
    /** .bss: follows the last progbits section unless moved. */
    readonly followsLast: boolean,
  ) {}

  /** Resets what each pass computes. Order, type and follows stay. */
  reset(): void {
    this.offset = 0;
    this.start = this.vstart = this.align = this.valign = undefined;
  }

  raiseAlignment(to: bigint): void {
    if (to > (this.align ?? 1n)) this.align = to;
    else this.align ??= 1n;
  }
}

export class SectionTable {
  readonly list: Section[] = [];
  private readonly byName = new Map<string, Section>();

  constructor() {
    this.get('.text').nobits = false;
  }

  get(name: string): Section {
    let s = this.byName.get(name);
    if (!s) {
      s = new Section(this.list.length, name, name === '.bss');
      if (name === '.data') s.nobits = false;
      if (name === '.bss') s.nobits = true;
      this.list.push(s);
      this.byName.set(name, s);
    }
    return s;
  }

  find(name: string): Section | undefined {
    return this.byName.get(name);
  }

  reset(): void {
    for (const s of this.list) s.reset();
  }
}

const isPowerOfTwo = (n: bigint): boolean => n > 0n && (n & (n - 1n)) === 0n;

/** Applies one attribute of a section directive; `number` is its evaluated value where it has one. */
export function applyAttribute(
  s: Section,
  a: SectionAttribute,
  number: bigint | undefined,
  sink: DiagnosticSink,
): void {
  const value = number ?? 0n;
  switch (a.name) {
    case 'nobits':
    case 'progbits':
      if (s.nobits !== undefined && s.nobits !== (a.name === 'nobits'))
        sink.error('sections', `${s.name} is already ${s.nobits ? 'nobits' : 'progbits'}`, a.span);
      else s.nobits = a.name === 'nobits';
      return;
    case 'align':
    case 'valign':
      if (!isPowerOfTwo(value)) sink.error('sections', `${a.name} must be a power of two`, a.span);
      else if (a.name === 'align') s.raiseAlignment(value);
      else if (value > (s.valign ?? 0n)) s.valign = value;
      return;
    case 'start':
      if (s.start !== undefined && s.start !== value)
        sink.error('sections', `${s.name} already has another start`, a.span);
      s.start = value;
      s.align = undefined;
      return;
    case 'vstart':
      if (s.vstart !== undefined && s.vstart !== value)
        sink.error('sections', `${s.name} already has another vstart`, a.span);
      s.vstart = value;
      s.valign = undefined;
      return;
    case 'follows':
      s.follows = String(a.value);
      return;
    case 'vfollows':
      s.vfollows = String(a.value);
      return;
    default:
      sink.warning(
        'other',
        'sections',
        `\`${a.name}\` has no meaning in a flat binary and is ignored; the attributes are align, start, vstart, follows, vfollows, progbits and nobits`,
        a.span,
      );
      return;
  }
}

const alignUp = (n: bigint, to: bigint): bigint => (n + to - 1n) & ~(to - 1n);

export interface Placed {
  /** Progbits sections in file order. */
  readonly file: readonly Section[];
  readonly origin: bigint;
}

/** Gives every section its start and vstart. Problems go to the sink; the result is then still usable for listing. */
export function placeSections(
  table: SectionTable,
  origin: bigint | undefined,
  sink: DiagnosticSink,
  span: Span,
): Placed {
  for (const s of table.list) s.nobits ??= false;
  const progbits = orderProgbits(
    table.list.filter((s) => !s.nobits),
    table,
    sink,
    span,
  );
  const nobits = table.list.filter((s) => s.nobits);
  for (const s of nobits) {
    s.vstart ??= s.start;
    s.valign ??= s.align;
    s.vfollows ??= s.follows;
  }
  const first = progbits[0];
  if (first === undefined) return { file: [], origin: origin ?? 0n };
  let base = origin;
  if (origin !== undefined) {
    if (first.start === undefined)
      first.placedStart = first.align === undefined ? origin : alignUp(origin, first.align);
    else {
      first.placedStart = first.start;
      if (first.start < origin)
        sink.error('sections', `${first.name} starts before the origin; raise its start or lower org`, span);
    }
  } else {
    first.placedStart = first.start ?? 0n;
    base = first.placedStart;
  }
  const virtual = new Map<Section, bigint>();
  for (const s of [...progbits, ...nobits]) if (s.vstart !== undefined) virtual.set(s, s.vstart);
  let end = first.placedStart;
  progbits.forEach((s, i) => {
    if (i > 0) s.placedStart = s.start ?? alignUp(end, s.align ?? 4n);
    if (s.vstart === undefined && s.vfollows === undefined)
      virtual.set(s, s.valign === undefined ? s.placedStart : alignUp(end, s.valign));
    if (s.offset > 0 && s.placedStart < end)
      sink.error(
        'sections',
        `${s.name} overlaps the section before it; move its start past 0x${end.toString(16)}`,
        span,
      );
    const stop = s.placedStart + BigInt(s.offset);
    if (stop > end) end = stop;
  });
  placeVirtual([...progbits, ...nobits], virtual, progbits[progbits.length - 1] ?? first, table, sink, span);
  return { file: progbits, origin: base ?? 0n };
}

/** @param virtual the addresses that are known so far */
function placeVirtual(
  all: readonly Section[],
  virtual: ReadonlyMap<Section, bigint>,
  lastProgbits: Section,
  table: SectionTable,
  sink: DiagnosticSink,
  span: Span,
): void {
  const settled = new Set(virtual.keys());
  for (const [s, at] of virtual) s.placedVstart = at;
  for (let progress = true; progress;) {
    progress = false;
    for (const s of all) {
      if (settled.has(s)) continue;
      const before =
        s.vfollows !== undefined ? table.find(s.vfollows) : s.followsLast ? lastProgbits : table.list[s.id - 1];
      if (before === undefined) {
        sink.error('sections', `${s.name} follows ${s.vfollows ?? ''}, which does not exist`, span);
        s.placedVstart = 0n;
        settled.add(s);
      } else if (settled.has(before)) {
        s.placedVstart = alignUp(before.placedVstart + BigInt(before.offset), s.valign ?? 4n);
        if (s.nobits) s.placedStart = s.placedVstart;
        settled.add(s);
        progress = true;
      }
    }
  }
  const stuck = all.find((s) => !settled.has(s));
  if (stuck)
    sink.error('sections', `${stuck.name} follows itself in a circle; give one section of the circle a vstart`, span);
}

/** Groups led by `follows` go after the section they name; groups led by `start` are sorted by it. */
function orderProgbits(list: readonly Section[], table: SectionTable, sink: DiagnosticSink, span: Span): Section[] {
  let order = [...list];
  for (const leader of list) {
    if (leader.follows === undefined) continue;
    const target = order.find((s) => s.name === leader.follows);
    if (target === undefined || target === leader) {
      sink.error(
        'sections',
        `${leader.name} follows ${leader.follows}, which is ${target ? 'itself' : table.find(leader.follows) ? 'nobits' : 'not there'}`,
        span,
      );
      continue;
    }
    const at = order.indexOf(leader);
    let stop = at + 1;
    while (
      stop < order.length &&
      order[stop] !== target &&
      order[stop]?.start === undefined &&
      order[stop]?.follows === undefined
    )
      stop++;
    const group = order.slice(at, stop);
    if (group.includes(target)) continue;
    order = order.filter((s) => !group.includes(s));
    order.splice(order.indexOf(target) + 1, 0, ...group);
  }
  const groups: Section[][] = [];
  for (const s of order) {
    if (s.start !== undefined || groups.length === 0) groups.push([s]);
    else groups[groups.length - 1]?.push(s);
  }
  const sorted: Section[][] = [];
  for (const g of groups) {
    const start = g[0]?.start;
    const at =
      start === undefined ? -1 : sorted.findIndex((other) => other[0]?.start !== undefined && start < other[0].start);
    if (at < 0) sorted.push(g);
    else sorted.splice(at, 0, g);
  }
  return sorted.flat();
}
