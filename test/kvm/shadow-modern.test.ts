/**
 * Shadow paging as it became: tables out of sync, INVLPG and CR3 loads that bring them back, kept roots, large pages, MMIO marks with a generation. Each expected
 * number is derived beside it.
 */
import * as assert from 'node:assert/strict';
import { FIND_PTE } from '../vmm/support/find-pte';
import { Guest } from '../vmm/support/guest';

const modern = { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n, hostMemory: 256 << 20 } as const;

/** Two pages with one byte each to tell them apart, behind 0x300000 and 0x301000. */
const TWO_PAGES = `
  mov byte [0x300000], 0xa
  mov byte [0x301000], 0xb
`;

function run(source: string, options: object = {}): Guest {
  const g = new Guest(source, 'flat64', { ...modern, ...options });
  g.halt();
  return g;
}
const stat = (g: Guest, name: string): number => (g.machine.vm.stats.all() as Record<string, number>)[name] ?? 0;
const al = (g: Guest): number => Number(g.gprs()[0] ?? 0n) & 0xff;

describe('modern shadow paging: tables out of sync', () => {
  it('writes to a last-level table after the first cost no exit', () => {
    const edits = (n: number): string => `${FIND_PTE} mov al, [rcx]\n${'or qword [rdi + 8], 0x200\n'.repeat(n)}hlt`;
    const [one, many] = [run(edits(1)), run(edits(50))];
    assert.deepEqual([one.stats.fault_tracing, many.stats.fault_tracing], [1, 1]);
    assert.equal(stat(many, 'mmu_unsync'), 1);
    assert.equal(stat(many, 'mmu_pte_write'), 0, 'nothing was emulated');
    assert.equal(many.stats.exits, one.stats.exits);
  });

  it('without INVLPG the old translation stays, as in a TLB; INVLPG brings the new one', () => {
    const remap = `${FIND_PTE}${TWO_PAGES} mov qword [rdi], 0x300003\ninvlpg [rcx]\nmov al, [rcx]\nmov qword [rdi], 0x301003\n`;
    const stale = run(`${remap} mov al, [rcx]\nhlt`);
    assert.equal(al(stale), 0xa);
    const fresh = run(`${remap} invlpg [rcx]\nmov al, [rcx]\nhlt`);
    assert.equal(al(fresh), 0xb);
    assert.equal(fresh.stats.invlpg, 2);
    // INVLPG drops the entry, whose frame is another: one hidden fault more
    assert.equal((fresh.stats.fault_hidden ?? 0) - (stale.stats.fault_hidden ?? 0), 1);
    assert.equal(stat(fresh, 'mmu_unsync'), 1, 'INVLPG brings one entry up to date, and leaves the table to the guest');
  });

  it('a load of CR3 brings all tables up to date, and watches them again', () => {
    const g = run(
      `${FIND_PTE}${TWO_PAGES} mov qword [rdi], 0x300023\nmov al, [rcx]\nmov qword [rdi], 0x301023\nmov rax, cr3\nmov cr3, rax\nmov al, [rcx]\nhlt`,
    );
    assert.equal(al(g), 0xb);
    assert.equal(stat(g, 'mmu_unsync'), 0);
    const synced = g.steps.filter((s) => s.fn === 'kvm_mmu_sync_roots');
    assert.equal(synced.length, 1);
  });

  it('an entry that becomes present needs no flush', () => {
    const g = run(
      `${FIND_PTE}${TWO_PAGES} mov qword [rdi], 0\ninvlpg [rcx]\nmov qword [rdi], 0x301003\nmov al, [rcx]\nhlt`,
    );
    assert.equal(al(g), 0xb);
    assert.equal(g.stats.fault_guest, 0);
  });

  it('a write to a table above the last level is watched and emulated', () => {
    const source = `${FIND_PTE} mov rax, cr3\nmov rax, [rax]\nand rax, rbx\nmov rax, [rax]\nand rax, rbx\nmov rdx, [rax + 8]\nmov [rax + 8], rdx\nhlt`;
    const g = run(source);
    assert.equal(stat(g, 'mmu_pte_write'), 1);
    assert.equal(g.stats.fault_tracing, 1);
  });
});

describe('modern shadow paging: large pages', () => {
  /** A 2 MiB page of the guest's, 0x40000000 → 0x400000, in a new PD; its first byte is read and written. rbp: the PD. */
  const LARGE = `
  mov rax, cr3
  mov rax, [rax]
  and rax, -4096
  mov rbp, 0x200000
  mov qword [rbp], 0x4000e3
  lea rcx, [rbp + 3]
  mov [rax + 8], rcx
  mov rbx, 0x40000000
  mov byte [rbx], 5
  mov al, [rbx + 0x1ff000]
  `;
  const leaves = (g: Guest): readonly number[] => (g.machine.vm.shadow?.read(0x4000_0000n) ?? []).map((e) => e.level);

  it('get one large entry where the host has a large page too, else small ones in a direct page', () => {
    assert.deepEqual(leaves(run(`${LARGE} hlt`, { hostPages: '2m' })), [4, 3, 2]);
    assert.deepEqual(leaves(run(`${LARGE} hlt`)), [4, 3, 2, 1]);
    // one fault maps all of it; the write was first, so no second one for the D flag
    const faults = (hostPages: '2m' | '4k'): number => run(`${LARGE} hlt`, { hostPages }).stats.fault_hidden ?? 0;
    assert.ok(faults('2m') < faults('4k'));
  });

  it('are split when a page in them becomes a table: its writes must be seen, the others go on', () => {
    // the table for 0x40200000 lies in the large page, and maps 0x300000; then it is redirected to 0x301000 through the large page's address
    const g = run(
      `${TWO_PAGES} ${LARGE}
      mov qword [rbx + 0x5000], 0x300003
      mov qword [rbp + 8], 0x405003
      mov al, [0x40200000]
      mov cl, al
      mov qword [rbx + 0x5000], 0x301003
      invlpg [0x40200000]
      mov al, [0x40200000]
      mov ah, cl
      mov dl, [rbx]
      hlt`,
      { hostPages: '2m' },
    );
    assert.deepEqual([Number((g.gprs()[0] ?? 0n) & 0xffffn), Number((g.gprs()[2] ?? 0n) & 0xffn)], [0x0a0b, 5]);
    assert.deepEqual(leaves(g), [4, 3, 2, 1], 'the large entry gave way to small ones');
  });
});
