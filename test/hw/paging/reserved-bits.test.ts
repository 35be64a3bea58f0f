/**
 * Every bit of every entry of every format, for Intel's and AMD's processors: reserved (a #PF that says so) or not, against lists written here from the figures of the
 * manuals (SDM vol. 3, tables 4-3 to 4-20; AMD APM vol. 2, 5.2.3 to 5.3.5). And what the bits that are not reserved do: PSE-36's address, the memory type's that the walk
 * passes by, PAE's pointers that lie in registers.
 */
import assert from 'node:assert/strict';
import { hpa } from '../../../src/base/address';
import { pteFlags } from '../../../src/isa/entries';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_SVM, PAGEWALK_X64, PAGEWALK_X64_LA57, type CpuidModel } from '../../../src/hw/cpu/cpuid-model';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { SLOT } from '../../../src/hw/state/layout';
import { FORMATS, type Format } from '../support/paging-formats';

const LINEAR = 0x40_2010n;
const TABLES = 0x10_0000n;
const READ = { op: 'read', user: false, implicit: false } as const;
const WRITE = { op: 'write', user: false, implicit: false } as const;

/** An entry's place in the figures. */
interface Place {
  /** 1 is a PTE. */
  readonly level: number;
  readonly large: boolean;
}

/** Bits that the figures show as reserved (Intel) or MBZ (AMD). */
function manual(f: Format, { level, large }: Place, model: CpuidModel, nxe: boolean): Set<number> {
  const out = new Set<number>();
  const add = (high: number, low: number): void => {
    for (let n = low; n <= high; n++) out.add(n);
  };
  if (f.entryBytes === 4) {
    // 4 MiB: bits 20:13 are address bits 39:32, of which each of our models has all
    if (large) add(21, 21);
    return out;
  }
  if (!nxe) add(63, 63);
  add(51, model.physicalBits);
  if (!f.long) add(62, 52);
  if (large) add(level === 2 ? 20 : 29, 13);
  if (level >= 4) add(7, 7);
  // APM 5.3.3: MBZ in PML4E and PML5E, ignored in PDPE and PDE; SDM tables 4-14 and 4-15: ignored
  if (level >= 4 && model.vendor === 'amd') add(8, 8);
  return out;
}

function machine(f: Format, model: CpuidModel, nxe: boolean, wp = false) {
  const memory = new HostMemory(0n, 16 << 20);
  const cpu = new Cpu(memory, 0, model, { tlbEntries: 64, tlbWays: 4 });
  const s = cpu.state;
  const put = (at: bigint, v: bigint): void =>
    f.entryBytes === 8 ? memory.write64(hpa(at), v) : memory.write32(hpa(at), Number(v));
  const large = f.shifts[f.shifts.length - 1] !== 12;
  const top = f.shifts.length - 1;
  const entries = f.shifts.map((shift, i) => {
    const leaf = i === top;
    return {
      at: TABLES + BigInt(i) * 4096n + ((LINEAR >> BigInt(shift)) & f.indexMask) * BigInt(f.entryBytes),
      value: (leaf ? (large ? 0x80n : 0x5000n) : TABLES + BigInt(i + 1) * 4096n) | 7n,
      place: { level: f.entryBytes === 4 ? (shift === 12 ? 1 : 2) : (shift - 12) / 9 + 1, large: leaf && large },
      leaf,
    };
  });
  s.set(SLOT.CR3, TABLES);
  for (let i = 0; i < 4; i++) s.set(SLOT.PDPTE0 + i, TABLES | 1n);
  s.set(SLOT.CR0, 0x8000_0031n | (wp ? 0x1_0000n : 0n));
  s.set(SLOT.CR4, f.cr4);
  s.set(SLOT.EFER, (f.long ? 0x500n : 0n) | (nxe ? 0x800n : 0n));
  for (const e of entries) put(e.at, e.value);
  cpu.mmu.controlsChanged();
  return { cpu, memory, entries, put };
}

/** Error code of the #PF that a read meets; undefined: none. */
function errorCode(cpu: Cpu): number | undefined {
  cpu.tlb.flushAll();
  cpu.event = undefined;
  if (cpu.mmu.probe(cpu, LINEAR, 1, READ)) return undefined;
  const event = cpu.event as unknown as { readonly kind: string; readonly errorCode?: number };
  return event.kind === 'fault' ? event.errorCode : undefined;
}
const format = (name: string): Format => FORMATS.find((f) => f.name === name) as Format;

