/**
 * Nested page table permissions, all of them: every combination of P, R/W, U/S and NX over three levels, for reads, writes and fetches of user and supervisor, as the
 * final access and as the walk of the guest's tables, against what the manual says (AMD APM vol. 2, 15.25.5 and 15.25.6), written down here once more without looking at
 * the walker.
 */
import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { SVM_EXIT } from '../../../src/isa/svm-exits';
import { PAGEWALK_SVM } from '../../../src/hw/cpu/cpuid-model';
import { decodeControls } from '../../../src/hw/paging/controls';
import { decodeNpt } from '../../../src/hw/paging/npt';
import { SecondLevelBench } from '../support/second-level';

const OPERATIONS = ['read', 'write', 'fetch'] as const;
type Operation = (typeof OPERATIONS)[number];
/** Every access of the guest: what it does, in which half of EXITINFO1 it counts, and whose it is. */
const ACCESSES = OPERATIONS.flatMap((op) =>
  [false, true].flatMap((table) => [false, true].map((user) => ({ op, table, user }))),
);

/** CR0.PG, CR0.WP, CR4.PAE, EFER.LME and LMA, and NXE, by their bits in the manual. SMEP (CR4 bit 20) and SMAP (21) of the host mean nothing to its guest. */
const hostPaging = (nxe: boolean): ReturnType<typeof decodeControls> =>
  decodeControls(0x8001_0001n, 0x30_0020n, nxe ? 0xd00n : 0x500n, 0, PAGEWALK_SVM);

class Bench extends SecondLevelBench {
  constructor(nxe: boolean) {
    super(PAGEWALK_SVM, 7n, (root) => decodeNpt(root, hostPaging(nxe)));
  }
  /** `ok`, or EXITINFO1 of the #NPF. */
  outcome({ op, table, user }: (typeof ACCESSES)[number]): string {
    const exit = this.access(op, table, user);
    if (!exit) return 'ok';
    assert.equal(exit.reason, SVM_EXIT.NPF);
    return `0x${exit.qualification.toString(16)}`;
  }
  /** A and D of the three entries, as bits 0 and 1. */
  flags(): readonly bigint[] {
    return this.entries.map((e) => (this.memory.read64(hpa(e)) >> 5n) & 3n);
  }
}

/** An entry of a case: 1 P, 2 R/W, 4 U/S as in the entry, 8 for NX. */
const bitsOf = (f: number): bigint => BigInt(f & 7) | (f & 8 ? 1n << 63n : 0n);
const ALL = Array.from({ length: 16 }, (_, i) => i);

/**
 * The manual's answer (QEMU reads it so too: its walk asks for each guest entry's address as MMU_DATA_STORE of a user, target/i386/tcg/sysemu/excp_helper.c, ptw_translate). 15.25.5: the nested walk takes every access for a user's, whatever the guest's CPL; walks of the guest's tables are data writes, also for a fetch;
 * rights are those of all levels. 15.25.6: bit 0 the nested entry was present, 1 a write, 2 a user's access, 3 reserved bits, 4 a code read (as in any page-fault code only with
 * NXE, 8.4.2), 32 the final access, 33 a table walk. Without NXE, bit 63 is reserved (5.3.5).
 */
function manual(entries: readonly number[], op: Operation, table: boolean, nxe: boolean): string {
  const write = table || op === 'write';
  const fetch = !table && op === 'fetch';
  const code = (low: number): string =>
    `0x${(BigInt(low | (write ? 2 : 0) | 4 | (fetch && nxe ? 16 : 0)) | (table ? 1n << 33n : 1n << 32n)).toString(16)}`;
  for (const e of entries) {
    if ((e & 1) === 0) return code(0);
    if ((e & 8) !== 0 && !nxe) return code(9);
  }
  const every = (bit: number): boolean => entries.every((e) => (e & bit) !== 0);
  if (!every(4)) return code(1);
  if (write && !every(2)) return code(1);
  if (fetch && entries.some((e) => (e & 8) !== 0)) return code(1);
  return 'ok';
}
const nameOf = (a: (typeof ACCESSES)[number]): string =>
  `${a.user ? 'user' : 'supervisor'} ${a.op}${a.table ? ', table walk' : ''}`;

