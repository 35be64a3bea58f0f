/** Overcommit: guests that touch more memory than the host has. The host reclaims, through the notifiers, and the guest notices nothing. */
import * as assert from 'node:assert/strict';
import { gpa, hva } from '../../src/base/address';
import { slotHva } from '../../src/kvm/memslots';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';

const MIB = 1 << 20;
/** Writes its own address to each page of 4–12 MiB, then reads all of them back and sums what is wrong in RAX. */
const SWEEP = `
  mov rdi, 0x400000
fill:
  mov [rdi], rdi
  add rdi, 4096
  cmp rdi, 0xc00000
  jb fill
  xor eax, eax
  mov rdi, 0x400000
check:
  cmp [rdi], rdi
  setne cl
  movzx ecx, cl
  add rax, rcx
  add rdi, 4096
  cmp rdi, 0xc00000
  jb check
  hlt
`;
const PRESSURE: Partial<MachineOptions> = { memory: BigInt(16 * MIB), hostMemory: 4 * MIB, hostSwap: BigInt(16 * MIB) };

function run(source: string, options: Partial<MachineOptions>): Guest {
  const g = new Guest(source, 'flat64', { ...PRESSURE, ...options });
  g.machine.onStep = undefined;
  return g;
}

describe('reclaim under memory pressure', () => {
  const variants: readonly (readonly [string, Partial<MachineOptions>])[] = [
    ['EPT', {}],
    ['EPT without A/D flags', { eptAd: false }],
    ['EPT, no VPID, a small TLB', { vpid: false, tlb: { entries: 16, ways: 4 } }],
    ['transparent huge pages', { hostPages: 'thp', hostMemory: 8 * MIB }],
    ['shadow paging', { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n }],
  ];
  for (const [name, options] of variants) {
    it(`gives a guest with more RAM than the host has what it wrote: ${name}`, () => {
      const g = run(SWEEP, options);
      assert.equal(g.end().kind, 'halt');
      assert.equal(g.machine.vcpu.registers().get(0), 0n, 'pages that hold something else');
      const { vmstat, frames, swap } = g.machine.kernel;
      assert.ok(vmstat.pswpout > 1000 && vmstat.pswpin > 0, JSON.stringify(vmstat));
      assert.ok(frames.framesFree > 0 && swap.used > 0);
      assert.equal(vmstat.pgsteal, vmstat.pswpout, 'nobody else swapped');
    });
  }

  it('gives a second chance to what is used: a hot page among cold ones stays', () => {
    const hot = run(
      `mov esi, 3
       again: mov rdi, 0x400000
       l: mov [rdi], rdi
       add rdi, 4096
       add qword [0x300000], 1
       cmp rdi, 0xc00000
       jb l
       dec esi
       jnz again
       hlt`,
      {},
    );
    const at = slotHva(hot.machine.vm.memslots.all[0] as never, gpa(0x30_0000n));
    let out = 0;
    hot.machine.onStep = (s) => {
      if (s.fn === 'swap_writepage' && s.addresses.hva === at) out++;
    };
    assert.equal(hot.end().kind, 'halt');
    // a queue without second chances would take it about once for every 900 pages that fit
    assert.ok(hot.machine.kernel.vmstat.pswpout > 4000);
    assert.ok(out <= 1, `swapped out ${out} times`);
    assert.equal(hot.qword(0x30_0000n), 3n * 2048n);
    assert.ok(hot.machine.kernel.vmstat.pgscan > hot.machine.kernel.vmstat.pgsteal);
  });

  it('tells its steps in order: watermark, notifier, unmapping, swap', () => {
    const g = run(SWEEP, {});
    const fns: string[] = [];
    g.machine.onStep = (s) => fns.push(s.fn);
    g.end();
    const first = fns.indexOf('try_to_free_pages');
    const one = fns.slice(first, fns.indexOf('swap_writepage', first) + 1);
    assert.deepEqual(
      one.filter((f) => f !== 'kvm_flush_remote_tlbs'),
      [
        'try_to_free_pages',
        'kvm_mmu_notifier_invalidate_range_start',
        'try_to_unmap_one',
        'kvm_mmu_notifier_invalidate_range_end',
        'swap_writepage',
      ],
    );
  });

  it('ends clearly where swap is full: the host is out of memory', () => {
    const g = run(SWEEP, { hostSwap: BigInt(MIB) });
    const end = g.end();
    assert.equal(end.kind, 'internal-error');
    assert.match(
      end.why,
      /host memory is exhausted: no frame for .*\(\d+ frames are free, 256 of 256 pages of swap in use, and reclaim finds nothing to take\)|no frame for an EPT table/,
    );
    assert.equal(g.machine.kernel.vmstat.oom_kill, 1);
  });

  it('is the same stepped or run, and from a snapshot', () => {
    const print = (g: Guest): unknown => [g.machine.kernel.vmstat, g.machine.instructions, g.machine.vm.stats.all()];
    const whole = run(SWEEP, {});
    whole.end();
    const cut = run(SWEEP, {});
    while (cut.machine.instructions < 6000n) cut.machine.run(7);
    const saved = cut.machine.save();
    cut.machine.run(5000);
    cut.machine.restore(saved);
    cut.end();
    assert.deepEqual(print(cut), print(whole));
  });

  it('leaves merged pages and the tables themselves alone', () => {
    const g = run(
      `mov qword [0x300000], 7
       mov qword [0x301000], 7
       mark: ${SWEEP}`,
      {},
    );
    while (g.machine.instructions < 2n) g.machine.run(1);
    const slot = g.machine.vm.memslots.all[0];
    assert.ok(slot);
    const [one, other] = [slotHva(slot, gpa(0x30_0000n)), slotHva(slot, gpa(0x30_1000n))];
    assert.ok(g.machine.perform(g.machine.host.merge(one, other)).ok);
    g.end();
    assert.equal(g.machine.kernel.mergedCount(g.machine.host.lookup(hva(one))?.hpa ?? (0n as never)), 2);
  });
});