describe('reserved bits of paging-structure entries', () => {
  for (const model of [PAGEWALK_X64, PAGEWALK_X64_LA57, PAGEWALK_SVM])
    for (const f of FORMATS.filter((x) => x.shifts[0] !== 48 || model.has('LA57')))
      it(`${model.name}, ${f.name}`, () => {
        for (const nxe of [false, true]) {
          const { cpu, entries, put } = machine(f, model, nxe);
          assert.equal(errorCode(cpu), undefined);
          for (const { at, value, place, leaf } of entries) {
            const reserved = manual(f, place, model, nxe);
            for (let n = 1; n < f.entryBytes * 8; n++) {
              // where another table lies, and what is a table, are no questions of reserved bits
              if (!leaf && n >= 12 && n < Math.min(model.physicalBits, f.entryBytes * 8)) continue;
              if (n === 7 && place.level > 1 && place.level < 4 && (f.entryBytes === 8 || f.cr4 !== 0n)) continue;
              put(at, value | (1n << BigInt(n)));
              const got = errorCode(cpu);
              const what = `level ${place.level}, bit ${n}, NXE ${nxe ? 1 : 0}`;
              if (reserved.has(n)) assert.equal(got, 9, what);
              else assert.ok(got === undefined || (got & 8) === 0, `${what}: error code ${got}`);
            }
            put(at, value);
          }
        }
      });

  it('of an entry that is not present none are', () => {
    const { cpu, entries, put } = machine(format('4-level'), PAGEWALK_X64, false);
    const leaf = entries[3] as (typeof entries)[number];
    put(leaf.at, ~1n & ((1n << 64n) - 1n));
    assert.equal(errorCode(cpu), 0);
  });
});

describe('what the other bits of an entry do', () => {
  it("PSE-36: bits 20:13 of a 4 MiB page's entry are address bits 39:32", () => {
    for (let n = 0n; n < 8n; n++) {
      const { cpu, entries, put } = machine(format('32-bit, 4 MiB'), PAGEWALK_X64, false);
      const [pde] = entries as [(typeof entries)[number]];
      put(pde.at, 0x0140_0087n | (1n << (13n + n)));
      const found = cpu.mmu.probeWalk(LINEAR, READ);
      assert.equal(found.gpa, 0x0140_2010n | (1n << (32n + n)));
      assert.equal(found.guestPageShift, 22);
    }
  });
  it('without CR4.PSE bit 7 of a PDE is ignored', () => {
    const { cpu, entries, put } = machine(format('32-bit'), PAGEWALK_X64, false);
    const [pde] = entries as [(typeof entries)[number]];
    put(pde.at, pde.value | 0x80n);
    assert.equal(cpu.mmu.probeWalk(LINEAR, READ).gpa, 0x5010n);
  });
  it('PWT, PCD and PAT choose a memory type: the walk passes them by and shows them, A and D updates keep them', () => {
    for (const f of FORMATS) {
      const { cpu, memory, entries, put } = machine(f, PAGEWALK_X64_LA57, true);
      const leaf = entries[entries.length - 1] as (typeof entries)[number];
      const pat = leaf.place.large ? 1n << 12n : 1n << 7n;
      put(leaf.at, leaf.value | 0x18n | pat);
      const before = cpu.mmu.probeWalk(LINEAR, READ);
      assert.equal(
        before.gpa,
        (leaf.place.large ? 0n : 0x5000n) | (LINEAR & ((1n << BigInt(before.guestPageShift)) - 1n)),
      );
      const flags = pteFlags(before.steps.at(-1)?.entry ?? 0n, true, leaf.place.level);
      for (const name of ['PWT', 'PCD', 'PAT']) assert.ok(flags.includes(name), `${f.name}: ${flags.join(' ')}`);
      assert.ok(cpu.mmu.probe(cpu, LINEAR, 1, WRITE));
      const now = f.entryBytes === 8 ? memory.read64(hpa(leaf.at)) : BigInt(memory.read32(hpa(leaf.at)));
      assert.equal(now, leaf.value | 0x18n | pat | 0x60n, f.name);
    }
    assert.deepEqual(pteFlags((1n << 63n) | 0x1180n | 1n, true, 2), ['P', 'PS', 'G', 'PAT', 'XD']);
  });
  it('PAE: the four pointers lie in registers, and their table in memory is not looked at', () => {
    const { cpu, memory } = machine(format('PAE'), PAGEWALK_X64, true);
    memory.write64(hpa(TABLES + 0x1_0000n), 0n);
    cpu.state.set(SLOT.CR3, TABLES + 0x1_0000n);
    assert.equal(errorCode(cpu), undefined);
    const walk = cpu.mmu.probeWalk(LINEAR, READ);
    assert.deepEqual([walk.ok, walk.references], [true, 2]);
    // bits 31:30 of the address choose the register
    cpu.state.set(SLOT.PDPTE0 + 2, 0n);
    assert.equal(cpu.mmu.probeWalk(LINEAR | 0x8000_0000n, READ).failure?.reason, 'not-present');
    assert.equal(cpu.mmu.probeWalk(LINEAR | 0xc000_0000n, READ).ok, true);
  });
});
