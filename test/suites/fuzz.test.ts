/**
 * Random bytes as code and as page tables, in every mode: no exception of ours, no hang, and nothing written outside the guest. PAGEWALK_FUZZ names the number of
 * instructions (10000000 for a long run) and PAGEWALK_FUZZ_SEED another seed; without them a small part runs, always the same.
 */
import assert from 'node:assert/strict';
import { hpa } from '../../src/base/address';
import { Cpu } from '../../src/hw/cpu/cpu';
import { PAGEWALK_X64, PAGEWALK_X64_LA57 } from '../../src/hw/cpu/cpuid-model';
import { setFlat32, setLong64, setRealMode } from '../../src/hw/cpu/system/reset';
import { HostMemory } from '../../src/hw/memory/host-memory';
import { SLOT } from '../../src/hw/state/layout';
import { flatImage } from '../../src/vmm/loader/image';
import { Machine } from '../../src/vmm/machine';
import { DEFAULT_OPTIONS, type StartKind } from '../../src/vmm/options';

const WANTED = Number(process.env['PAGEWALK_FUZZ'] ?? 120_000);
const SEED = Number(process.env['PAGEWALK_FUZZ_SEED'] ?? 1);

/** xorshift32. */
class Random {
  private x: number;
  constructor(seed: number) {
    this.x = (seed * 0x9e37_79b9) | 1;
  }
  next(): number {
    this.x ^= this.x << 13;
    this.x ^= this.x >>> 17;
    this.x ^= this.x << 5;
    return this.x >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  wide(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
  bytes(n: number): Uint8Array {
    return Uint8Array.from({ length: n }, () => this.next() >>> 11);
  }
}

const SIZE = 4 << 20;
const ROOT = 0x10_0000n;
const TABLE_PAGES = 16;

/** Entries that are mostly present and mostly lead into RAM, so that walks get somewhere before they meet what is wrong. */
function entry(r: Random): bigint {
  if (r.chance(5)) return r.wide();
  const target = r.chance(60) ? ROOT + BigInt(r.below(TABLE_PAGES) * 4096) : BigInt(r.below(SIZE >> 12) * 4096);
  let e = target | (BigInt(r.below(0x1000)) & 0xe7fn);
  if (r.chance(92)) e |= 3n;
  if (r.chance(20)) e |= 0x80n;
  if (r.chance(5)) e |= 1n << 63n;
  return e;
}

/** Opcodes that random bytes seldom form, so that system code gets its share. */
const PIECES: readonly (readonly number[])[] = [
  [0x0f, 0x22, 0xc0],
  [0x0f, 0x22, 0xd8],
  [0x0f, 0x22, 0xe0],
  [0x0f, 0x20, 0xc0],
  [0x0f, 0x01, 0x38],
  [0x0f, 0x01, 0xf8],
  [0x0f, 0x30],
  [0x0f, 0x32],
  [0x0f, 0xa2],
  [0xcf],
  [0x48, 0xcf],
  [0xcd, 0x10],
  [0x0f, 0x05],
  [0x48, 0x0f, 0x07],
  [0x0f, 0x34],
  [0x0f, 0x35],
  [0x9d],
  [0xf3, 0xa4],
  [0xf3, 0x48, 0xab],
  [0x0f, 0x00, 0xd8],
  [0x0f, 0x01, 0x10],
  [0x0f, 0x01, 0x18],
  [0xca, 0, 0],
  [0xcb],
  [0x66, 0x0f, 0x38, 0x82, 0x10],
  [0x0f, 0xc7, 0x08],
  [0x0f, 0xae, 0x00],
  [0x0f, 0xae, 0x08],
  [0xd9, 0xe8],
  [0x0f, 0x23, 0xf8],
  [0x8e, 0xd0],
  [0xfb],
  [0xf0, 0x0f, 0xb1, 0x08],
  [0x0f, 0xc7, 0x30],
  [0xf3, 0x0f, 0xc7, 0x30],
];
function code(r: Random, length: number): Uint8Array {
  const out = r.bytes(length);
  for (let at = 0; at < length - 8; at += 1 + r.below(24))
    out.set(PIECES[r.below(PIECES.length)] as readonly number[], at);
  return out;
}

/** Puts the CPU somewhere new: a mode, registers that often point into RAM, a RIP in it. */
function scatter(cpu: Cpu, r: Random): void {
  cpu.reset();
  const s = cpu.state;
  const rip = r.below(SIZE);
  switch (r.below(4)) {
    case 0:
      setRealMode(s, r.below(0x1_0000), r.below(0x1_0000));
      break;
    case 1:
      setFlat32(s, BigInt(rip));
      if (r.chance(70)) {
        s.set(SLOT.CR3, ROOT);
        s.set(SLOT.CR4, r.chance(50) ? 0x10n : 0x30n);
        s.set(SLOT.CR0, 0x8000_0011n);
        for (let i = 0; i < 4; i++) s.set(SLOT.PDPTE0 + i, ROOT | 1n);
      }
      break;
    default:
      setLong64(s, BigInt(rip), ROOT);
      s.set(
        SLOT.CR4,
        0x20n |
          (r.chance(50) && cpu.model === PAGEWALK_X64_LA57 ? 0x1000n : 0n) |
          ((BigInt(r.below(8)) << 20n) & (cpu.model === PAGEWALK_X64_LA57 ? 0x70_0000n : 0x30_0000n)) |
          (r.chance(50) ? 0x80n : 0n),
      );
  }
  if (r.chance(30)) s.cpl = 3;
  for (let i = 0; i < 16; i++) s.set(i, r.chance(75) ? BigInt(r.below(SIZE)) : r.wide());
  s.set(SLOT.IDTR_BASE, BigInt(r.below(SIZE)));
  s.set(SLOT.GDTR_BASE, BigInt(r.below(SIZE)));
  s.set(SLOT.GDTR_LIMIT, 0xffffn);
  s.set(SLOT.IDTR_LIMIT, 0xfffn);
  s.set(SLOT.TR_BASE, BigInt(r.below(SIZE)));
  s.rflags = (r.wide() & 0x3f_7fd5n & (r.chance(85) ? ~0x100n : ~0n)) | 2n;
  cpu.mmu.controlsChanged();
}

describe('fuzz', function () {
  this.timeout(7_200_000);

  for (const model of [PAGEWALK_X64, PAGEWALK_X64_LA57]) {
    it(`random code and tables on the bare ${model.name}`, () => {
      const r = new Random(SEED);
      const memory = new HostMemory(0n, SIZE);
      const cpu = new Cpu(memory, 0, model, { tlbEntries: 64, tlbWays: 4 });
      let work = 0;
      for (let round = 0; work < WANTED; round++) {
        if (round % 400 === 0) memory.write(hpa(0n), code(r, SIZE));
        if (round % 20 === 0)
          for (let i = 0; i < TABLE_PAGES * 512; i++) memory.write64(hpa(ROOT + BigInt(i * 8)), entry(r));
        scatter(cpu, r);
        // most random code soon ends in a triple fault; a port or missing RAM is answered by going on behind the instruction
        for (let left = 20; left > 0; left--) {
          const before = cpu.retired;
          const stop = cpu.run(200);
          work += 1 + Number(BigInt.asUintN(64, cpu.retired - before));
          if (stop.kind === 'bus') cpu.state.rip = stop.event.space === 'io' ? cpu.nextRip : BigInt(r.below(SIZE));
          else if (stop.kind !== 'budget') break;
        }
      }
      assert.ok(work >= WANTED);
    });
  }

  it('random guests under EPT write to no frame that is not theirs', () => {
    const r = new Random(SEED + 1);
    const starts: readonly StartKind[] = ['flat16', 'flat32', 'flat64'];
    let work = 0;
    while (work < WANTED / 4) {
      const start = starts[r.below(3)] as StartKind;
      const image = flatImage(code(r, 4096), start, { file: 'random' });
      assert.ok(image.ok);
      const made = Machine.create(
        {
          ...DEFAULT_OPTIONS,
          memory: BigInt(SIZE),
          hostMemory: 16 << 20,
          cpu: r.chance(50) ? PAGEWALK_X64.name : PAGEWALK_X64_LA57.name,
        },
        image.value,
        { serial: () => undefined, debugcon: () => undefined },
      );
      assert.ok(made.ok);
      const m = made.value;
      for (let slices = 30; slices > 0 && m.run(500).kind !== 'end'; slices--);
      work += 500 + Number(m.instructions);
      const { memory, frames } = m.kernel;
      for (let f = 0n; f < BigInt(memory.frames); f++) {
        const at = hpa(memory.base + f * 4096n);
        if (frames.isUsed(at)) continue;
        const offset = memory.offsetOf(at);
        assert.ok(
          new Float64Array(memory.buffer, offset, 512).every((v) => Object.is(v, 0)),
          `frame ${at.toString(16)} was written`,
        );
      }
    }
  });
});
