import * as assert from 'node:assert/strict';
import { gpa, hpa } from '../../src/base/address';
import { HostKernel } from '../../src/host/kernel';
import { drain, type Step } from '../../src/trace/step';
import { PAGEWALK_X64 } from '../../src/hw/cpu/cpuid-model';
import { HostMemory } from '../../src/hw/memory/host-memory';
import { decodeEptp } from '../../src/hw/paging/ept';
import { translateSecondLevel } from '../../src/hw/paging/second-level';
import type { WalkOut } from '../../src/hw/paging/walk-out';
import { makeMmioSpte, mmioSpteCurrent, mmioSpteGeneration } from '../../src/kvm/mmu/spte';
import { TdpMmu } from '../../src/kvm/mmu/tdp-mmu';
import { Stats, VM_STATS, type VmStat } from '../../src/kvm/stats';

const RW = { writable: true, hostWritable: true };
const RO = { writable: false, hostWritable: false };

interface Fixture {
  readonly mmu: TdpMmu;
  readonly stats: Stats<VmStat>;
  readonly flushes: () => number;
  readonly walk: (address: bigint, op?: 'read' | 'write' | 'fetch') => WalkOut | string;
  readonly steps: Step[];
}
function fixture(ad = true): Fixture {
  const kernel = new HostKernel(new HostMemory(0x1_0000_0000n, 16 << 20));
  const stats = new Stats<VmStat>(VM_STATS);
  let flushes = 0;
  const mmu = new TdpMmu(kernel, stats, { kind: 'ept', ad, levels: 4, model: PAGEWALK_X64 }, () => flushes++);
  const walk = (address: bigint, op: 'read' | 'write' | 'fetch' = 'read'): WalkOut | string => {
    const walked = { memory: kernel.memory, tables: decodeEptp(mmu.pointer), physicalBits: 46 };
    const { ok, out } = translateSecondLevel(walked, address, op);
    return ok ? out : out.reason;
  };
  return { mmu, stats, flushes: () => flushes, walk, steps: [] };
}
const map = (f: Fixture, address: bigint, frame: bigint, level = 1, rights = RW): string =>
  drain(f.mmu.map({ kind: 'page', gpa: gpa(address), frame: hpa(frame), level, rights }), (s) => f.steps.push(s));
const found = (r: WalkOut | string): { address: bigint; shift: number } => {
  assert.ok(typeof r !== 'string', `the walk ends: ${String(r)}`);
  return { address: r.address, shift: r.pageShift };
};

