/** What the host does to guest RAM while the guest runs: each event goes through the MMU notifiers, and the next access faults the page back. */
import * as assert from 'node:assert/strict';
import { gpa, hpa } from '../../src/base/address';
import type { Result } from '../../src/base/result';
import type { Work } from '../../src/trace/step';
import type { Guest } from '../vmm/support/guest';
import { done, hvaAt, logging, paused } from './support/paused';

const PAGE = 0x20_0000n;
const NEXT = 0x20_1000n;
const RAX = 0;
const RBX = 3;

function refused<T>(g: Guest, work: Work<Result<T, string>>): string {
  const r = g.machine.perform(work);
  assert.ok(!r.ok, 'refused');
  return r.error;
}
const hpaOf = (g: Guest, address: bigint): bigint | undefined => g.machine.host.lookup(hvaAt(g, address))?.hpa;
const tail = (g: Guest, from: number): string[] => g.steps.slice(from).map((s) => s.fn);

describe('a living host', () => {
  it('swap-out: the EPT entry goes, the VCPU is kicked and flushes, and the next access brings the page back', () => {
    const g = paused(`mov qword [${PAGE}], 7`, `mov rax, [${PAGE}]`);
    const used = g.machine.kernel.frames.framesUsed;
    const from = g.steps.length;
    done(g, g.machine.host.swapOut(hvaAt(g, PAGE)));
    assert.deepEqual(tail(g, from), [
      'kvm_mmu_notifier_invalidate_range_start',
      'kvm_flush_remote_tlbs',
      'try_to_unmap_one',
      'kvm_mmu_notifier_invalidate_range_end',
      'swap_writepage',
    ]);
    assert.equal(g.epte(PAGE), 0n);
    assert.equal(g.machine.kernel.frames.framesUsed, used - 1);
    assert.equal(hpaOf(g, PAGE), undefined);
    assert.equal(g.machine.host.peekPage(hvaAt(g, PAGE))?.[0], 7, 'its content is where the page is');
    assert.equal(g.halt()[RAX], 7n);
    assert.equal(g.exits['EXTERNAL_INTERRUPT'], 1, 'the kick');
    assert.deepEqual(g.stepsOfExit('EXTERNAL_INTERRUPT').slice(0, 3), [
      'vmx_handle_exit',
      'handle_external_interrupt',
      'vmx_flush_tlb_current',
    ]);
    assert.ok(g.steps.some((s) => s.fn === 'do_swap_page'));
    assert.equal(g.machine.kernel.swap.used, 0);
  });

  it('migration: the frame changes, into the one that is asked for, the content does not', () => {
    const g = paused(`mov qword [${PAGE}], 7`, `mov rax, [${PAGE}]`);
    const old = hpaOf(g, PAGE) ?? 0n;
    const target = hpa(g.machine.options.hostBase + 0x555_5000n);
    assert.match(refused(g, g.machine.host.migrate(hvaAt(g, PAGE), hpa(old))), /in use/);
    assert.match(refused(g, g.machine.host.migrate(hvaAt(g, PAGE), hpa(0x1000n))), /no host memory/);
    assert.match(refused(g, g.machine.host.migrate(hvaAt(g, 0x30_0000n))), /no page is mapped/);
    done(g, g.machine.host.migrate(hvaAt(g, PAGE), target));
    assert.equal(hpaOf(g, PAGE), target);
    assert.equal(g.machine.kernel.frames.isUsed(hpa(old)), false);
    assert.equal(g.halt()[RAX], 7n);
    assert.equal(g.epte(PAGE) & 0xf_ffff_ffff_f000n, target);
  });

  it('same-page merging: one read-only frame for two pages, and a copy for the one that is written', () => {
    const g = paused(
      `mov qword [${PAGE}], 7\n mov qword [${NEXT}], 7`,
      `mov rax, [${PAGE}]\n mov qword [${NEXT}], 9\n mov rbx, [${PAGE}]`,
    );
    assert.match(refused(g, g.machine.host.merge(hvaAt(g, PAGE), hvaAt(g, 0x8000n))), /no page is mapped/);
    assert.match(refused(g, g.machine.host.merge(hvaAt(g, PAGE), hvaAt(g, 0x10_0000n))), /differ/);
    done(g, g.machine.host.merge(hvaAt(g, PAGE), hvaAt(g, NEXT)));
    assert.equal(hpaOf(g, PAGE), hpaOf(g, NEXT));
    assert.match(refused(g, g.machine.host.swapOut(hvaAt(g, PAGE))), /merged/);
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RBX]], [7n, 7n]);
    assert.notEqual(hpaOf(g, PAGE), hpaOf(g, NEXT));
    assert.ok(g.steps.some((s) => s.fn === 'wp_page_copy'));
    assert.equal(g.epte(PAGE) & 2n, 0n, 'the merged page is read-only in the EPT');
    assert.equal(g.epte(NEXT) & 2n, 2n);
  });

  it('khugepaged: 2 MiB of small pages become one, in the EPT at the next fault; a split takes it back', () => {
    const g = paused(
      `mov qword [${PAGE}], 7\n mov qword [${NEXT}], 8`,
      `mov rax, [${PAGE}]\n out 0x80, al\nagain: nop\n mov rbx, [${NEXT}]`,
      { hostPages: 'thp' },
    );
    assert.equal(g.machine.host.lookup(hvaAt(g, PAGE))?.pageShift, 21);
    done(g, g.machine.host.splitHuge(hvaAt(g, PAGE)));
    assert.equal(g.machine.host.lookup(hvaAt(g, PAGE))?.pageShift, 12);
    done(g, g.machine.host.swapOut(hvaAt(g, NEXT)));
    done(g, g.machine.host.collapse(hvaAt(g, PAGE)));
    assert.equal(g.machine.host.lookup(hvaAt(g, NEXT))?.pageShift, 21);
    assert.equal(g.machine.kernel.swap.used, 0);
    g.machine.cpu.breakpoints.add(g.symbols.get('again') ?? 0n);
    assert.equal(g.stop().kind, 'breakpoint');
    g.machine.cpu.breakpoints.clear();
    assert.equal((g.epte(PAGE) >> 7n) & 1n, 1n, 'a 2 MiB entry');
    done(g, g.machine.host.swapOut(hvaAt(g, NEXT)));
    assert.equal(g.epte(PAGE), 0n, 'the swapped page split the host page, and the large EPT entry with it');
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RBX]], [7n, 8n]);
  });

  it('balloon: the page goes with its content, and the frame is free', () => {
    const g = paused(`mov qword [${PAGE}], 7`, `mov rax, [${PAGE}]`);
    const used = g.machine.kernel.frames.framesUsed;
    done(g, g.machine.host.discard(hvaAt(g, PAGE), hvaAt(g, NEXT)));
    assert.equal(g.machine.kernel.frames.framesUsed, used - 1);
    assert.equal(g.halt()[RAX], 0n);
  });

  it('a fault that looked the page up before the host took it away is taken again', () => {
    const g = paused('nop', `mov qword [${PAGE}], 7\n mov rax, [${PAGE}]`);
    g.machine.pauseAtExits = (e) => e.name === 'EPT_VIOLATION';
    // the walk of PAGE meets its page table first; the last violation is about the page itself
    for (;;) {
      assert.equal(g.stop().kind, 'exit-pending');
      if (g.machine.vcpu.ops.exitInfo().gpa === PAGE) break;
    }
    while (g.machine.stepActivity()?.fn !== 'kvm_tdp_mmu_map') continue;
    done(g, g.machine.host.swapOut(hvaAt(g, PAGE)));
    g.machine.pauseAtExits = undefined;
    assert.equal(g.halt()[RAX], 7n);
    assert.ok(g.steps.some((s) => s.fn === 'is_page_fault_stale'));
  });

  it('goes back and forth with snapshots, swap and merged pages included', () => {
    const g = paused(
      `mov qword [${PAGE}], 7\n mov qword [${NEXT}], 7`,
      `mov rax, [${PAGE}]\n mov qword [${NEXT}], 9\n mov rbx, [${PAGE}]`,
    );
    done(g, g.machine.host.merge(hvaAt(g, PAGE), hvaAt(g, NEXT)));
    done(g, g.machine.host.swapOut(hvaAt(g, 0x10_0000n)));
    const saved = g.machine.save();
    const first = g.halt();
    g.machine.restore(saved);
    assert.equal(g.machine.kernel.swap.used, 1);
    assert.deepEqual(g.halt(), first);
  });
});

