/** What the TLB panel says of an entry, apart from how it is drawn. */
import type { TlbEntry, TlbReply, WalkCacheEntry } from '../../../protocol/tlb';
import { sizeText } from '../../names';

/**
 * How a cell of the map is drawn. stale: the tables no longer support the entry. other: no access of the guest can
 * hit it now (another VPID, PCID or EPTP).
 */
export type CellState = 'vacant' | 'current' | 'other' | 'stale';

export const cellState = (entry: TlbEntry | undefined): CellState =>
  entry === undefined ? 'vacant' : entry.stale ? 'stale' : entry.current ? 'current' : 'other';

/** The place of an entry, and the whole of what it says: the same key at two stops is the same entry. */
export const placeOf = ({ set, way }: { readonly set: number; readonly way: number }): string => `${set}.${way}`;
export const keyOf = (e: TlbEntry): string => `${placeOf(e)} ${e.linear} ${e.hpa} ${e.tags.vpid} ${e.tags.pcid ?? 'g'}`;

export const FILTERS = {
  all: 'All entries',
  current: 'Found by the guest now',
  stale: 'Stale',
  changed: 'New since the last look',
} as const;
export type Filter = keyof typeof FILTERS;
export const isFilter = (text: string): text is Filter => Object.hasOwn(FILTERS, text);

/** `RW- S`: what both levels allow; `U` where user mode may. */
export function rightsText({ rights, secondRights }: TlbEntry): string {
  const letter = (right: 'r' | 'w' | 'x'): string => (rights[right] && secondRights[right] ? right.toUpperCase() : '-');
  return `${letter('r')}${letter('w')}${letter('x')} ${rights.user ? 'U' : 'S'}`;
}

export function tagsText({ tags }: TlbEntry | WalkCacheEntry): string {
  const pcid = tags.pcid === null ? 'global' : `PCID ${tags.pcid}`;
  return tags.asid === undefined ? `VPID ${tags.vpid} · ${pcid}` : `ASID ${tags.asid} · ${pcid}`;
}

/** The page sizes of both levels, as `4 KiB / 2 MiB` where they differ; the smaller one decides what an entry stands for. */
export const sizesText = ({ guestPageSize, secondPageSize, tags }: TlbEntry): string =>
  tags.eptp === undefined || guestPageSize === secondPageSize
    ? sizeText(guestPageSize)
    : `${sizeText(guestPageSize)} / ${sizeText(secondPageSize)}`;

export function ageText(age: number): string {
  return age === 0 ? 'newest' : age === 1 ? '1 fill ago' : `${age.toLocaleString('en')} fills ago`;
}

export function summaryText(reply: TlbReply): string {
  if (reply.ways === 0) return 'The TLB is off: every access walks the tables.';
  const n = (count: number): string => count.toLocaleString('en');
  return [
    `${n(reply.total)} of ${n(reply.sets * reply.ways)} entries`,
    `${n(reply.sets)} sets × ${reply.ways} ways`,
    `${n(reply.hits)} hits`,
    `${n(reply.misses)} misses`,
  ].join(' · ');
}
