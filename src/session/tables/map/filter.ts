import type { TableFilter as RowFilter } from '../../../model/tables';
import type { Decoded } from './source';

export type { RowFilter };

export const holds = ({ flags }: Decoded, { flag, without }: Extract<RowFilter, { kind: 'flag' }>): boolean =>
  flags.includes(flag) !== without;
