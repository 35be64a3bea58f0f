import * as assert from 'node:assert/strict';
import { gpa, hva } from '../../src/base/address';
import { Memslots, slotMaxLevel, type UserMemoryRegion } from '../../src/kvm/memslots';

const MIB = 1n << 20n;
const region = (
  slot: number,
  start: bigint,
  size: bigint,
  at = 0x7f5a_0000_0000n,
  readonly = false,
): UserMemoryRegion => ({
  slot,
  readonly,
  guestPhysAddr: gpa(start),
  memorySize: size,
  userspaceAddr: hva(at),
});
function slots(...regions: readonly UserMemoryRegion[]): Memslots {
  const m = new Memslots();
  for (const r of regions) {
    const set = m.set(r);
    assert.ok(set.ok, set.ok ? '' : set.error);
  }
  return m;
}
const refused = (m: Memslots, r: UserMemoryRegion): string => {
  const set = m.set(r);
  assert.ok(!set.ok, 'refused');
  return set.error;
};

describe('memslots', () => {
  it('find by GPA and by HVA, and leave holes as holes', () => {
    const m = slots(region(0, 0n, MIB), region(1, 2n * MIB, MIB, 0x7f5a_4000_0000n));
    assert.equal(m.find(gpa(MIB - 1n))?.id, 0);
    assert.equal(m.find(gpa(MIB)), undefined);
    assert.equal(m.find(gpa(2n * MIB))?.id, 1);
    assert.deepEqual(m.gpasOf(hva(0x7f5a_4000_1234n)), [2n * MIB + 0x1234n]);
    assert.deepEqual(
      m.byHva(hva(0x7f5a_0000_0000n), hva(0x7f5a_4000_1000n)).map((r) => [r.start, r.end]),
      [
        [0n, MIB],
        [2n * MIB, 2n * MIB + 0x1000n],
      ],
    );
  });

  it('two slots may map the same HVA', () => {
    const m = slots(region(0, 0n, MIB), region(1, 4n * MIB, MIB));
    assert.deepEqual(m.gpasOf(hva(0x7f5a_0000_5000n)), [0x5000n, 4n * MIB + 0x5000n]);
  });

  it('refuse what the kernel refuses, by name', () => {
    const m = slots(region(0, 0n, MIB));
    assert.match(refused(m, region(1, MIB - 0x1000n, MIB)), /memory slot 1 .* overlaps slot 0 .*EEXIST/);
    assert.match(refused(m, region(1, 0x10_0800n, MIB)), /GPA 0x100800 is not page aligned/);
    assert.match(refused(m, region(1, 4n * MIB, 0x1234n)), /not a whole number of pages/);
    assert.match(refused(m, region(-1, 4n * MIB, MIB)), /numbers are 0 to 32763/);
    assert.match(refused(m, region(2, 4n * MIB, 0n)), /none to delete/);
    assert.match(refused(m, region(0, 0n, 2n * MIB)), /delete it first/);
    assert.match(refused(m, region(3, (1n << 52n) - MIB, 2n * MIB)), /52-bit/);
  });

  it('count generations; moving and deleting change what is found', () => {
    const m = slots(region(0, 0n, MIB));
    assert.equal(m.generation, 1);
    const moved = m.set(region(0, 8n * MIB, MIB));
    assert.ok(moved.ok && moved.value.kind === 'move');
    assert.equal(m.find(gpa(0n)), undefined);
    assert.equal(m.find(gpa(8n * MIB))?.id, 0);
    const gone = m.set(region(0, 8n * MIB, 0n));
    assert.ok(gone.ok && gone.value.kind === 'delete');
    assert.equal(m.generation, 3);
    assert.equal(m.all.length, 0);
  });

  it('allow large pages only where GPA and HVA agree and the slot holds all of one', () => {
    const level = (start: bigint, size: bigint, at: bigint, address: bigint): number => {
      const slot = slots(region(0, start, size, at)).find(gpa(address));
      assert.ok(slot);
      return slotMaxLevel(slot, gpa(address));
    };
    assert.equal(level(0n, 4n * MIB, 0x7f5a_0000_0000n, 0x12_3456n), 2);
    assert.equal(level(0n, 3n * MIB, 0x7f5a_0000_0000n, 2n * MIB), 1, 'the last 2 MiB are cut off');
    assert.equal(level(MIB, 8n * MIB, 0x7f5a_0000_0000n, 4n * MIB), 1, 'off by 1 MiB against the HVA');
    assert.equal(level(MIB, 8n * MIB, 0x7f5a_0010_0000n, 4n * MIB), 2);
    assert.equal(level(0n, 1n << 31n, 0x7f40_0000_0000n, 1n << 30n), 3);
  });
});
