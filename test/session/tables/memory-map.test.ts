/** The map of guest memory: runs of pages in the same condition, slots and holes, VMAs. */
import * as assert from 'node:assert/strict';
import { hex } from '../../../src/base/hex';
import type { MemoryMapQuery } from '../../../src/session/tables/memory-map';
import type { Session } from '../../../src/session/session';
import { next, open, value } from '../scene';

const GUEST = `bits 64
  mov rdi, 0x200000
  mov ecx, 8
touch:
  mov [rdi], rdi
  add rdi, 4096
  loop touch
  mov rax, [0x300000]
done: nop
  mov qword [0x201000], 5
after: hlt
`;
function open_(options: Readonly<Record<string, string>> = {}): Session {
  const s = open(GUEST, options);
  s.breakpoints.setFunctions([{ name: 'done' }, { name: 'after' }]);
  s.run.continue_();
  assert.equal(next(s), 'function-breakpoint done');
  return s;
}
const runs = (s: Session, query: MemoryMapQuery): string[] =>
  s.tables
    .memoryMap(query)
    .runs.map((r) =>
      [
        `${hex(r.gpa)}+${hex(r.size)} ${r.state}`,
        r.hpa === undefined ? '' : 'hpa',
        r.frames > 1 ? `${r.frames} frames` : '',
        r.swapSlot === undefined ? '' : `slot ${r.swapSlot}`,
        r.pageSize > 4096 ? `${r.pageSize}` : '',
        r.merged ? 'merged' : '',
        r.dirty ? 'dirty' : '',
        r.mapped > 0 ? `mapped ${r.mapped}` : '',
      ]
        .filter((t) => t !== '')
        .join(' '),
    );
const WINDOW = { from: 0x20_0000n, to: 0x20_9000n };

describe('the memory map', () => {
  it('tells what was touched and what was not', () => {
    const s = open_();
    const all = runs(s, WINDOW);
    assert.equal(all.length, 9, 'frames are scattered: each page is a run');
    assert.equal(all[0], '0x200000+0x1000 resident hpa mapped 4096');
    assert.equal(all[8], '0x208000+0x1000 absent');
  });

  it('joins runs of scattered frames where there would be too many, and says where it stopped', () => {
    const s = open_();
    assert.deepEqual(runs(s, { ...WINDOW, most: 4 }), [
      '0x200000+0x8000 resident 8 frames mapped 4096',
      '0x208000+0x1000 absent',
    ]);
    value(s, 'host swap-out 0x202000');
    const cut = s.tables.memoryMap({ ...WINDOW, most: 2 });
    assert.deepEqual([cut.runs.length, cut.next], [2, 0x20_3000n]);
    assert.equal(s.tables.memoryMap({ ...WINDOW, from: 0x20_3000n, most: 2 }).next, undefined);
  });

  it('follows what the host does', () => {
    const s = open_();
    value(s, 'host swap-out 0x201000');
    value(s, 'host balloon 0x202000');
    assert.deepEqual(runs(s, { from: 0x20_0000n, to: 0x20_3000n }), [
      '0x200000+0x1000 resident hpa mapped 4096',
      '0x201000+0x1000 swapped slot 0',
      '0x202000+0x1000 absent',
    ]);
    const [vma] = s.tables.memoryMap().vmas;
    assert.equal(vma?.swapped, 0x1000n);
    assert.deepEqual(vma.slots, [0]);
    assert.equal(s.tables.memoryMap().host.swapUsed, 1);
    // what the guest takes back is read from swap, and what went with its content stays away until it is touched
    assert.match(value(s, 'host deflate 0x201000 8K'), /1 pages of HVA .* were read from swap/);
    assert.deepEqual(
      runs(s, { from: 0x20_1000n, to: 0x20_3000n }).map((r) => r.split(' ')[1]),
      ['resident', 'absent'],
    );
    assert.equal(s.tables.memoryMap().host.swapUsed, 0);
  });

  it('has dirty pages as runs', () => {
    const s = open_({ 'ept-ad': 'off' });
    value(s, 'memslot log 0 on');
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint after');
    const dirty = (): unknown => s.tables.memoryMap().slots[0]?.dirty;
    assert.deepEqual(dirty(), { pages: 1, runs: [{ from: 0x20_1000n, to: 0x20_2000n }], left: 0 });
    assert.deepEqual(runs(s, { from: 0x20_1000n, to: 0x20_2000n }), ['0x201000+0x1000 resident hpa dirty mapped 4096']);
    value(s, 'memslot dirty 0');
    assert.deepEqual(dirty(), { pages: 0, runs: [], left: 0 }, 'asking for the bitmap clears it');
  });

  it('shows huge pages, and merged ones', () => {
    const s = open_({ 'host-pages': 'thp' });
    assert.deepEqual(runs(s, WINDOW), ['0x200000+0x9000 resident hpa 2097152 mapped 2097152']);
    const [vma] = s.tables.memoryMap().vmas;
    assert.ok(vma && vma.huge === vma.resident);
    const m = open_();
    m.memory.edit({ space: 'gpa', value: 0x20_2000n }, new Uint8Array(8));
    assert.match(value(m, 'host merge 0x202000 0x300000'), /share HPA/);
    assert.equal(m.tables.memoryMap().vmas[0]?.merged, 0x2000n);
    assert.deepEqual(runs(m, { from: 0x20_2000n, to: 0x20_3000n }), ['0x202000+0x1000 resident hpa merged']);
  });

  it('has slots and the holes around them', () => {
    const s = open('bits 64\nhlt', { slot: '0x0+4M' });
    s.run.continue_();
    next(s);
    const map = s.tables.memoryMap();
    assert.equal(map.generation, 1);
    assert.deepEqual(
      map.holes.map((h) => [h.from, h.to]),
      [[0x40_0000n, 1n << 46n]],
    );
  });
});