describe('the EPT that KVM builds', () => {
  it('is what the hardware walks: four levels, write-back, A/D by option', () => {
    const f = fixture();
    assert.equal(f.mmu.pointer & 0xfffn, 0x5en);
    assert.equal(fixture(false).mmu.pointer & 0xfffn, 0x1en);
    assert.equal(f.walk(0x5000n), 'not-present');
    assert.equal(map(f, 0x5000n, 0x1_0020_0000n), 'fixed');
    assert.deepEqual(found(f.walk(0x5678n)), { address: 0x1_0020_0678n, shift: 12 });
    assert.deepEqual(
      f.steps.map((s) => s.fn),
      ['kvm_tdp_mmu_map', 'tdp_mmu_link_sp', 'tdp_mmu_link_sp', 'tdp_mmu_link_sp', 'make_spte'],
    );
    assert.equal(f.steps[0]?.references, 1);
    assert.equal(f.flushes(), 0, 'filling what was not present needs no INVEPT');
  });

  it('writes the entries that KVM writes', () => {
    const f = fixture();
    map(f, 0x5000n, 0x1_0020_0000n);
    map(f, 0x6000n, 0x1_0020_1000n, 1, RO);
    const leaf = (a: bigint): bigint | undefined => f.mmu.read(gpa(a)).at(-1)?.value;
    assert.equal(leaf(0x5000n), 0x0600_0001_0020_0b77n);
    assert.equal(leaf(0x6000n), 0x0000_0001_0020_1975n);
    assert.equal((f.mmu.read(gpa(0x5000n))[0]?.value ?? 0n) & 0xfffn, 0x907n);
    const off = fixture(false);
    map(off, 0x5000n, 0x1_0020_0000n);
    assert.equal(off.mmu.read(gpa(0x5000n)).at(-1)?.value, 0x0610_0001_0020_0877n);
  });

  it('maps 2 MiB in three references and splits them when a smaller page is needed', () => {
    const f = fixture();
    assert.equal(map(f, 0x20_0000n, 0x1_0040_0000n, 2), 'fixed');
    assert.deepEqual(found(f.walk(0x21_2345n)), { address: 0x1_0041_2345n, shift: 21 });
    assert.equal(f.stats.get('pages_2m'), 1);
    assert.equal(map(f, 0x21_2000n, 0x1_0010_0000n), 'fixed');
    assert.deepEqual(found(f.walk(0x21_2345n)), { address: 0x1_0010_0345n, shift: 12 });
    assert.deepEqual(found(f.walk(0x21_3345n)), { address: 0x1_0041_3345n, shift: 12 });
    assert.deepEqual([f.stats.get('pages_2m'), f.stats.get('pages_4k')], [0, 512]);
    assert.ok(f.flushes() > 0, 'a translation that was there has changed');
  });

  it('maps 1 GiB in two references', () => {
    const f = fixture();
    assert.equal(map(f, 1n << 30n, 0x1_4000_0000n, 3), 'fixed');
    assert.deepEqual(found(f.walk(0x7fff_ffffn)), { address: 0x1_7fff_ffffn, shift: 30 });
    assert.equal(f.mmu.read(gpa(1n << 30n)).length, 2);
    assert.equal(f.stats.get('pages_1g'), 1);
  });

  it('calls a second fault on the same entry spurious, and raises rights without a flush', () => {
    const f = fixture();
    map(f, 0x5000n, 0x1_0020_0000n, 1, RO);
    assert.equal(f.walk(0x5000n, 'write'), 'write-protected');
    assert.equal(map(f, 0x5000n, 0x1_0020_0000n, 1, RO), 'spurious');
    assert.equal(map(f, 0x5000n, 0x1_0020_0000n), 'fixed');
    assert.ok(typeof f.walk(0x5000n, 'write') !== 'string');
    assert.equal(f.flushes(), 0);
    assert.equal(f.stats.get('pages_4k'), 1);
  });

  it('zaps a range and nothing beside it', () => {
    const f = fixture();
    for (const a of [0x4000n, 0x5000n, 0x6000n]) map(f, a, 0x1_0020_0000n + a);
    assert.equal(f.mmu.zapRange(gpa(0x5000n), gpa(0x6000n)), true);
    assert.equal(f.walk(0x5000n), 'not-present');
    assert.ok(typeof f.walk(0x4000n) !== 'string' && typeof f.walk(0x6000n) !== 'string');
    assert.equal(f.stats.get('pages_4k'), 2);
    assert.equal(f.mmu.zapRange(gpa(0x5000n), gpa(0x6000n)), false);
  });

  it('marks MMIO with an entry that misconfigures and remembers the memslot generation', () => {
    const f = fixture();
    assert.equal(drain(f.mmu.map({ kind: 'mmio', gpa: gpa(0xfebf_0000n), generation: 0x2_1234 })), 'emulate');
    assert.equal(f.walk(0xfebf_0123n), 'misconfiguration');
    const spte = f.mmu.mmioSpte(gpa(0xfebf_0123n))?.value ?? 0n;
    assert.equal(spte & 7n, 6n);
    assert.equal(mmioSpteGeneration(spte), 0x2_1234);
    assert.equal(mmioSpteCurrent(spte, 0x2_1234), true);
    assert.equal(mmioSpteCurrent(spte, 0x2_1235), false);
    assert.equal(makeMmioSpte(gpa(0x5000n), 1), 0x500en);
    map(f, 0xfebf_0000n, 0x1_0020_0000n);
    assert.ok(typeof f.walk(0xfebf_0000n) !== 'string', 'a slot that appears there replaces the mark');
  });

  it('is shown table by table', () => {
    const f = fixture();
    map(f, 0x20_0000n, 0x1_0040_0000n, 2);
    let ref = f.mmu.rootTable();
    for (;;) {
      const [entry] = f.mmu.readTable(ref);
      assert.ok(entry);
      if (!entry.child) {
        assert.deepEqual(
          [entry.level, entry.start, entry.size, entry.leaf, entry.target],
          [2, 0x20_0000n, 0x20_0000n, true, 0x1_0040_0000n],
        );
        assert.deepEqual(entry.flags, ['R', 'W', 'X', 'IPAT', 'PS', 'A', 'D', 'WB']);
        break;
      }
      ref = entry.child;
    }
  });
});
