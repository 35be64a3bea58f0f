/** Rows in words: what the list shows, and what the details say. */
import type { TableRow, TableSet } from '../../../protocol/panels/page-tables';

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

export const count = (n: number): string => n.toLocaleString('en');
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
