/** Reserved bits by name: which bit it is, and why it is reserved as the entry is used (SDM vol. 3, tables 4-4 to 4-21 and 29-1 to 29-6; APM vol. 2, 5.3.3). */
import assert from 'node:assert/strict';
import { epteFlags, pteFlags } from '../../../src/isa/entries';
import {
  eptReservedSet,
  isLarge,
  isMisconfigured,
  misconfigurationOf,
  reservedBitsIn,
  reservedMask,
  reservedSet,
  type EntryRules,
} from '../../../src/isa/reserved-bits';

const LONG: EntryRules = {
  format: '4level',
  nxe: true,
  pse: true,
  physicalBits: 39,
  vendor: 'intel',
  pages1g: true,
};

function check(rules: Partial<EntryRules>, level: number, entry: bigint, words: readonly string[]): void {
  it(`level ${level}, ${entry.toString(16)}: ${words.join('; ') || 'nothing'}`, () => {
    assert.deepEqual(reservedBitsIn({ ...LONG, ...rules }, level, entry), words);
  });
}

describe('reserved bits of ordinary entries by name', () => {
  const bit = (n: number): bigint => 1n << BigInt(n);
  check({ nxe: false }, 1, bit(63) | 1n, ['bit 63 (XD) is reserved while EFER.NXE = 0']);
  check({}, 1, bit(63) | 1n, []);
  check({ nxe: false }, 1, bit(63), []);
  check({}, 2, bit(13) | 0x81n, ['bit 13 of a 2 MiB PDE is reserved']);
  check({}, 3, bit(29) | 0x81n, ['bit 29 of a 1 GiB PDPTE is reserved']);
  check({}, 1, bit(50) | 1n, ['bit 50 is above MAXPHYADDR 39']);
  check({}, 4, 0x81n, ['PS in a PML4E is reserved (bit 7)']);
  check({ format: '5level' }, 5, 0x81n, ['PS in a PML5E is reserved (bit 7)']);
  check({ pages1g: false }, 3, 0x81n, ['PS in a PDPTE is reserved (bit 7): this CPU model has no 1 GiB pages']);
  check({ vendor: 'amd' }, 4, 0x101n, ['G in a PML4E is reserved (bit 8) on AMD processors']);
  check({ format: 'pae' }, 1, bit(55) | 1n, ['bit 55 is reserved in PAE paging']);
  check({ format: 'pae' }, 3, 3n, ['bit 1 of a PAE PDPTE is reserved']);
  check({ format: '32bit' }, 2, bit(21) | 0x81n, ['bit 21 of a 4 MiB PDE is reserved']);
  check({ format: '32bit', physicalBits: 36 }, 2, bit(17) | 0x81n, [
    'bit 17 of a 4 MiB PDE is address bit 36, above MAXPHYADDR 36',
  ]);
  check({ format: '32bit', pse: false }, 2, bit(21) | 0x81n, []);
  check({ nxe: false }, 2, bit(63) | bit(51) | bit(14) | 0x81n, [
    'bit 51 is above MAXPHYADDR 39',
    'bit 63 (XD) is reserved while EFER.NXE = 0',
    'bit 14 of a 2 MiB PDE is reserved',
  ]);

  it('each bit that a walk refuses has one cause that names it, and no other has', () => {
    for (const format of ['32bit', 'pae', '4level', '5level'] as const)
      for (const vendor of ['intel', 'amd'] as const)
        for (const flags of [0, 1, 2, 3, 4, 5, 6, 7])
          for (const physicalBits of [36, 46, 52]) {
            const [nxe, pse, pages1g] = [(flags & 1) !== 0, (flags & 2) !== 0, (flags & 4) !== 0];
            const c: EntryRules = { format, vendor, nxe, pse, pages1g, physicalBits };
            const levels = { '32bit': 2, pae: 3, '4level': 4, '5level': 5 }[format];
            for (let level = 1; level <= levels; level++)
              for (const ps of [false, true])
                for (let n = 1; n < (format === '32bit' ? 32 : 64); n++) {
                  const entry = 1n | (ps ? 0x80n : 0n) | bit(n);
                  const has7 = (entry & 0x80n) !== 0n;
                  const mask = reservedMask(c, level, isLarge(c, level, has7), has7);
                  const told = reservedBitsIn(c, level, entry).filter((w) => new RegExp(`\\bbit ${n}\\b`).test(w));
                  assert.equal(
                    told.length,
                    (mask & bit(n)) === 0n ? 0 : 1,
                    `${format} level ${level} bit ${n}: ${told.join()}`,
                  );
                }
          }
  });

  it('a flag that is reserved is not shown as one that is set', () => {
    const shown = (c: EntryRules, level: number, entry: bigint, leaf: boolean): string[] =>
      pteFlags(entry, leaf, level, reservedSet(c, level, entry));
    assert.deepEqual(shown({ ...LONG, nxe: false }, 1, bit(63) | 7n, true), ['P', 'RW', 'US', 'XD(reserved)']);
    assert.deepEqual(shown(LONG, 1, bit(63) | 7n, true), ['P', 'RW', 'US', 'XD']);
    assert.deepEqual(shown(LONG, 4, 0x87n, false), ['P', 'RW', 'US', 'PS(reserved)']);
    assert.deepEqual(shown(LONG, 2, bit(13) | 0x81n, true), ['P', 'PS', 'bit 13(reserved)']);
  });
});

describe('EPT misconfigurations by name', () => {
  const bit = (n: number): bigint => 1n << BigInt(n);
  for (const [level, entry, words] of [
    [1, 0x32n, ['W is set without R']],
    [1, 0x36n, ['W is set without R']],
    [1, 0x17n, ['memory type 2 is reserved']],
    [1, bit(50) | 0x37n, ['bit 50 is above MAXPHYADDR 39']],
    [4, 0x87n, ['bit 7 of an EPT PML4E that points to a table is reserved']],
    [2, bit(13) | 0xb7n, ['bit 13 of an EPT PDE that maps 2 MiB is reserved']],
    [1, 0x37n, []],
  ] as const)
    it(`level ${level}, ${entry.toString(16)}: ${words.join('; ') || 'nothing'}`, () => {
      const large = level > 1 && level < 4 && (entry & 0x80n) !== 0n;
      assert.deepEqual(misconfigurationOf(entry, level, large, 39), words);
      assert.equal(isMisconfigured(entry, level, large, 39), words.length > 0);
    });

  it('one that a walk refuses has a cause, and no other has', () => {
    let seed = 0x2545_f491n;
    const random = (): bigint => {
      seed = BigInt.asUintN(64, seed * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
      return BigInt.asUintN(64, (seed >> 17n) ^ (seed << 31n));
    };
    for (let i = 0; i < 20_000; i++) {
      const entry = i % 2 ? random() : (random() & 0x8000_00ff_ffff_ffffn) | 1n;
      const level = 1 + (i % 5);
      const large = (level === 2 || level === 3) && (entry & 0x80n) !== 0n;
      assert.equal(misconfigurationOf(entry, level, large, 39).length > 0, isMisconfigured(entry, level, large, 39));
    }
  });

  it('a reserved bit is not shown as a flag', () =>
    assert.deepEqual(epteFlags(0x87n, false, eptReservedSet(0x87n, 4, false, 39)), ['R', 'W', 'X', 'bit 7(reserved)']));
});