describe('dirty logging', () => {
  /** The pages at or above PAGE that the log has: below lie code and tables, whose flags the walks set. */
  const logged = (g: Guest): readonly bigint[] =>
    done(g, g.machine.vm.getDirtyLog(0)).filter((a) => a >= PAGE && a < 0x80_0000n);
  const STORES = `mov byte [${PAGE}], 1\n mov al, [${NEXT}]\n mov byte [${PAGE + 0x5000n}], 1`;

  for (const eptAd of [true, false]) {
    it(`finds written pages ${eptAd ? 'by page-modification logging' : 'by write protection'}, and again after they were read out`, () => {
      const g = paused(
        `${STORES}\n mov byte [${NEXT}], 1`,
        `${STORES}\n out 0x80, al\nmore: nop\n mov byte [${PAGE}], 2`,
        { eptAd },
      );
      assert.match(refused(g, g.machine.vm.getDirtyLog(0)), /not logged/);
      done(g, g.machine.vm.setUserMemoryRegion(logging(g, true)));
      g.machine.cpu.breakpoints.add(g.symbols.get('more') ?? 0n);
      assert.equal(g.stop().kind, 'breakpoint');
      g.machine.cpu.breakpoints.clear();
      assert.deepEqual(logged(g), [PAGE, PAGE + 0x5000n]);
      assert.deepEqual(logged(g), []);
      const before = g.exits['EPT_VIOLATION'] ?? 0;
      g.halt();
      assert.deepEqual(logged(g), [PAGE]);
      assert.equal((g.exits['EPT_VIOLATION'] ?? 0) > before, !eptAd, 'only without PML does a write cost a violation');
      done(g, g.machine.vm.setUserMemoryRegion(logging(g, false)));
      assert.match(refused(g, g.machine.vm.getDirtyLog(0)), /not logged/);
    });
  }

  it('exits when the log of 512 entries is full, and loses nothing', () => {
    const touch = (label: string): string =>
      `mov rcx, 1100\n mov rdi, ${PAGE}\n${label}: mov [rdi], cl\n add rdi, 4096\n dec rcx\n jnz ${label}`;
    const g = paused(touch('a'), touch('b'));
    done(g, g.machine.vm.setUserMemoryRegion(logging(g, true)));
    g.halt();
    assert.equal(g.exits['PML_FULL'], 2);
    assert.equal(logged(g).length, 1100);
    assert.deepEqual(g.stepsOfExit('PML_FULL').slice(0, 3), [
      'vmx_flush_pml_buffer',
      'vmx_handle_exit',
      'handle_pml_full',
    ]);
  });

  it('splits large entries: pages are logged one by one', () => {
    const g = paused(`mov byte [${PAGE}], 1`, `mov byte [${NEXT}], 1`, { hostPages: 'thp' });
    assert.equal((g.epte(PAGE) >> 7n) & 1n, 1n);
    done(g, g.machine.vm.setUserMemoryRegion(logging(g, true)));
    g.halt();
    assert.deepEqual(logged(g), [NEXT]);
    assert.equal((g.epte(gpa(PAGE)) >> 7n) & 1n, 0n);
  });
});
