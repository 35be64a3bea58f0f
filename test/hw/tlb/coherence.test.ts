/**
 * A TLB hit equals a fresh walk unless an invalidation is missing. Random sequences of table edits, accesses and invalidating instructions run on the CPU; a model
 * keeps, for each address space and page, the entries that the page has had since the last instruction that invalidates it (SDM vol. 3, 4.10.4). What an access does must
 * follow from one of those, and where there is only the present one, from that.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setLong64 } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { SLOT } from '../../../src/hw/state/layout';
import { TableBuilder } from '../support/tables';

/** Two address spaces, each with a PCID; pages of 4 KiB at PAGES, frames at FRAMES that begin with their own number. */
const SPACES = [1, 2] as const;
const PAGES = [0x40_0000n, 0x40_1000n, 0x7fff_ffff_f000n, 0x60_0000n] as const;
const FRAMES = [0x20_0000n, 0x20_1000n, 0x20_2000n, 0x20_3000n] as const;
const CODE = 0x1000n;
const DESCRIPTOR = 0x2000n;
const P = 1n;
const RW = 2n;
const G = 0x100n;
const PGE = 1n << 7n;
const PCIDE = 1n << 17n;
const CR4 = 0x20n | PGE | PCIDE;

type Label = 'read' | 'write' | 'invlpg' | 'invpcid' | 'movcr3' | 'movcr4' | 'nothing';
const program = assemble(
  `bits 64\norg ${CODE}\nread: mov rax, [rbx]\nwrite: mov [rbx + 8], rcx\ninvlpg: invlpg [rbx]\ninvpcid: invpcid rdx, [rsi]\nmovcr3: mov cr3, rax\nmovcr4: mov cr4, rax\nnothing: nop\nhlt\n`,
  { fileName: 'ops.asm' },
);
const ADDRESS = new Map(program.symbols.map((s) => [s.name, s.value]));
const RAX = 0;
const RDX = 2;
const RBX = 3;
const RSI = 6;

type Op =
  | {
      readonly kind: 'edit';
      readonly space: number;
      readonly page: number;
      readonly frame: number;
      readonly flags: bigint;
    }
  | { readonly kind: 'access'; readonly page: number; readonly write: boolean }
  | { readonly kind: 'invlpg'; readonly page: number }
  | { readonly kind: 'switch'; readonly space: number; readonly keep: boolean }
  | { readonly kind: 'invpcid'; readonly type: number; readonly space: number; readonly page: number }
  | { readonly kind: 'toggle-pge' };

const index = fc.integer({ min: 0, max: 3 });
const space = fc.integer({ min: 0, max: 1 });
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('edit' as const),
      space,
      page: index,
      frame: index,
      flags: fc.constantFrom(0n, P, P | RW, P | RW, P | G, P | RW | G),
    }),
  },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('access' as const), page: index, write: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('invlpg' as const), page: index }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('switch' as const), space, keep: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('invpcid' as const), type: index, space, page: index }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'toggle-pge' as const }) },
);

/** The machine: tables, CPU, and one instruction at a time. */
class Bench {
  private readonly memory = new HostMemory(0n, 4 << 20);
  readonly cpu: Cpu;
  private readonly entries: bigint[][] = [];
  private readonly roots: bigint[] = [];
  current = 0;

  constructor(walkCaches: boolean) {
    this.cpu = new Cpu(this.memory, 0, PAGEWALK_X64, { tlbEntries: 16, tlbWays: 4, walkCaches });
    const tables = new TableBuilder(this.memory, 0x10_0000n);
    this.memory.write(hpa(CODE), program.image);
    FRAMES.forEach((f, i) => this.memory.write64(hpa(f), BigInt(i)));
    for (const _ of SPACES) {
      const root = tables.frame();
      this.roots.push(root);
      tables.map(root, CODE, CODE, P | RW | G);
      tables.map(root, DESCRIPTOR, DESCRIPTOR, P | RW | G);
      this.entries.push(PAGES.map((page) => tables.map(root, page, FRAMES[0], 0n)));
    }
    setLong64(this.cpu.state, CODE, this.cr3(0));
    this.cpu.state.set(SLOT.CR4, CR4);
    this.cpu.state.set(SLOT.CR0, this.cpu.state.get(SLOT.CR0) | 0x1_0000n);
    this.cpu.mmu.controlsChanged();
    this.cpu.faultObserver = () => true;
  }
  private cr3(of: number): bigint {
    return (this.roots[of] as bigint) | BigInt(SPACES[of] as number);
  }

