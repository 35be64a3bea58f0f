import assert from 'node:assert/strict';
import { parseElf } from '../../src/vmm/loader/elf';
import { identityMap } from '../../src/vmm/start/identity';
import { planStart } from '../../src/vmm/start/index';
import { stubAt } from '../../src/vmm/start/real';

const MiB = 1n << 20n;
const ram = (size: bigint): { gpa: bigint; size: bigint; readonly: boolean }[] => [{ gpa: 0n, size, readonly: false }];

describe('prepared starts', () => {
  it('flat64 over 64 MiB: 35 tables at the top, descriptors below, every page mapped to itself', () => {
    const plan = planStart('flat64', 0x10_0000n, ram(64n * MiB));
    assert.ok(plan.ok);
    const { state, writes } = plan.value;
    // PML4, PDPT, PD and 32 page tables
    assert.equal(state.cr3, 64n * MiB - 35n * 4096n);
    assert.equal(state.gdtr.base, state.cr3 - 4096n);
    assert.equal(state.cs.rights, 0xa09b);
    const tables = writes.find((w) => w.gpa === state.cr3)?.bytes as Uint8Array;
    const view = new DataView(tables.buffer);
    const entry = (table: bigint, index: bigint): bigint =>
      view.getBigUint64(Number(table - state.cr3 + index * 8n), true);
    for (const a of [0n, 0x1000n, 0x20_0000n, 0x3ff_f000n]) {
      let table = state.cr3;
      for (const shift of [39n, 30n, 21n]) table = entry(table, (a >> shift) & 511n) & ~0xfffn;
      assert.equal(entry(table, (a >> 12n) & 511n), a | 3n);
    }
  });

  it('flat32 uses 10/10/12 tables', () => {
    const map = identityMap('flat32', ram(16n * MiB));
    assert.ok(map.ok);
    assert.equal(map.value.cr3, 16n * MiB - 5n * 4096n);
    const view = new DataView((map.value.writes[0]?.bytes as Uint8Array).buffer);
    assert.equal(view.getUint32(4, true), Number(map.value.cr3) + 2 * 4096 + 3);
    assert.equal(view.getUint32(4096 + 4 * 7, true), 0x7003);
  });

  it('maps holes between slots, and keeps the tables out of read-only ones', () => {
    const map = identityMap('flat64', [
      { gpa: 0n, size: MiB, readonly: false },
      { gpa: 2n * MiB, size: MiB, readonly: true },
    ]);
    assert.ok(map.ok);
    assert.equal(map.value.cr3 + 5n * 4096n, MiB);
    assert.equal(identityMap('flat64', ram(0x3000n)).ok, false);
  });

  it('boot: as a BIOS hands over, CR0 10h, DL the disk, the stack below', () => {
    const plan = planStart('boot', 0x7c00n, ram(MiB));
    assert.ok(plan.ok);
    const { cr0, gprs, rip, rflags } = plan.value.state;
    assert.deepEqual([cr0, gprs[2], gprs[4], rip, rflags], [0x10n, 0x80n, 0x7c00n, 0x7c00n, 2n]);
  });
  it('finds the stub whose HLT was executed, as long as the stubs are there', () => {
    const plan = planStart('boot', 0x7c00n, ram(MiB));
    assert.ok(plan.ok);
    const memory = new Uint8Array(Number(MiB));
    for (const w of plan.value.writes) memory.set(w.bytes, Number(w.gpa));
    const read = (at: bigint, length: number): Uint8Array => memory.subarray(Number(at), Number(at) + length);
    const view = new DataView(memory.buffer);
    const linear = BigInt(view.getUint16(0x13 * 4 + 2, true) * 16 + view.getUint16(0x13 * 4, true));
    assert.equal(stubAt(linear + 1n, read), 0x13);
    assert.equal(stubAt(0xf_fff1n, read), 'reset');
    assert.equal(stubAt(0x7c02n, read), undefined);
    memory[Number(linear)] = 0x90;
    assert.deepEqual([stubAt(linear + 1n, read), stubAt(0xf_fff1n, read)], [undefined, undefined]);
  });
});

describe('ELF', () => {
  it('says what is wrong with a damaged file', () => {
    const file = new Uint8Array(64);
    file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    const view = new DataView(file.buffer);
    const error = (): string => {
      const r = parseElf(file);
      return r.ok ? 'ok' : r.error;
    };
    assert.match(error(), /machine 0/);
    view.setUint16(18, 62, true);
    assert.match(error(), /static/);
    view.setUint16(16, 2, true);
    assert.match(error(), /no program headers/);
    view.setUint16(56, 3, true);
    view.setUint16(54, 56, true);
    view.setBigUint64(32, 0xffff_ffff_ffff_fff0n, true);
    assert.match(error(), /outside the file/);
  });
});
