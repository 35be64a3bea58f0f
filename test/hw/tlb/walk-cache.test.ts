import assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setCr3 } from '../../../src/hw/cpu/system/control-registers';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { decodeEptp } from '../../../src/hw/paging/ept';
import { SLOT } from '../../../src/hw/state/layout';
import { TableBuilder } from '../support/tables';

const READ = { op: 'read', user: false, implicit: false } as const;
const WRITE = { op: 'write', user: false, implicit: false } as const;
const ROOT = 0x10_0000n;
const EPT_ROOT = 0x80_0000n;
const SHIFT = 16n << 20n;
const LINEAR = 0x7f8a_3b2a_0000n;

/** Tables for four neighbouring pages; TLB of one entry, so that every access walks. With `ept`, GPA g lies at HPA g + 16 MiB. */
function machine(ept: boolean) {
  const memory = new HostMemory(0n, 64 << 20);
  const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 1, tlbWays: 1, walkCaches: true });
  const tables = new TableBuilder(memory, ROOT + 4096n);
  const eptTables = new TableBuilder(memory, EPT_ROOT);
  const eptRoot = eptTables.frame();
  const place = (gpa: bigint): ReturnType<typeof hpa> => {
    if (!ept) return hpa(gpa);
    eptTables.map(eptRoot, gpa & ~0xfffn, (gpa & ~0xfffn) + SHIFT, 0x37n, { tableFlags: 7n });
    return hpa(gpa + SHIFT);
  };
  for (let i = 0n; i < 4n; i++) {
    tables.map(ROOT, LINEAR + i * 4096n, 0x5000n + i * 4096n, 3n, { at: place });
    memory.write64(place(0x5000n + i * 4096n), i);
  }
  setLong64(cpu.state, 0n, ROOT);
  cpu.mmu.controlsChanged();
  if (ept) cpu.mmu.setSecondLevel(decodeEptp(eptRoot | (3n << 3n) | 6n), 1);
  const read = (page: bigint): bigint => {
    cpu.event = undefined;
    assert.ok(
      cpu.mmu.load(cpu, LINEAR + page * 4096n, 8, READ, SLOT.VALUE, false),
      JSON.stringify(cpu.event, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)),
    );
    return cpu.state.get(SLOT.VALUE);
  };
  /** References of `action`: guest and nested. */
  const cost = (action: () => void): [number, number] => {
    const { guestReferences: g, nestedReferences: n } = cpu.counters;
    action();
    return [cpu.counters.guestReferences - g, cpu.counters.nestedReferences - n];
  };
  return { cpu, memory, tables, place, read, cost };
}
/** Address of the entry of `level` for LINEAR, in the tables' own space. */
function entryOf(m: ReturnType<typeof machine>, level: number): bigint {
  let table = ROOT;
  for (let l = 4; ; l--) {
    const at = table + ((LINEAR >> BigInt(12 + 9 * (l - 1))) & 0x1ffn) * 8n;
    if (l === level) return at;
    table = m.memory.read64(m.place(at)) & 0x000f_ffff_ffff_f000n;
  }
}

describe('paging-structure caches', () => {
  it('a second walk in the same region loads one entry', () => {
    const m = machine(false);
    assert.deepEqual(
      m.cost(() => m.read(0n)),
      [4, 0],
    );
    assert.deepEqual(
      m.cost(() => m.read(1n)),
      [1, 0],
    );
  });
  it('under EPT it is 5 references instead of 24: the table is found without a second-level walk', () => {
    const m = machine(true);
    assert.deepEqual(
      m.cost(() => m.read(0n)),
      [4, 20],
    );
    assert.deepEqual(
      m.cost(() => assert.equal(m.read(1n), 1n)),
      [1, 4],
    );
  });
  it('a changed PDE is not seen until an INVLPG of any page, or a load of CR3', () => {
    for (const invalidate of ['invlpg', 'cr3'] as const) {
      const m = machine(false);
      assert.equal(m.read(0n), 0n);
      // another page table, whose second page is the fourth frame
      const other = m.tables.frame();
      m.memory.write64(hpa(other + (((LINEAR >> 12n) + 1n) & 0x1ffn) * 8n), 0x8003n);
      m.memory.write64(hpa(entryOf(m, 2)), other | 3n);
      assert.equal(m.read(1n), 1n);
      m.cpu.tlb.dropAt(0);
      assert.equal(m.read(1n), 1n);
      if (invalidate === 'invlpg') m.cpu.mmu.invlpg(m.cpu, 0x1234_5000n);
      else assert.ok(setCr3(m.cpu, ROOT));
      // the TLB's own entry, which INVLPG of another page leaves
      m.cpu.tlb.dropAt(0);
      assert.equal(m.read(1n), 3n);
    }
  });
  it('INVEPT of another EPTP and INVVPID of another VPID leave it; their own drop it', () => {
    const m = machine(true);
    const again = (): number => m.cost(() => m.read(1n))[0];
    m.read(0n);
    m.cpu.mmu.invept('single', 0x70_0000n);
    m.cpu.mmu.invvpid('single', 2, 0n);
    assert.equal(again(), 1);
    for (const invalidate of [
      () => m.cpu.mmu.invept('single', EPT_ROOT),
      () => m.cpu.mmu.invept('all', 0n),
      () => m.cpu.mmu.invvpid('single', 1, 0n),
      () => m.cpu.mmu.invvpid('address', 1, 0x1234_5000n),
      () => m.cpu.mmu.invvpid('all', 0, 0n),
    ]) {
      invalidate();
      m.cpu.tlb.dropAt(0);
      assert.equal(again(), 4);
    }
  });
  it('rights above are remembered; a refusal is looked up in the tables first', () => {
    const m = machine(false);
    m.cpu.state.set(SLOT.CR0, m.cpu.state.get(SLOT.CR0) | 0x1_0000n);
    m.memory.write64(hpa(entryOf(m, 4)), m.memory.read64(hpa(entryOf(m, 4))) & ~2n);
    m.read(0n);
    assert.equal(m.cpu.mmu.probe(m.cpu, LINEAR + 4096n, 1, WRITE), false);
    m.read(0n);
    m.memory.write64(hpa(entryOf(m, 4)), m.memory.read64(hpa(entryOf(m, 4))) | 2n);
    assert.equal(m.cpu.mmu.probe(m.cpu, LINEAR + 4096n, 1, WRITE), true);
  });
  it('what is cached can be read, saved and restored', () => {
    const m = machine(false);
    m.read(0n);
    const cache = m.cpu.tlb.walkCache;
    const seen = cache?.entries((level) => 12 + 9 * (level - 1)).map((e) => [e.level, e.linear, e.writable]);
    assert.deepEqual(seen, [
      [2, LINEAR & ~0x1f_ffffn, true],
      [3, LINEAR & ~0x3fff_ffffn, true],
      [4, LINEAR & ~0x7f_ffff_ffffn, true],
    ]);
    const saved = m.cpu.tlb.save();
    m.cpu.tlb.flushAll();
    assert.deepEqual(
      m.cost(() => m.read(1n)),
      [4, 0],
    );
    m.cpu.tlb.restore(saved);
    assert.deepEqual(
      m.cost(() => m.read(2n)),
      [1, 0],
    );
  });
});