  edit(of: number, page: number, entry: bigint): void {
    this.memory.write64(hpa(this.entries[of]?.[page] as bigint), entry);
  }
  /** Runs the instruction at `label`; false: it faulted. */
  private run(label: Label, registers: Readonly<Record<number, bigint>>): boolean {
    const { cpu } = this;
    for (const [i, v] of Object.entries(registers)) cpu.state.set(Number(i), v);
    cpu.state.rip = ADDRESS.get(label) as bigint;
    if (cpu.run(1).kind === 'budget') return true;
    // elsewhere, the fault that waits to be delivered is forgotten
    cpu.state.rip = ADDRESS.get('nothing') as bigint;
    cpu.run(1);
    return false;
  }
  /** The number of the frame that is read or, for writes, 'done'; undefined: #PF. */
  access(page: number, write: boolean): number | 'done' | undefined {
    if (!this.run(write ? 'write' : 'read', { [RBX]: PAGES[page] as bigint })) return undefined;
    return write ? 'done' : Number(this.cpu.state.get(RAX));
  }
  invlpg(page: number): void {
    assert.ok(this.run('invlpg', { [RBX]: PAGES[page] as bigint }));
  }
  invpcid(type: number, of: number, page: number): void {
    this.memory.write64(hpa(DESCRIPTOR), BigInt(SPACES[of] as number));
    this.memory.write64(hpa(DESCRIPTOR + 8n), PAGES[page] as bigint);
    assert.ok(this.run('invpcid', { [RDX]: BigInt(type), [RSI]: DESCRIPTOR }));
  }
  switchTo(of: number, keep: boolean): void {
    assert.ok(this.run('movcr3', { [RAX]: this.cr3(of) | (keep ? 1n << 63n : 0n) }));
    this.current = of;
  }
  togglePge(): void {
    assert.ok(this.run('movcr4', { [RAX]: CR4 & ~PGE }));
    assert.ok(this.run('movcr4', { [RAX]: CR4 }));
  }
}

/** The entries that each space's page has had since it was last invalidated. A page that was global in any space can be cached as that space's for all of them. */
class Model {
  private readonly history: bigint[][][] = SPACES.map(() => PAGES.map(() => [0n]));

  edit(of: number, page: number, entry: bigint): void {
    this.history[of]?.[page]?.push(entry);
  }
  /** The present entry alone is left, unless the instruction spares global entries and the page may have one. */
  invalidate(spaces: readonly number[], pages: readonly number[], globals: boolean): void {
    for (const of of spaces) {
      for (const page of pages) {
        const h = this.history[of]?.[page] as bigint[];
        const kept = globals ? [] : h.slice(0, -1).filter((e) => (e & (P | G)) === (P | G));
        this.history[of]?.[page]?.splice(0, h.length, ...kept, h[h.length - 1] as bigint);
      }
    }
  }
  /** Entries that an access may use now, the present one last. */
  usable(current: number, page: number): readonly bigint[] {
    const others = SPACES.map((_, of) => of).filter((of) => of !== current);
    const shared = others.flatMap((of) => (this.history[of]?.[page] ?? []).filter((e) => (e & (P | G)) === (P | G)));
    return [...shared, ...(this.history[current]?.[page] ?? [])];
  }
}

const ALL_PAGES = PAGES.map((_, i) => i);
const ALL_SPACES = SPACES.map((_, i) => i);

function apply(bench: Bench, model: Model, o: Op): void {
  switch (o.kind) {
    case 'edit': {
      const entry = (FRAMES[o.frame] as bigint) | o.flags;
      bench.edit(o.space, o.page, entry);
      return model.edit(o.space, o.page, entry);
    }
    case 'invlpg':
      // the current PCID and global entries; what other spaces' entries a global one came from does not matter
      bench.invlpg(o.page);
      model.invalidate([bench.current], [o.page], true);
      return model.invalidate(
        ALL_SPACES.filter((of) => of !== bench.current),
        [],
        true,
      );
    case 'switch':
      bench.switchTo(o.space, o.keep);
      return o.keep ? undefined : model.invalidate([o.space], ALL_PAGES, false);
    case 'invpcid':
      bench.invpcid(o.type, o.space, o.page);
      if (o.type === 0) return model.invalidate([o.space], [o.page], false);
      if (o.type === 1) return model.invalidate([o.space], ALL_PAGES, false);
      return model.invalidate(ALL_SPACES, ALL_PAGES, o.type === 2);
    case 'toggle-pge':
      bench.togglePge();
      return model.invalidate(ALL_SPACES, ALL_PAGES, true);
    case 'access':
      return checkAccess(bench, model, o.page, o.write);
  }
}

function checkAccess(bench: Bench, model: Model, page: number, write: boolean): void {
  const usable = model.usable(bench.current, page);
  const present = usable[usable.length - 1] as bigint;
  const allows = (e: bigint): boolean => (e & P) !== 0n && (!write || (e & RW) !== 0n);
  const got = bench.access(page, write);
  // a missing right is looked up in the tables before it becomes a fault
  if (got === undefined) return assert.ok(!allows(present), 'a #PF that the tables do not justify');
  const frames = usable
    .filter(allows)
    .map((e) => FRAMES.indexOf((e & 0x000f_ffff_ffff_f000n) as (typeof FRAMES)[number]));
  if (got === 'done') assert.ok(frames.length > 0, 'a write that no entry since the last invalidation allows');
  else assert.ok(frames.includes(got), `frame ${got}; entries since the last invalidation lead to ${frames.join()}`);
}

describe('TLB', () => {
  it('is coherent with the tables up to missing invalidations', function () {
    let accesses = 0;
    let stale = 0;
    fc.assert(
      fc.property(fc.array(op, { minLength: 1, maxLength: 120, size: 'max' }), fc.boolean(), (ops, walkCaches) => {
        const bench = new Bench(walkCaches);
        const model = new Model();
        for (const o of ops) {
          apply(bench, model, o);
          if (o.kind === 'access') accesses++;
          if (o.kind === 'access' && model.usable(bench.current, o.page).length > 1) stale++;
        }
      }),
      { seed: 41, numRuns: 300 },
    );
    assert.ok(
      accesses > 3000 && stale > 500 && stale < accesses,
      `${accesses} accesses, ${stale} of them where an invalidation is missing`,
    );
  });
});
