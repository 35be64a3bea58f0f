/** The parts that a chain is put together from: entries as they are shown, and rights. */
import type { WalkFailure, WalkStep } from '../../hw/paging/trace';
import { FRAME_MASK, epteFlags, pteFlags } from '../../isa/entries';
import { entryName } from './entry-names';
import { lackingBit, reasonWords } from './failure-words';
import type { Chain, ChainFailure, ChainRights, ChainStep } from './translation';

export const ALL: ChainRights = { r: true, w: true, x: true, user: true };
export const NONE: ChainRights = { r: false, w: false, x: false, user: false };
export const both = (a: ChainRights, b: ChainRights): ChainRights => ({
  r: a.r && b.r,
  w: a.w && b.w,
  x: a.x && b.x,
  user: a.user && b.user,
});

/** Entries that a walk loaded. A guest entry whose own address failed in EPT was not. */
export function loadedEntries(steps: readonly WalkStep[]): number {
  return steps.reduce((n, s) => n + (s.entryHpa === undefined ? 0 : 1) + loadedEntries(s.nested), 0);
}

/**
 * The entries of one walk as they are shown. Where the walk was denied, what is wrong is said of the entries that lack the right, which need not be the last one: `failure` is
 * that of this walk or of one nested in it.
 */
export function chainSteps(steps: readonly WalkStep[], failure: WalkFailure | undefined): ChainStep[] {
  const last = steps.at(-1);
  const denied = failure && last?.outcome === 'denied' && last.table === failure.table ? failure : undefined;
  return steps.map((s) => chainStep(s, failure, denied));
}

function problemOf(s: WalkStep, failure: WalkFailure | undefined, denied: WalkFailure | undefined): string | undefined {
  if (s.entryHpa === undefined) return 'not loaded: its own address has no translation';
  const bit = denied && lackingBit(denied);
  if (denied && bit) {
    const at = denied.lacking.findIndex((e) => e.level === s.level);
    if (at < 0) return undefined;
    return `${bit.name} = ${bit.value}${at === 0 ? `: ${reasonWords(denied.reason)}` : ''}`;
  }
  if (s.outcome === 'next' || s.outcome === 'leaf') return undefined;
  if (!failure || s.entry !== failure.entry) return OUTCOMES[s.outcome];
  return failure.wrong.length > 0 ? failure.wrong.join('; ') : reasonWords(failure.reason);
}

function chainStep(s: WalkStep, failure: WalkFailure | undefined, denied: WalkFailure | undefined): ChainStep {
  const present = s.outcome === 'next' || s.outcome === 'leaf' || s.outcome === 'denied';
  const problem = problemOf(s, failure, denied);
  return {
    level: s.level,
    name: entryName(s.table, s.level),
    index: s.index,
    entryAddress: s.entryAddress,
    space: s.space,
    ...(s.entryHpa === undefined || s.space === 'hpa' ? {} : { entryHpa: s.entryHpa }),
    entry: s.entry,
    flags:
      s.entryHpa === undefined
        ? []
        : s.table === 'ept'
          ? epteFlags(s.entry, s.leaf, s.reserved)
          : pteFlags(s.entry, s.leaf, s.level, s.reserved),
    ...(present ? { target: s.entry & FRAME_MASK } : {}),
    ...(problem === undefined ? {} : { problem }),
    nested: chainSteps(s.nested, failure),
  };
}
const OUTCOMES: Readonly<Record<WalkStep['outcome'], string | undefined>> = {
  next: undefined,
  leaf: undefined,
  'not-present': 'not present',
  reserved: 'a reserved bit is set',
  misconfigured: 'misconfigured',
  denied: 'denied',
  'no-memory': 'no memory there',
};

type Addresses = {
  readonly gva?: bigint;
  readonly gpa: bigint | undefined;
  readonly hva: bigint | undefined;
  readonly hpa: bigint | undefined;
};
type Rest = Omit<Chain, 'gva' | 'gpa' | 'hva' | 'hpa' | 'failure'> & { readonly failure: ChainFailure | undefined };

/** Leaves out what is not known: absent fields, not undefined ones. */
export function chain(a: Addresses, { failure, ...rest }: Rest): Chain {
  const { ok, ...others } = rest;
  return {
    ok,
    ...(a.gva === undefined ? {} : { gva: a.gva }),
    ...(a.gpa === undefined ? {} : { gpa: a.gpa }),
    ...(a.hva === undefined ? {} : { hva: a.hva }),
    ...(a.hpa === undefined ? {} : { hpa: a.hpa }),
    ...others,
    ...(failure ? { failure } : {}),
  };
}
