/**
 * Shadow paging, counted and checked. Each expected number is derived beside it: who traps what, and why.
 *
 * Every flat64 guest begins alike: the first fetch is a hidden fault (the code page).
 */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { gpa, hva } from '../../src/base/address';
import { drain } from '../../src/trace/step';
import { FIELD } from '../../src/isa/vmcs-fields';
import { listShadowTables } from '../../src/session/tables/shadow-listing';
import { FIND_PTE } from '../vmm/support/find-pte';
import { Guest } from '../vmm/support/guest';

const BASE = { mmu: 'shadow', hostBase: 0x4000_0000n, hostMemory: 256 << 20 } as const;
const classic = { ...BASE, shadow: 'classic' } as const;
const modern = { ...BASE, shadow: 'modern' } as const;

function faults(source: string, options: typeof classic | typeof modern = classic): Readonly<Record<string, number>> {
  const g = new Guest(source, 'flat64', options);
  g.halt();
  const { fault_guest, fault_mmio, fault_tracing, fault_dirty, fault_hidden } = g.stats;
  return { guest: fault_guest, mmio: fault_mmio, tracing: fault_tracing, dirty: fault_dirty, hidden: fault_hidden };
}
const only = (
  n: Partial<Record<'guest' | 'mmio' | 'tracing' | 'dirty' | 'hidden', number>>,
): Record<string, number> => ({ guest: 0, mmio: 0, tracing: 0, dirty: 0, hidden: 0, ...n });

describe('shadow paging', () => {
  it('a read and a write of a fresh page: filled read-only while the guest entry is clean, then writable', () => {
    // hidden: code, the read. dirty: the write, since the read left the guest's D clear
    assert.deepEqual(faults('mov rbx, 0x200000\nmov al, [rbx]\nmov [rbx], al\nhlt'), only({ hidden: 2, dirty: 1 }));
    // a write first sets A and D at once: one hidden fault
    assert.deepEqual(faults('mov rbx, 0x200000\nmov [rbx], al\nmov al, [rbx]\nhlt'), only({ hidden: 2 }));
  });

  it('a write to a shadowed page table is traced and emulated, and the next access faults again', () => {
    // hidden: code, PML4, PDPT and PD as data, the page of 0x200000, and that page again after its shadow entry was dropped. MOV from CR3 is CR_ACCESS.
    // tracing: the one write, to a table that the access of 0x200000 had made a shadow of
    const source = `${FIND_PTE}\nmov al, [rcx]\nor qword [rdi], 0x200\nmov al, [rcx]\nhlt`;
    // the table's own first mapping is by the read-modify-write itself, which is the tracing fault
    assert.deepEqual(faults(source), only({ hidden: 6, tracing: 1 }));
    // modern: the table goes out of sync, and without INVLPG the shadow entry stays, as a TLB entry would
    assert.deepEqual(faults(source, modern), only({ hidden: 5, tracing: 1 }));
  });

  it('three writes in a row to one table: the last zaps its shadow, and the fourth needs no exit', () => {
    const g = new Guest(
      `${FIND_PTE}\nmov al, [rcx]\nxor edx, edx\nagain: or qword [rdi + rdx * 8 + 8], 0x200\ninc edx\ncmp edx, 8\njne again\nhlt`,
      'flat64',
      classic,
    );
    g.halt();
    // last_pt_write_count of 2.6.20: three in a row to one frame
    assert.equal(g.stats.fault_tracing, 3);
    const vm = g.machine.vm.stats.all();
    assert.deepEqual([vm.mmu_pte_write, vm.mmu_flooded, vm.mmu_shadow_zapped], [3, 1, 1]);
  });

  it('a hole is MMIO: an exit at each access, whose mark is present only in the modern form', () => {
    const source = 'mov rbx, 0x200000\nmov rdx, cr3\nmov al, [rbx]\nhlt';
    const slots = [
      { gpa: 0n, size: 0x20_0000n, readonly: false },
      { gpa: 0x40_0000n, size: 0x40_0000n, readonly: false },
    ];
    for (const options of [classic, modern]) {
      const g = new Guest(source, 'flat64', { ...options, slots });
      g.halt();
      assert.equal(g.stats.fault_mmio, 1);
      const mark = listShadowTables(g.machine.vm.shadow ?? assert.fail('shadow paging')).find((e) =>
        e.marks.includes('mmio'),
      );
      assert.equal(
        mark?.entry,
        options === classic ? 0x20_0620n : 0x8_0000_0020_0001n | (BigInt(g.machine.vm.memslots.generation) << 3n),
      );
    }
  });

  it('GUEST_CR3 is the shadow root, and a load of CR3 finds the old root again', () => {
    const g = new Guest('mov rax, cr3\nmov cr3, rax\nmov cr3, rax\nhlt', 'flat64', classic);
    g.halt();
    const { vm, vcpu } = g.machine;
    assert.equal(g.exits['CR_ACCESS'], 3);
    assert.equal(vcpu.cpu.vmx.current?.read(FIELD.GUEST_CR3), vm.shadow?.rootHpa);
    assert.notEqual(vcpu.registers().get(66), vm.shadow?.rootHpa);
    assert.equal(g.steps.filter((s) => s.fn === 'mmu_alloc_roots').length, 1);
  });

  it('counts shadow references: one per level, no second dimension', () => {
    const g = new Guest('mov rbx, 0x200000\nmov [rbx], al\nhlt', 'flat64', { ...modern });
    g.halt();
    // completed walks: the code and the page, four shadow entries each
    assert.deepEqual([g.machine.references.shadow, g.machine.references.nested], [8, 0]);
  });

  it('goes on from a snapshot as it would have gone', () => {
    const source = `${FIND_PTE}\nmov r8d, 300\nagain: mov al, [rcx]\nor qword [rdi], 0x200\ninvlpg [rcx]\ndec r8d\njnz again\nhlt`;
    const g = new Guest(source, 'flat64', modern);
    g.machine.run(200);
    assert.ok(g.machine.atBoundary);
    const saved = g.machine.save();
    const finish = (): unknown => [g.halt(), g.stats, g.machine.vm.stats.all(), g.exits];
    const first = finish();
    g.machine.restore(saved);
    assert.deepEqual(finish(), first);
  });
});

