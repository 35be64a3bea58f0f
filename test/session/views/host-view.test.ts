/** The VMM's memory as a tree: VMAs with what their pages have come to, and tables that say which pages are merged or in swap. */
import * as assert from 'node:assert/strict';
import { next, open, rows, value } from '../scene';

it('VMAs and host page tables follow what the host does', () => {
  const s = open('bits 64\nmov qword [0x200000], 1\nmov qword [0x201000], 1\nmov qword [0x202000], 2\nmark: hlt\n');
  s.breakpoints.setFunctions([{ name: 'mark' }]);
  s.run.continue_();
  next(s);
  value(s, 'host swap-out 0x202000');
  assert.match(value(s, 'host merge 0x200000 0x201000'), /share HPA/);
  const [vma = ''] = rows(s, 'host');
  assert.match(
    vma,
    /^pc\.ram = 0x7f5a00000000–0x7f5a03ffffff, 64 MiB rw- 4k, \d+ KiB resident, 8 KiB merged, 4 KiB in swap$/,
  );
  assert.deepEqual(rows(s, 'host/vma0').slice(-3), ['KSM = 8 KiB', 'Swap = 4 KiB', 'memslots = 0']);
  // HVA 0x7f5a00200000: indices 254, 360, 1
  const table = rows(s, 'host/254/360/1');
  assert.match(table[0] ?? '', /^\[0\] PTE = .*merged: 2 pages share the frame \(KSM\)$/);
  assert.match(table[2] ?? '', /^\[2\] PTE = .*not present {2}in swap slot 0$/);
  assert.ok(rows(s, 'stats').includes('pswpout = 1'));
});

describe('below a leaf of the host page tables', () => {
  // GPA 0x200000 is mapped at 1 GiB as well, in a table of the guest's own
  const source = `bits 64
mov rax, cr3
mov rax, [rax]
and rax, ~0xfff
mov qword [rax + 8], 0x300003
mov qword [0x300000], 0x301003
mov qword [0x301000], 0x200003
mov rcx, [0x40000000]
mov qword [0x200000], 1
mark: hlt
`;
  for (const [mmu, own] of [
    ['ept', /^EPT PTE = 0x[0-9a-f]+ at HPA 0x[0-9a-f]+$/],
    ['npt', /^NPT PTE = 0x[0-9a-f]+ at HPA 0x[0-9a-f]+$/],
    ['shadow', /^PTE = 0x[0-9a-f]+ at HPA 0x[0-9a-f]+, for GVA 0x(200000|40000000)$/],
    ['software', undefined],
  ] as const)
    it(`every guest address that leads to the frame, under ${mmu}`, () => {
      const s = open(source, { mmu });
      s.breakpoints.setFunctions([{ name: 'mark' }]);
      s.run.continue_();
      next(s);
      assert.deepEqual(rows(s, 'host/254/360/1/0'), ['GPA 0x200000 = memslot 0, HVA 0x7f5a00200000']);
      const below = rows(s, 'host/254/360/1/0/gpa-0x200000');
      const [entries, linear] = [below.filter((r) => !r.startsWith('GVA')), below.filter((r) => r.startsWith('GVA'))];
      assert.deepEqual(linear, ["GVA 0x200000 = by the guest's tables", "GVA 0x40000000 = by the guest's tables"]);
      if (own) for (const e of entries) assert.match(e, own);
      assert.equal(entries.length, mmu === 'software' ? 0 : mmu === 'shadow' ? 2 : 1);
    });
});

it('the dirty bitmap of a memslot is runs of pages', () => {
  const s = open(`bits 64
mark:
mov byte [0x200000], 1
mov byte [0x201000], 1
mov byte [0x203000], 1
end: hlt
`);
  s.breakpoints.setFunctions([{ name: 'mark' }, { name: 'end' }]);
  s.run.continue_();
  next(s);
  value(s, 'memslot log 0 on');
  s.run.continue_();
  next(s);
  const bitmap = rows(s, 'memslots/0').find((r) => r.startsWith('dirty bitmap'));
  assert.match(bitmap ?? '', /^dirty bitmap = \d+ pages of 16384 written, in \d+ runs$/);
  const runs = rows(s, 'memslots/0/dirty bitmap').filter((r) => /^0x20[0-9]000 /.test(r));
  assert.deepEqual(runs, ['0x200000 = 0x200000–0x201fff, 2 pages', '0x203000 = 0x203000–0x203fff, 1 page']);
});
