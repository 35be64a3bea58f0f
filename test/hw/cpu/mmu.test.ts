import assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { decodeEptp } from '../../../src/hw/paging/ept';
import { SLOT } from '../../../src/hw/state/layout';
import { EPT_QUALIFICATION } from '../../../src/hw/vmx/ept-exit';
import { TableBuilder } from '../support/tables';

const READ = { op: 'read', user: false, implicit: false } as const;
const WRITE = { op: 'write', user: false, implicit: false } as const;
const ROOT = 0x10_0000n;
const VALUE = SLOT.VALUE;

/** A CPU in 64-bit mode with empty 4-level tables at ROOT and no second level: GPA = HPA. */
function bare(): { cpu: Cpu; memory: HostMemory; tables: TableBuilder } {
  const memory = new HostMemory(0n, 32 << 20);
  const tables = new TableBuilder(memory, ROOT + 4096n);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 64, tlbWays: 4 });
  setLong64(cpu.state, 0n, ROOT);
  cpu.mmu.controlsChanged();
  return { cpu, memory, tables };
}

/** The same under EPT: GPA g lies at HPA g + 16 MiB through 4 KiB EPT entries with `rights`. */
const SHIFT = 16n << 20n;
function nested(
  rights = 7n,
  accessedDirty = false,
): ReturnType<typeof bare> & { eptRoot: bigint; mapGpa: (gpa: bigint, rights?: bigint) => bigint } {
  const m = bare();
  const ept = new TableBuilder(m.memory, 0x80_0000n);
  const eptRoot = ept.frame();
  const mapGpa = (gpa: bigint, r = rights): bigint =>
    ept.map(eptRoot, gpa, gpa + SHIFT, r | (6n << 3n), { tableFlags: 7n });
  m.cpu.mmu.setSecondLevel(decodeEptp(eptRoot | (3n << 3n) | 6n | (accessedDirty ? 0x40n : 0n)), 1);
  return { ...m, eptRoot, mapGpa };
}
/** Maps a guest page in tables whose own GPAs are mapped by EPT as they are made. */
function mapGuest(m: ReturnType<typeof nested>, linear: bigint, gpa: bigint, flags: bigint, level = 1): bigint {
  const at = (a: bigint): ReturnType<typeof hpa> => {
    m.mapGpa(a & ~0xfffn);
    return hpa(a + SHIFT);
  };
  return m.tables.map(ROOT, linear, gpa, flags, { at, level });
}

