/** The requests of the VM Exits panel (src/protocol/panels/exits.ts). */
import {
  STEPS_SHOWN,
  type ExitDetail,
  type ExitLine,
  type ExitPlace,
  type ExitReplayReply,
  type ExitRow,
  type ExitStep,
  type ExitsRequests,
} from '../../protocol/panels/exits';
import type { DebugTarget } from '../../session/api';
import type * as History from '../../session/exits/history';
import { ExitReplay } from '../../session/exits/replay';
import type { Location, Step } from '../../session/types';
import { encode } from '../../wire/encode';
import { EXIT_TRACE_FORMATS } from '../../wire/exit-trace';
import { compact } from '../compact';
import type { AdapterContext } from '../context';
import { requestError } from '../errors';
import { type Handlers } from '../requests';

/** Exits that one export takes at most: more of them is the command line's work. */
const MOST_EXPORTED = 20_000;
const MOST_ROWS = 1000;

/** How long one request for a replay works, and the instructions' work between two looks at the clock: so few exits that their Steps are kept. */
const SLICE_MS = 60;
const BUDGET = 20_000;

/** A target's replay; one at a time. */
const replays = new WeakMap<DebugTarget, ExitReplay>();

const sourceOf = (adapter: AdapterContext, at: Location | undefined): ExitRow['source'] => {
  const path = at && adapter.client.source(at.file).path;
  return at && path !== undefined ? { path, line: adapter.client.edited.toCurrent(at.file, at.line).line } : undefined;
};

function rowOf(adapter: AdapterContext, { location, ...row }: History.ExitRow): ExitRow {
  return compact<ExitRow>({ ...encode(row), source: sourceOf(adapter, location) });
}

function placeOf(adapter: AdapterContext, { location, ...place }: History.ExitPlace): ExitPlace {
  return compact<ExitPlace>({ ...encode(place), source: sourceOf(adapter, location) });
}

function stepOf(step: NonNullable<History.ExitDetail['steps']>[number]): ExitStep {
  const { actor, mode, fn, cycles } = step;
  if (!('what' in step)) return { actor, mode, fn, cycles };
  const { what, references, addresses }: Step = step;
  return { actor, mode, fn, cycles, what, references, addresses: encode(addresses) };
}

function detailOf(adapter: AdapterContext, { row, steps, decoded, full, open }: History.ExitDetail): ExitDetail {
  return compact<ExitDetail>({
    row: rowOf(adapter, row),
    decoded,
    steps: steps?.slice(0, STEPS_SHOWN).map(stepOf),
    stepCount: steps?.length ?? row.steps.reduce((a, b) => a + b, 0),
    full,
    open,
  });
}

/** What a client sends is checked, for it decides how much work is done. */
function natural(name: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw requestError('badArgument', `${name} is not a number from 0 to ${most}`);
}
const rows = (count: unknown): number => natural('count', count, MOST_ROWS);
const start = (value: unknown): number => natural('start', value, Number.MAX_SAFE_INTEGER);

export const exitsRequests: Handlers<keyof ExitsRequests> = {
  'pagewalk/exits'(adapter) {
    return adapter.stopped.exits.summary();
  },

  'pagewalk/exits/tile'(adapter, { level, index }) {
    return adapter.stopped.exits.tile(natural('level', level, 44), start(index));
  },

  'pagewalk/exits/list'(adapter, args) {
    const { exits } = adapter.stopped;
    const address = args.address === undefined ? undefined : addressOf(args.address);
    const { total, rows: found } = exits.list(start(args.start), rows(args.count), {
      ...(args.reason === undefined ? {} : { reason: args.reason }),
      ...(address === undefined ? {} : { address }),
    });
    return { total, rows: found.map((row) => rowOf(adapter, row)) };
  },

  'pagewalk/exits/exit'(adapter, args) {
    const { exits } = adapter.stopped;
    const number = 'cycle' in args ? exits.at(args.cycle) : args.number;
    const found = number === undefined ? undefined : exits.exit(number);
    return found ? detailOf(adapter, found) : null;
  },

  'pagewalk/exits/replay'(adapter, args) {
    const { stopped, host } = adapter;
    const number = natural('number', args.number, Number.MAX_SAFE_INTEGER);
    const recorded = stopped.exits.exit(number);
    if (!recorded || recorded.open) throw requestError('badArgument', `exit ${number} is not recorded`);
    let replay = replays.get(stopped);
    if (!replay?.reaches(number)) {
      replay = adapter.unwrap(ExitReplay.of(stopped.program));
      replays.set(stopped, replay);
    }
    const until = host.now() + SLICE_MS;
    let isThere = replay.run(number, BUDGET);
    while (!isThere && host.now() < until) isThere = replay.run(number, BUDGET);
    if (!isThere) return { at: replay.count };
    const detail = replay.exit(recorded.row);
    return compact<ExitReplayReply>({
      at: number,
      detail: detail && detailOf(adapter, detail),
      differs: detail ? undefined : true,
    });
  },

  'pagewalk/exits/places'(adapter, args) {
    const all = adapter.stopped.exits.places(args.reason);
    const from = start(args.start);
    return { total: all.length, rows: all.slice(from, from + rows(args.count)).map((each) => placeOf(adapter, each)) };
  },

  'pagewalk/exits/lines'(adapter, { path }) {
    const byLine = new Map<number, { count: number; cycles: number; reasons: Map<string, number> }>();
    for (const each of adapter.stopped.exits.places()) {
      const source = sourceOf(adapter, each.location);
      if (source?.path !== path) continue;
      let line = byLine.get(source.line);
      if (!line) byLine.set(source.line, (line = { count: 0, cycles: 0, reasons: new Map() }));
      line.count += each.count;
      line.cycles += each.cycles;
      for (const { name, count } of each.reasons) line.reasons.set(name, (line.reasons.get(name) ?? 0) + count);
    }
    const lines: ExitLine[] = [...byLine].map(([line, { count, cycles, reasons }]) => ({
      line,
      count,
      cycles,
      reasons: [...reasons].map(([name, n]) => ({ name, count: n })),
    }));
    return { lines: lines.sort((a, b) => a.line - b.line) };
  },

  'pagewalk/exits/export'(adapter, { format, first, last }) {
    const { exits } = adapter.stopped;
    const chosen = EXIT_TRACE_FORMATS[format];
    const oldest = exits.summary().first;
    const from = Math.max(start(first), oldest);
    const count = Math.min(MOST_EXPORTED, Math.max(0, start(last) - from + 1));
    const { rows: found } = exits.list(from - oldest, count);
    const texts = found.map((row) => chosen.exit(row, exits.stepsByName(row.number)));
    return { text: chosen.head + texts.join('') + chosen.tail, exits: found.length };
  },
};

function addressOf(text: string): bigint {
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return BigInt(text);
  throw requestError('badArgument', `${text} is not an address`);
}
