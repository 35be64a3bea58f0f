/** The VMM's memory as a tree: VMAs with what their pages have come to, and tables that say which pages are merged or in swap. */
import * as assert from 'node:assert/strict';
import { next, open, rows, value } from './scene';

it('VMAs and host page tables follow what the host does', () => {
  const s = open('bits 64\nmov qword [0x200000], 1\nmov qword [0x201000], 1\nmov qword [0x202000], 2\nmark: hlt\n');
  s.setFunctionBreakpoints([{ name: 'mark' }]);
  s.continue_();
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