describe('MMU', () => {
  it('a cold 4×4 walk is 24 references, and the next access none', () => {
    const m = nested();
    mapGuest(m, 0x7f8a_3b2a_0000n, 0x5000n, 0x63n);
    m.mapGpa(0x5000n);
    m.memory.write64(hpa(0x5100n + SHIFT), 0x1122_3344_5566_7788n);
    assert.ok(m.cpu.mmu.load(m.cpu, 0x7f8a_3b2a_0100n, 8, READ, VALUE, false));
    assert.equal(m.cpu.state.get(VALUE), 0x1122_3344_5566_7788n);
    assert.deepEqual([m.cpu.counters.guestReferences, m.cpu.counters.nestedReferences], [4, 20]);
    assert.ok(m.cpu.mmu.load(m.cpu, 0x7f8a_3b2a_0108n, 8, READ, VALUE, false));
    assert.deepEqual(
      [m.cpu.counters.guestReferences, m.cpu.counters.nestedReferences, m.cpu.tlb.hits, m.cpu.tlb.misses],
      [4, 20, 1, 1],
    );
  });

  it('a probe sees the same 24 and changes nothing', () => {
    const m = nested();
    const leaf = mapGuest(m, 0x40_0000n, 0x5000n, 3n);
    m.mapGpa(0x5000n);
    const before = m.memory.read64(hpa(leaf + SHIFT));
    const p = m.cpu.mmu.probeWalk(0x40_0010n, READ);
    assert.equal(p.ok, true);
    assert.equal(p.gpa, 0x5010n);
    assert.equal(p.hpa, 0x5010n + SHIFT);
    assert.equal(p.references, 24);
    assert.deepEqual(
      p.steps.map((s) => [s.level, s.index, s.nested.length]),
      [
        [4, 0, 4],
        [3, 0, 4],
        [2, 2, 4],
        [1, 0, 4],
      ],
    );
    assert.equal(m.memory.read64(hpa(leaf + SHIFT)), before);
    assert.deepEqual([m.cpu.tlb.misses, m.cpu.counters.walks, m.cpu.tlb.entries().length], [0, 0, 0]);
  });

  it('sets A on the way and D at the first write, once', () => {
    const { cpu, memory, tables } = bare();
    const leaf = tables.map(ROOT, 0x40_0000n, 0x20_0000n, 3n);
    assert.ok(cpu.mmu.load(cpu, 0x40_0000n, 1, READ, VALUE, false));
    assert.equal(memory.read64(hpa(leaf)) & 0x60n, 0x20n);
    assert.ok(cpu.mmu.store(cpu, 0x40_0000n, 1, WRITE, VALUE));
    assert.equal(memory.read64(hpa(leaf)) & 0x60n, 0x60n);
    assert.equal(cpu.counters.accessedDirtyWrites, 5);
    assert.equal(cpu.counters.walks, 2);
  });

  it('#PF error codes (SDM vol. 3, 4.7)', () => {
    const { cpu, tables } = bare();
    tables.map(ROOT, 0x40_0000n, 0x20_0000n, 1n); // read-only, supervisor
    tables.map(ROOT, 0x40_1000n, 0x20_0000n, 3n | (1n << 51n)); // a frame beyond MAXPHYADDR
    const code = (
      linear: bigint,
      access: { op: 'read' | 'write' | 'fetch'; user: boolean; implicit: boolean },
    ): number | undefined => {
      assert.equal(cpu.mmu.probe(cpu, linear, 1, access), false);
      assert.ok(cpu.event?.kind === 'fault' && cpu.event.vector === 14);
      assert.equal(cpu.event.cr2, linear);
      return cpu.event.errorCode;
    };
    assert.equal(code(0x80_0000n, READ), 0);
    assert.equal(code(0x80_0000n, { op: 'write', user: true, implicit: false }), 6);
    assert.equal(code(0x40_0000n, { op: 'read', user: true, implicit: false }), 5);
    cpu.state.set(SLOT.CR0, cpu.state.get(SLOT.CR0) | (1n << 16n));
    cpu.mmu.controlsChanged();
    assert.equal(code(0x40_0000n, WRITE), 3);
    assert.equal(code(0x40_1000n, READ), 9);
  });

  it('a stale entry answers until INVLPG, and INVLPG of a 2 MiB page drops every fragment', () => {
    const { cpu, memory, tables } = bare();
    const leaf = tables.map(ROOT, 0x40_0000n, 0x20_0000n, 0x83n, { level: 2 });
    memory.write8(hpa(0x20_0000n), 1);
    memory.write8(hpa(0x20_1000n), 2);
    memory.write8(hpa(0x60_0000n), 9);
    const read = (linear: bigint): bigint => {
      assert.ok(cpu.mmu.load(cpu, linear, 1, READ, VALUE, false));
      return cpu.state.get(VALUE);
    };
    assert.deepEqual([read(0x40_0000n), read(0x40_1000n)], [1n, 2n]);
    assert.equal(cpu.tlb.entries().filter((e) => e.guestPageShift === 21).length, 2);
    memory.write64(hpa(leaf), 0x60_0000n | 0x83n);
    assert.equal(read(0x40_0000n), 1n, 'stale');
    cpu.mmu.invlpg(cpu, 0x5f_f000n);
    assert.equal(cpu.tlb.entries().length, 0);
    assert.equal(read(0x40_0000n), 9n);
  });

  it('a page-crossing store checks both pages before it writes', () => {
    const { cpu, memory, tables } = bare();
    tables.map(ROOT, 0x40_0000n, 0x20_0000n, 3n);
    cpu.state.set(VALUE, 0x8877_6655_4433_2211n);
    assert.equal(cpu.mmu.store(cpu, 0x40_0ffcn, 8, WRITE, VALUE), false);
    assert.ok(cpu.event?.kind === 'fault' && cpu.event.cr2 === 0x40_1000n);
    assert.equal(memory.read32(hpa(0x20_0ffcn)), 0);
    tables.map(ROOT, 0x40_1000n, 0x30_0000n, 3n);
    assert.ok(cpu.mmu.store(cpu, 0x40_0ffcn, 8, WRITE, VALUE));
    assert.deepEqual([memory.read32(hpa(0x20_0ffcn)), memory.read32(hpa(0x30_0000n))], [0x4433_2211, 0x8877_6655]);
  });

  it('EPT violations: qualification of a missing entry, a table walk, and a denied write (SDM vol. 3, table 27-7)', () => {
    const q = EPT_QUALIFICATION;
    const m = nested();
    mapGuest(m, 0x40_0000n, 0x5000n, 0x63n);
    const violation = (access: typeof READ | typeof WRITE): { qualification: number; gpa: bigint | undefined } => {
      assert.equal(m.cpu.mmu.probe(m.cpu, 0x40_0000n, 1, access), false);
      assert.ok(m.cpu.event?.kind === 'exit' && m.cpu.event.exit.reason === 48);
      return { qualification: Number(m.cpu.event.exit.qualification), gpa: m.cpu.event.exit.guestPhysicalAddress };
    };
    assert.deepEqual(violation(READ), { qualification: q.READ | q.GLA_VALID | q.GLA_TRANSLATED, gpa: 0x5000n });
    m.mapGpa(0x5000n, 5n);
    assert.deepEqual(violation(WRITE), {
      qualification: q.WRITE | q.READABLE | q.EXECUTABLE | q.GLA_VALID | q.GLA_TRANSLATED,
      gpa: 0x5000n,
    });
    m.mapGpa(ROOT, 0n);
    m.cpu.tlb.flushAll();
    assert.deepEqual(violation(READ), { qualification: q.READ | q.GLA_VALID, gpa: ROOT });
  });

  it('with EPT A/D flags a guest table access counts as a write (28.3.3.2)', () => {
    const q = EPT_QUALIFICATION;
    const m = nested(7n, true);
    mapGuest(m, 0x40_0000n, 0x5000n, 0x63n);
    m.mapGpa(0x5000n);
    m.mapGpa(ROOT, 5n);
    assert.equal(m.cpu.mmu.probe(m.cpu, 0x40_0000n, 1, READ), false);
    assert.ok(m.cpu.event?.kind === 'exit');
    assert.equal(Number(m.cpu.event.exit.qualification), q.READ | q.WRITE | q.READABLE | q.EXECUTABLE | q.GLA_VALID);
  });

  it('write without read misconfigures', () => {
    const m = nested();
    mapGuest(m, 0x40_0000n, 0x5000n, 0x63n);
    m.mapGpa(0x5000n, 6n);
    assert.equal(m.cpu.mmu.probe(m.cpu, 0x40_0000n, 1, READ), false);
    assert.ok(
      m.cpu.event?.kind === 'exit' &&
        m.cpu.event.exit.reason === 49 &&
        m.cpu.event.exit.guestPhysicalAddress === 0x5000n,
    );
  });

  it('INVEPT drops what came through the EPTP; INVVPID what has the VPID', () => {
    const m = nested();
    mapGuest(m, 0x40_0000n, 0x5000n, 0x63n);
    m.mapGpa(0x5000n);
    const fill = (): void => assert.ok(m.cpu.mmu.probe(m.cpu, 0x40_0000n, 1, READ));
    fill();
    m.cpu.mmu.invept('single', 0x1234_5000n);
    assert.equal(m.cpu.tlb.entries().length, 1);
    m.cpu.mmu.invept('single', m.eptRoot);
    assert.equal(m.cpu.tlb.entries().length, 0);
    fill();
    m.cpu.mmu.invvpid('single', 2, 0n);
    assert.equal(m.cpu.tlb.entries().length, 1);
    m.cpu.mmu.invvpid('address', 1, 0x40_0000n);
    assert.equal(m.cpu.tlb.entries().length, 0);
  });
});
