/** Rows in words: what the list shows, and what the details say. */
import type { DriftMark, TableRow, TableSet } from '../../../protocol/panels/page-tables';

export const SET_TITLES: Readonly<Record<TableSet, string>> = {
  guest: 'Guest',
  shadow: 'Shadow',
  ept: 'EPT',
  npt: 'NPT',
  host: 'Host',
};
export const SET_LONG: Readonly<Record<TableSet, string>> = {
  guest: 'Guest page tables',
  shadow: 'Shadow page tables',
  ept: 'Extended page tables',
  npt: 'Nested page tables',
  host: 'Host page tables',
};

const count = (n: number): string => n.toLocaleString('en');
export const plural = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? '' : 's'}`;

export const indexText = ({ first, last }: TableRow): string => (first === last ? `[${first}]` : `[${first}–${last}]`);

/** `PTE`, `512 × PTE`. */
export const nameText = ({ name, first, last }: TableRow): string =>
  first === last ? name : `${last - first + 1} × ${name}`;

const RIGHT_WORDS = ['read', 'write', 'execute', 'user'] as const;
/** `read, write`; `nothing`. */
export const rightsWords = (rights: string): string =>
  RIGHT_WORDS.filter((_, i) => rights[i] !== '-').join(', ') || 'nothing';

/** Where a row leads, in short. */
export function targetText(row: TableRow): string {
  switch (row.kind) {
    case 'absent':
      return 'not present';
    case 'mmio':
      return 'MMIO';
    case 'table':
      return row.partial === true && row.pages === 0 ? 'no memory' : plural(row.pages, 'page');
    case 'page':
      return `→ ${row.target}${row.targets === 'same' ? ' each' : row.targets === 'following' ? ' on' : ''}`;
  }
}

/** A mark's word in the list, and what it means. */
export const DRIFT_WORDS: Readonly<Record<DriftMark, { readonly short: string; readonly long: string }>> = {
  missing: { short: 'no shadow', long: 'no shadow of it yet: the next access is a hidden fault' },
  stale: {
    short: 'stale',
    long: 'the shadow differs from the guest’s tables: they were edited and not flushed',
  },
  'write-protected': {
    short: 'write-protected',
    long: 'read-only in the shadow, since the frame holds a table of the guest’s that KVM watches',
  },
  unsync: {
    short: 'unsync',
    long: 'the guest writes this table without exits; its shadow stays in use until the next flush',
  },
  mmio: { short: 'MMIO', long: 'marked as a hole: every access goes to the VMM' },
};

/** What the list says of a row's drift: of a run only how many entries are stale, of tables whether something below is. */
export function driftText({ drift = [], driftBelow = [], first, last }: TableRow): {
  readonly text: string;
  readonly isStale: boolean;
} {
  const stale = drift.find(({ mark }) => mark === 'stale');
  if (stale) return { text: first === last ? '≠ stale' : `≠ ${count(stale.entries)} stale`, isStale: true };
  if (driftBelow.includes('stale')) return { text: '≠ stale below', isStale: true };
  const [own] = first === last ? drift.filter(({ mark }) => mark !== 'mmio') : [];
  return { text: own ? DRIFT_WORDS[own.mark].short : '', isStale: false };
}
