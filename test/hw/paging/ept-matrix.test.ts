/**
 * EPT permissions, all of them: every combination of R, W and X over three levels, for each kind of access, with accessed and dirty flags on and off, against
 * what the manual says (SDM vol. 3, 28.3.2 and 28.3.3), written down here once more without looking at the walker.
 */
import * as assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { VMX_EXIT } from '../../../src/isa/exits';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { decodeEptp } from '../../../src/hw/paging/ept';
import type { CpuEvent } from '../../../src/hw/state/event';
import { SLOT } from '../../../src/hw/state/layout';
import { TableBuilder } from '../support/tables';

const GUEST_ROOT = 0x10_0000n;
/** The EPT maps the low 32 MiB to themselves; GPA 1 GiB and up has tables of its own, whose entries the cases write. */
const UNDER_TEST = 0x4000_0000n;
const FRAME = 0x100_0000n;
/** Maps to UNDER_TEST; and its page table lies there. */
const DATA = 0x40_0000n;
const TABLE = 0x8000_0000n;
const WRITE_BACK = 6n << 3n;

type Operation = 'read' | 'write' | 'fetch' | 'table';
const OPERATIONS: readonly Operation[] = ['read', 'write', 'fetch', 'table'];

class Bench {
  readonly memory = new HostMemory(0n, 32 << 20);
  readonly cpu = new Cpu(this.memory, 0, PAGEWALK_X64, { tlbEntries: 0, tlbWays: 0 });
  /** Addresses of the entries under test: levels 3, 2 and 1. */
  readonly entries: readonly [bigint, bigint, bigint];
  private readonly pd: bigint;
  private readonly pt: bigint;

  constructor(readonly ad: boolean) {
    const ept = new TableBuilder(this.memory, 0x80_0000n);
    const root = ept.frame();
    for (let at = 0n; at < 32n << 20n; at += 2n << 20n) ept.map(root, at, at, 0x80n | 7n | WRITE_BACK, { level: 2 });
    const pdpt = this.memory.read64(hpa(root)) & ~0xfffn;
    this.pd = ept.frame();
    this.pt = ept.frame();
    this.entries = [pdpt + 8n, this.pd, this.pt];
    const guest = new TableBuilder(this.memory, GUEST_ROOT + 4096n);
    // A and D are set, so that the walk itself only reads
    guest.map(GUEST_ROOT, DATA, UNDER_TEST, 0x63n, { tableFlags: 0x27n });
    guest.map(GUEST_ROOT, TABLE, UNDER_TEST, 0x27n, { level: 2, tableFlags: 0x27n });
    this.memory.write64(hpa(FRAME), 0x5063n);
    setLong64(this.cpu.state, 0n, GUEST_ROOT);
    this.cpu.mmu.controlsChanged();
    this.cpu.mmu.setSecondLevel(decodeEptp(root | (3n << 3n) | 6n | (ad ? 0x40n : 0n)), 1);
  }

  /** Writes the entries of levels 3, 2 and 1; a leaf above level 1 is marked so by the caller. */
  set(three: bigint, two: bigint, one: bigint, leaf = 1): void {
    const [e3, e2, e1] = this.entries;
    this.memory.write64(hpa(e3), three | (leaf === 3 ? 0n : this.pd));
    this.memory.write64(hpa(e2), two | (leaf === 2 ? FRAME : this.pt));
    this.memory.write64(hpa(e1), one | FRAME);
  }
  flags(): readonly bigint[] {
    return this.entries.map((e) => (this.memory.read64(hpa(e)) >> 8n) & 3n);
  }

  /** `ok`, `misconfiguration`, or the exit qualification of the violation. */
  access(operation: Operation): string {
    const { cpu } = this;
    cpu.event = undefined;
    const linear = operation === 'table' ? TABLE : DATA;
    const op = operation === 'table' ? 'read' : operation;
    const done =
      op === 'fetch'
        ? cpu.mmu.fetch(cpu, linear) >= 0
        : op === 'read'
          ? cpu.mmu.load(cpu, linear, 8, { op, user: false, implicit: false }, SLOT.VALUE, false)
          : cpu.mmu.probe(cpu, linear, 8, { op, user: false, implicit: false });
    if (done) return 'ok';
    const event = cpu.event as CpuEvent | undefined;
    assert.ok(event?.kind === 'exit', event?.kind ?? 'no event');
    const { exit } = event;
    assert.equal(exit.guestPhysicalAddress, UNDER_TEST);
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
              const got = b.access(operation);
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
              b.access(operation),
              manual([three, two], operation, ad),
              `2 MiB, rights ${three} ${two}, ${operation}`,
            );
          }
          // a 1 GiB page at HPA 0: the guest's page table is then what lies at GPA 1 GiB
          b.memory.write64(hpa(0n), 0x5063n);
          b.set(leafBits(three) | 0x80n, 0n, 0n, 3);
          assert.equal(b.access(operation), manual([three], operation, ad), `1 GiB, rights ${three}, ${operation}`);
        }
      }
    });
  }

  it('misconfigures on reserved bits, by level, and on memory types 2, 3 and 7, and on nothing else', () => {
    const b = new Bench(false);
    const width = BigInt(PAGEWALK_X64.physicalBits);
    const bad = (three: bigint, two: bigint, one: bigint, leaf = 1): boolean => {
      b.set(three, two, one, leaf);
      return b.access('read') === 'misconfiguration';
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
