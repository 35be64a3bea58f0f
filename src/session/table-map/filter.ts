import type { Decoded } from './source';

/** Which pages are shown, and the tables that lead to them. */
export type RowFilter =
  /** Pages whose entry has the flag, by the manual's name; `without`: those that lack it. */
  | { readonly kind: 'flag'; readonly flag: string; readonly without: boolean }
  /** Entries that are others than at the stop that is compared with, also those that are gone. */
  | { readonly kind: 'changed' }
  /** Under shadow paging: where the shadow is stale or out of sync. */
  | { readonly kind: 'drifted' };

export const holds = ({ flags }: Decoded, { flag, without }: Extract<RowFilter, { kind: 'flag' }>): boolean =>
  flags.includes(flag) !== without;