describe('shadow tables over a living host', () => {
  for (const options of [classic, modern]) {
    it(`${options.shadow}: nothing maps a frame that the host took back, and the guest never notices`, () => {
      const rounds = 100;
      const g = new Guest(
        `mov ecx, ${rounds}\nagain: mov rbx, 0x200000\nmov edx, 6\np: inc byte [rbx]\nadd rbx, 4096\ndec edx\njne p\ndec ecx\njnz again\nhlt`,
        'flat64',
        options,
      );
      const { machine } = g;
      const pages = [0n, 1n, 2n, 3n, 4n, 5n].map((i) => hva(0x7f5a_0020_0000n + i * 4096n));
      let stop = machine.run(37, 3);
      for (let i = 0; stop.kind === 'budget'; i++) {
        const page = pages[i % 6] ?? assert.fail('a page');
        drain(i % 2 === 1 ? machine.host.swapOut(page) : machine.host.migrate(page));
        for (const leaf of listShadowTables(machine.vm.shadow ?? assert.fail('shadow paging'))) {
          if (leaf.leaf && !leaf.marks.includes('mmio'))
            assert.equal(machine.vm.lookup(gpa(leaf.gfn << 12n))?.hpa, leaf.target);
        }
        stop = machine.run(37, 3);
      }
      assert.equal(machine.ended?.kind, 'halt');
      assert.deepEqual(
        pages.map((page) => machine.host.peekPage(page)?.[0]),
        pages.map(() => rounds),
      );
    });
  }

  it('random accesses across RAM, a hole and read-only memory come out as under EPT', () => {
    const slots = [
      { gpa: 0n, size: 0x30_0000n, readonly: false },
      { gpa: 0x34_0000n, size: 0x8_0000n, readonly: true },
    ];
    const op = fc.constantFrom(
      'mov [rdi], rax',
      'add [rdi], eax',
      'xchg [rdi], al',
      'mov ax, [rdi]',
      'movsb',
      'push qword [rdi]',
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0x2f_fff0, max: 0x3c_0010 }), op), { minLength: 1, maxLength: 8 }),
        (ops) => {
          const source = [
            'mov rsp, 0x200000',
            'mov rax, 0x1122334455667788',
            'mov rsi, 0x2ffff8',
            ...ops.flatMap(([at, text]) => [`mov edi, ${at}`, text]),
            'mov rbx, [rsp]',
            'hlt',
          ].join('\n');
          const run = (options: object): unknown => {
            const g = new Guest(source, 'flat64', { slots, hostMemory: 32 << 20, ...options });
            const stop = g.stop(20);
            return [stop.kind === 'end' ? stop.end.kind : stop.kind, g.gprs(), g.qword(0x2f_fff8n), g.stats.mmio_exits];
          };
          const ept = run({});
          for (const shadow of ['classic', 'modern'])
            assert.deepEqual(run({ ...BASE, hostMemory: 32 << 20, shadow }), ept);
        },
      ),
      { seed: 23, numRuns: 10 },
    );
  });
});