describe('NPT permission matrix', () => {
  for (const nxe of [true, false]) {
    it(`every combination over levels 3, 2 and 1, host EFER.NXE ${nxe ? 'on' : 'off'}`, function () {
      const b = new Bench(nxe);
      for (const three of ALL)
        for (const two of ALL)
          for (const one of ALL)
            for (const a of ACCESSES) {
              b.set(bitsOf(three), bitsOf(two), bitsOf(one));
              const got = b.outcome(a);
              const expected = manual([three, two, one], a.op, a.table, nxe);
              if (got !== expected) assert.equal(got, expected, `entries ${three} ${two} ${one}, ${nameOf(a)}`);
              // 15.25.5: A in every entry used, D in the leaf of what is or counts as a write; a walk that fails sets nothing
              const used = got === 'ok' ? 1n : 0n;
              const dirty = got === 'ok' && (a.table || a.op === 'write') ? 2n : 0n;
              const [f3, f2, f1] = b.flags();
              if (f3 !== used || f2 !== used || f1 !== (used | dirty))
                assert.fail(`A and D are ${f3} ${f2} ${f1}: entries ${three} ${two} ${one}, ${nameOf(a)}`);
            }
    });

    it(`large pages: 2 MiB and 1 GiB leaves, host EFER.NXE ${nxe ? 'on' : 'off'}`, () => {
      const b = new Bench(nxe);
      for (const three of ALL)
        for (const a of ACCESSES) {
          for (const two of ALL) {
            b.set(bitsOf(three), bitsOf(two) | 0x80n, 0n, 2);
            assert.equal(
              b.outcome(a),
              manual([three, two], a.op, a.table, nxe),
              `2 MiB, ${three} ${two}, ${nameOf(a)}`,
            );
          }
          b.set(bitsOf(three) | 0x80n, 0n, 0n, 3);
          assert.equal(b.outcome(a), manual([three], a.op, a.table, nxe), `1 GiB, ${three}, ${nameOf(a)}`);
        }
    });
  }

  it('finds reserved bits by level (5.3.3 to 5.3.5), whatever the rights, and nothing else', () => {
    const b = new Bench(true);
    const width = BigInt(PAGEWALK_SVM.physicalBits);
    for (const a of ACCESSES) {
      // P and RSVD, with the access: the rights of the levels above are not told of
      const reserved = manual([1 | 8], a.op, a.table, false);
      const withNxe = !a.table && a.op === 'fetch' ? `0x${(BigInt(reserved) | 16n).toString(16)}` : reserved;
      const expect = (isReserved: boolean, what: string): void =>
        assert.equal(b.outcome(a), isReserved ? withNxe : 'ok', `${what}, ${nameOf(a)}`);
      // addresses beyond the width; 62:52 are the software's; bits below a large page's frame but PAT (12)
      for (let n = width; n <= 62n; n++) {
        const bit = 1n << n;
        const beyond = n < 52n;
        b.set(7n | bit, 7n, 7n);
        expect(beyond, `bit ${n} of a PDPE`);
        b.set(7n, 7n | bit, 7n);
        expect(beyond, `bit ${n} of a PDE`);
        b.set(7n, 7n, 7n | bit);
        expect(beyond, `bit ${n} of a PTE`);
        b.set(7n, 0x87n | bit, 0n, 2);
        expect(beyond, `bit ${n} of a 2 MiB PDE`);
        b.set(0x87n | bit, 0n, 0n, 3);
        expect(beyond, `bit ${n} of a 1 GiB PDPE`);
      }
      for (let n = 12n; n < 30n; n++) {
        if (n < 21n) {
          b.set(7n, 0x87n | (1n << n), 0n, 2);
          expect(n > 12n, `bit ${n} of a 2 MiB PDE`);
        }
        b.set(0x87n | (1n << n), 0n, 0n, 3);
        expect(n > 12n, `bit ${n} of a 1 GiB PDPE`);
      }
      // below an entry without R/W and U/S too
      b.set(1n, 7n, 7n | (1n << width));
      expect(true, 'a PTE below a PDPE without rights');
    }
  });
});
