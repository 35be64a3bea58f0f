/** What the CPU would use for an access in place of the tables: a TLB entry, or a paging-structure cache to begin the walk at; and where that differs from the tables. */
import { hex } from '../../base/hex';
import type { Access } from '../../hw/paging/access';
import { levelShift } from '../../hw/paging/controls';
import { OrdinaryWalk, walkOrdinary } from '../../hw/paging/ordinary';
import type { WalkStart } from '../../hw/paging/walk-out';
import type { TlbEntryView } from '../../hw/tlb/tlb';
import { entryName } from './entry-names';
import { shadowTables } from '../tables/shadow-tables';
import { TlbComparison } from '../tables/tlb-compare';
import { staleWords, type TlbStaleness } from '../tables/tlb-state';
import type { ChainTlb, StaleAnswer } from './translation';
import type { Translator } from './translator';

/** What a walk from the root gives for the same access. */
export interface TablesAnswer {
  readonly ok: boolean;
  readonly gpa: bigint | undefined;
  readonly hpa: bigint | undefined;
}

export function tlbAnswer(t: Translator, linear: bigint, access: Access, tables: TablesAnswer): ChainTlb {
  const compare = new TlbComparison(t);
  const e = t.tlbEntry(linear);
  const hit = e !== undefined && serves(e, access);
  const entryStale = e && compare.entry(e).stale;
  const fromEntry = e && entryStale && ofEntry(t, e, linear & 0xfffn, entryStale);
  const cache = cached(t, compare, linear);
  const fromCache = hit || !cache ? undefined : ofCache(t, linear, access, cache, tables);
  return {
    hit,
    stale: (hit ? fromEntry : (fromCache ?? fromEntry)) ?? null,
    ...(cache ? { walkStart: cache.start.level, cache: cache.shown } : {}),
  };
}

/** Whether the entry gives the access without a walk. */
const serves = (e: TlbEntryView, { op }: Access): boolean =>
  op === 'write'
    ? e.writable && e.dirty && e.eptRights.w
    : op === 'fetch'
      ? e.executable && e.eptRights.x
      : e.eptRights.r;

const place = (gpa: bigint | undefined, hpa: bigint | undefined): string =>
  [gpa === undefined ? '' : `GPA ${hex(gpa)}`, hpa === undefined ? '' : `HPA ${hex(hpa)}`]
    .filter((x) => x !== '')
    .join(', ');

function ofEntry(t: Translator, e: TlbEntryView, within: bigint, stale: TlbStaleness): StaleAnswer {
  // under shadow paging an entry holds no GPA; an emulated TLB keeps no host address: the next access goes through the host's tables
  const gpa = t.shadow ? undefined : e.gpa + within;
  const hpa = t.emulated ? t.physical.hpaOf(e.gpa + within) : e.hpa + within;
  return answer('TLB', gpa, hpa, stale, `The TLB still leads to ${place(gpa, hpa)}: ${staleWords(stale)}.`);
}

const answer = (
  source: string,
  gpa: bigint | undefined,
  hpa: bigint | undefined,
  s: TlbStaleness,
  explanation: string,
): StaleAnswer => ({
  source,
  ...(gpa === undefined ? {} : { gpa }),
  ...(hpa === undefined ? {} : { hpa }),
  why: s.why,
  missing: s.advice,
  ...(s.note === undefined ? {} : { note: s.note }),
  explanation,
});

interface CachedTable {
  readonly start: WalkStart;
  readonly shown: NonNullable<ChainTlb['cache']>;
  readonly stale: TlbStaleness | undefined;
}

/** The paging-structure cache's entry that the next walk would begin at. */
function cached(t: Translator, compare: TlbComparison, linear: bigint): CachedTable | undefined {
  const { format } = compare;
  if (format === 'none') return undefined;
  const found = t.walkStart(linear, format);
  if (!found) return undefined;
  const { start, context } = found;
  const level = start.level + 1;
  const span = 1n << BigInt(levelShift(format, level));
  const state = compare.cached({ ...context, ...start, level, linear: linear & ~(span - 1n) });
  const { stale } = state;
  const name = `${entryName('guest', level)} cache`;
  const words = stale
    ? `The walk begins at the table at ${t.shadow ? 'HPA' : 'GPA'} ${hex(start.table)}, which the ${name} still holds: ${staleWords(stale)}.`
    : undefined;
  return {
    start,
    stale,
    shown: {
      name,
      level,
      table: start.table,
      tableHpa: state.tableHpa,
      stale: stale === undefined ? null : { why: stale.why, missing: stale.advice, explanation: words ?? '' },
    },
  };
}

/** Where the walk from the cached table leads, where that is not where the tables lead; undefined: it makes no difference. */
function ofCache(
  t: Translator,
  linear: bigint,
  access: Access,
  { start, shown, stale }: CachedTable,
  tables: TablesAnswer,
): StaleAnswer | undefined {
  if (!stale) return undefined;
  const found = t.shadow ? fromShadow(t, linear, access, start) : fromGuest(t, linear, access, start);
  // a walk that fails drops what it began at, and begins at the root (SDM vol. 3, 4.10.4.1)
  if (!found) return undefined;
  const same = t.shadow ? tables.ok && found.hpa === tables.hpa : found.gpa === tables.gpa;
  if (same) return undefined;
  const hpa = found.hpa ?? (found.gpa === undefined ? undefined : t.physical.hpaOf(found.gpa));
  const explanation = `${shown.stale?.explanation ?? ''} The access goes to ${place(found.gpa, hpa)}.`;
  return answer(shown.name, found.gpa, hpa, stale, explanation);
}

interface Found {
  readonly gpa: bigint | undefined;
  readonly hpa: bigint | undefined;
}
function fromGuest(t: Translator, linear: bigint, access: Access, start: WalkStart): Found | undefined {
  const probe = t.mmu.probeWalk(linear, access, undefined, start);
  return probe.gpa === undefined ? undefined : { gpa: probe.gpa, hpa: probe.hpa };
}
function fromShadow(t: Translator, linear: bigint, access: Access, start: WalkStart): Found | undefined {
  const tables = t.shadow && shadowTables(t, t.shadow);
  if (!tables) return undefined;
  const walk = new OrdinaryWalk(tables);
  walk.start = start;
  return walkOrdinary(walk, linear, access, t.ac) ? { gpa: undefined, hpa: walk.out.address } : undefined;
}
