/**
 * EPT permissions, all of them: every combination of R, W and X over three levels, for each kind of access, with accessed and dirty flags on and off, against
 * what the manual says (SDM vol. 3, 28.3.2 and 28.3.3), written down here once more without looking at the walker.
 */
import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { VMX_EXIT } from '../../../src/isa/exits';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { decodeEptp } from '../../../src/hw/paging/ept';
import { translateSecondLevel } from '../../../src/hw/paging/second-level';
import { SecondLevelBench } from '../support/second-level';
import { TableBuilder } from '../support/tables';

const WRITE_BACK = 6n << 3n;

type Operation = 'read' | 'write' | 'fetch' | 'table';
const OPERATIONS: readonly Operation[] = ['read', 'write', 'fetch', 'table'];

class Bench extends SecondLevelBench {
  constructor(ad: boolean) {
    super(PAGEWALK_X64, 7n | WRITE_BACK, (root) => decodeEptp(root | (3n << 3n) | 6n | (ad ? 0x40n : 0n)));
  }
  flags(): readonly bigint[] {
    return this.entries.map((e) => (this.memory.read64(hpa(e)) >> 8n) & 3n);
  }

  /** `ok`, `misconfiguration`, or the exit qualification of the violation. */
  outcome(operation: Operation): string {
    const exit = this.access(operation === 'table' ? 'read' : operation, operation === 'table');
    if (!exit) return 'ok';
    return exit.reason === VMX_EXIT.EPT_MISCONFIG ? 'misconfiguration' : `0x${exit.qualification.toString(16)}`;
  }
}

/**
 * The manual's answer. 28.3.3.1: an entry with W and not R misconfigures; X alone does not, where execute-only is offered. 28.3.3.2: an entry without any right ends the
 * walk; else what the access needs must be in every entry. 28.3.2: with EPTP bit 6 an access to a guest paging-structure entry counts as a write.
 * Table 27-7: bits 2:0 the access, 5:3 the AND of the rights of the entries used, 7 the linear address is valid, 8 it is not about a table entry.
 */
function manual(rights: readonly number[], operation: Operation, ad: boolean): string {
  const asked = { read: 1, write: 2, fetch: 4, table: ad ? 3 : 1 }[operation];
  let and = 7;
  for (const r of rights) {
    if (r === 2 || r === 6) return 'misconfiguration';
    and &= r;
    if (r === 0) break;
  }
  const need = operation === 'table' && ad ? 2 : asked;
  if ((and & need) !== 0) return 'ok';
  return `0x${(asked | (and << 3) | 0x80 | (operation === 'table' ? 0 : 0x100)).toString(16)}`;
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7];
const leafBits = (r: number): bigint => BigInt(r) | WRITE_BACK;

describe('EPT permission matrix', () => {
  for (const ad of [false, true]) {
    it(`every combination over levels 3, 2 and 1, A/D flags ${ad ? 'on' : 'off'}`, () => {
      const b = new Bench(ad);
      for (const three of ALL) {
        for (const two of ALL) {
          for (const one of ALL) {
            for (const operation of OPERATIONS) {
              b.set(BigInt(three), BigInt(two), leafBits(one));
              const got = b.outcome(operation);
              assert.equal(
                got,
                manual([three, two, one], operation, ad),
                `rights ${three} ${two} ${one}, ${operation}`,
              );
              // 28.3.5: A in every entry used, D in the leaf for what is or counts as a write; a walk that fails sets nothing
              const a = ad && got === 'ok' ? 1n : 0n;
              const d = a === 1n && (operation === 'write' || operation === 'table') ? 2n : 0n;
              assert.deepEqual(b.flags(), [a, a, a | d], `A and D, rights ${three} ${two} ${one}, ${operation}`);
            }
          }
        }
      }
    });

    it(`large pages: 2 MiB and 1 GiB leaves, A/D flags ${ad ? 'on' : 'off'}`, () => {
      const b = new Bench(ad);
      for (const three of ALL) {
        for (const operation of OPERATIONS) {
          for (const two of ALL) {
            b.set(BigInt(three), leafBits(two) | 0x80n, 0n, 2);
            assert.equal(
              b.outcome(operation),
              manual([three, two], operation, ad),
              `2 MiB, rights ${three} ${two}, ${operation}`,
            );
          }
          b.set(leafBits(three) | 0x80n, 0n, 0n, 3);
          assert.equal(b.outcome(operation), manual([three], operation, ad), `1 GiB, rights ${three}, ${operation}`);
        }
      }
    });
  }

  it('misconfigures on reserved bits, by level, and on memory types 2, 3 and 7, and on nothing else', () => {
    const b = new Bench(false);
    const width = BigInt(PAGEWALK_X64.physicalBits);
    const bad = (three: bigint, two: bigint, one: bigint, leaf = 1): boolean => {
      b.set(three, two, one, leaf);
      return b.outcome('read') === 'misconfiguration';
    };
    const one = leafBits(7);
    // table 28-1 to 28-6: bits 6:3 of an entry that points to a table; bits below the page of a large leaf; addresses beyond the width
    for (let n = 3n; n <= 63n; n++) {
      const bit = 1n << n;
      const beyond = n >= width && n <= 51n;
      if (n >= 12n && !beyond) continue;
      const table = n <= 6n;
      if (n !== 7n) assert.equal(bad(7n | bit, 7n, one), table || beyond, `bit ${n} of a PDPTE`);
      if (n !== 7n) assert.equal(bad(7n, 7n | bit, one), table || beyond, `bit ${n} of a PDE`);
      if (n > 5n) assert.equal(bad(7n, 7n, one | bit), beyond, `bit ${n} of a PTE`);
      if (n > 5n) assert.equal(bad(7n, one | 0x80n | bit, 0n, 2), beyond, `bit ${n} of a 2 MiB PDE`);
    }
    for (let n = 12n; n < 30n; n++) {
      if (n < 21n) assert.equal(bad(7n, one | 0x80n | (1n << n), 0n, 2), true, `bit ${n} of a 2 MiB PDE`);
      assert.equal(bad(one | 0x80n | (1n << n), 0n, 0n, 3), true, `bit ${n} of a 1 GiB PDPTE`);
    }
    for (let type = 0n; type < 8n; type++)
      assert.equal(bad(7n, 7n, 7n | (type << 3n)), type === 2n || type === 3n || type === 7n, `memory type ${type}`);
  });
});

/** SDM vol. 3, 28.3.3.2: a guest-physical address beyond what the levels of EPT translate is an EPT violation, and no bit of it is dropped. */
describe('EPT walk length', () => {
  const at = (gpa: bigint, levels: 4 | 5): string => {
    const memory = new HostMemory(0n, 1 << 20);
    const tables = new TableBuilder(memory, 0x1000n);
    const root = tables.frame();
    memory.write64(hpa(root), tables.frame() | 7n);
    const eptp = decodeEptp(root | (BigInt(levels - 1) << 3n) | 6n);
    const { ok, out } = translateSecondLevel({ memory, tables: eptp, physicalBits: 52 }, gpa, 'read');
    return ok ? 'ok' : `${out.reason} at level ${out.failedLevel}, ${out.depth} loads`;
  };
  it('four levels translate 48 bits, five 52 and more', () => {
    assert.equal(at(0n, 4), 'not-present at level 3, 2 loads');
    assert.equal(at(1n << 48n, 4), 'not-present at level 4, 0 loads');
    assert.equal(at(1n << 48n, 5), 'not-present at level 5, 1 loads');
    assert.equal(at(0n, 5), 'not-present at level 4, 2 loads');
  });
});
