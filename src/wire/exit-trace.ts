/**
 * A run's exits in formats for other programs: Chrome's trace format (Perfetto, chrome://tracing) and CSV. One cycle
 * of the cost model is one nanosecond.
 */
import { hex } from '../base/hex';
import type { ExitRow } from '../session/exits/history';
import { LANES, LANE } from '../vmm/exits/lanes';
import type { NamedStep } from '../vmm/exits/step-names';

export interface ExitTraceFormat {
  readonly head: string;
  exit(row: ExitRow, steps: readonly NamedStep[]): string;
  readonly tail: string;
}

const CSV_COLUMNS = [
  ...['number', 'vcpu', 'reason', 'instructions', 'start', 'cost'],
  ...LANES.map((lane) => `${lane}_cycles`),
  ...LANES.map((lane) => `${lane}_steps`),
  ...LANES.map((lane) => `before_${lane}`),
  ...['rip', 'address', 'symbol', 'file', 'line', 'gpa', 'gva', 'qualification', 'title'],
];

/** RFC 4180: a field with a comma, a quote or a line break is quoted. */
const field = (value: string | number | bigint | undefined): string => {
  const text = typeof value === 'bigint' ? hex(value) : String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

const csv: ExitTraceFormat = {
  head: CSV_COLUMNS.join(',') + '\n',
  exit: (r) =>
    [
      ...[r.number, r.vcpu, r.name, r.instructions, r.start, r.cost],
      ...r.lanes,
      ...r.steps,
      ...r.before,
      ...[r.rip, r.address, r.symbol, r.location?.file, r.location?.line, r.gpa, r.gva, r.qualification, r.title],
    ]
      .map(field)
      .join(',') + '\n',
  tail: '',
};

/** The track of the exits themselves, above the lanes. */
const EXITS_TRACK = 1;
const TRACK_NAMES = ['VM exits', 'Guest', 'CPU', 'KVM', 'Host kernel', 'VMM'];
const trackOf = (lane: number): number => EXITS_TRACK + 1 + lane;
/** Trace events count in microseconds. */
const us = (cycles: number): number => cycles / 1000;

const named = (track: number, name: string): object => ({
  ...{ ph: 'M', pid: 1, tid: track, name: 'thread_name' },
  args: { name },
});
const sorted = (track: number): object => ({
  ...{ ph: 'M', pid: 1, tid: track, name: 'thread_sort_index' },
  args: { sort_index: track },
});
const span = (track: number, name: string, from: number, cycles: number, args?: object): object => ({
  ...{ ph: 'X', pid: 1, tid: track, name, ts: us(from), dur: us(cycles) },
  ...(args ? { args } : {}),
});

function eventsOf(r: ExitRow, steps: readonly NamedStep[]): readonly object[] {
  const length = r.before.reduce((a, b) => a + b, 0);
  const events: object[] = [];
  if (length > 0) {
    // everything between two exits is reported as one guest slice
    const { instructions } = r;
    const walks = r.before[LANE.cpu] ?? 0;
    events.push(span(trackOf(LANE.guest), 'guest', r.start - length, length, { instructions, walk_cycles: walks }));
  }
  const { number, vcpu, title, symbol } = r;
  const place = r.location && `${r.location.file}:${r.location.line}`;
  const address = (value: bigint | undefined): string | undefined => (value === undefined ? undefined : hex(value));
  events.push(
    span(EXITS_TRACK, r.name, r.start, r.cost, {
      ...{ number, vcpu, title, address: hex(r.address), symbol, place },
      ...{ gpa: address(r.gpa), gva: address(r.gva), qualification: hex(r.qualification) },
    }),
  );
  let at = r.start;
  for (const { actor, mode, fn, cycles } of steps) {
    events.push(span(trackOf(LANE[actor]), fn, at, cycles, { exit: number, mode }));
    at += cycles;
  }
  return events;
}

const chrome: ExitTraceFormat = {
  head: `{"displayTimeUnit":"ns","otherData":{"clock":"1 ns is one cycle of Pagewalk's cost model, not a measurement"},"traceEvents":[\n${[
    { ph: 'M', pid: 1, name: 'process_name', args: { name: 'Pagewalk' } },
    ...TRACK_NAMES.flatMap((name, i) => [named(EXITS_TRACK + i, name), sorted(EXITS_TRACK + i)]),
  ]
    .map((event) => JSON.stringify(event))
    .join(',\n')}`,
  exit: (row, steps) =>
    eventsOf(row, steps)
      .map((event) => `,\n${JSON.stringify(event)}`)
      .join(''),
  tail: '\n]}\n',
};

export const EXIT_TRACE_FORMATS = { chrome, csv } as const;
