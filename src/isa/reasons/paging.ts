import { hex } from '../../base/hex';
import { entryName } from '../entries';
import { reservedBitsIn, type EntryRules } from '../reserved-bits';
import { rule } from './rule';

const entryOf = (level: number, entry: bigint): string => `the ${entryName(level)} (${hex(entry)})`;

/** Page faults: the deciding entry, and which of its bits. */
export const PAGING_RULES = {
  'page-not-present': rule(
    'SDM vol. 3, 4.7',
    (level: number, entry: bigint) => `${entryOf(level, entry)} is not present`,
  ),
  /** How software page-table walkers (KVM's walk_addr, QEMU) treat an entry that is not backed by RAM. */
  'page-no-memory': rule('SDM vol. 3, 4.7', (address: bigint) => {
    return `the entry at GPA ${hex(address)} lies where no RAM is, and counts as not present`;
  }),
  'page-reserved': rule('SDM vol. 3, 4.7', (level: number, entry: bigint, rules: EntryRules) => {
    return `${entryOf(level, entry)}: ${reservedBitsIn(rules, level, entry).join('; ')}`;
  }),
  'page-write': rule('SDM vol. 3, 4.6.1', (level: number, entry: bigint, user: boolean) => {
    return `R/W is 0 in ${entryOf(level, entry)}${user ? '' : ' and CR0.WP = 1'}`;
  }),
  'page-user': rule('SDM vol. 3, 4.6.1', (level: number, entry: bigint) => {
    return `U/S is 0 in ${entryOf(level, entry)}: user accesses are not allowed`;
  }),
  'page-execute': rule('SDM vol. 3, 4.6.1', (level: number, entry: bigint) => {
    return `XD is 1 in ${entryOf(level, entry)}: no instructions can be fetched`;
  }),
  'page-smep': rule('SDM vol. 3, 4.6.1', () => {
    return 'the page is a user page (U/S is 1 in all its entries), and CR4.SMEP = 1 forbids supervisor fetches from it';
  }),
  'page-smap': rule('SDM vol. 3, 4.6.1', () => {
    return 'the page is a user page (U/S is 1 in all its entries), and CR4.SMAP = 1 forbids supervisor accesses to it without RFLAGS.AC';
  }),
  'page-key': rule('SDM vol. 3, 4.6.2', (key: number, pkru: number) => {
    const bits = (pkru >>> (key * 2)) & 3;
    return `protection key ${key}: PKRU ${hex(pkru >>> 0)} forbids ${bits & 1 ? 'accesses' : 'writes'} to its pages`;
  }),
} as const;
