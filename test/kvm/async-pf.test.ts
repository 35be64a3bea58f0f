/** Asynchronous page faults: a guest that asked is told of pages in swap; others sleep or wait. */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gpa } from '../../src/base/address';
import { slotHva } from '../../src/kvm/memslots';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';

const EXAMPLE = readFileSync('examples/async-page-fault.asm', 'utf8').replace(/^bits 64$/m, '');
const [R15, RBX] = [15, 3];
const NPT = { mmu: 'npt', cpu: 'pagewalk-svm' } as const;
const SHADOW = { mmu: 'shadow', hostBase: 0x4000_0000n } as const;
const MODERN = { ...SHADOW, shadow: 'modern' } as const;
const CLASSIC = { ...SHADOW, shadow: 'classic' } as const;

/** The example with its page swapped out where the file says so. */
function example(edit: (source: string) => string = (s) => s, options: Partial<MachineOptions> = {}): Guest {
  const g = new Guest(edit(EXAMPLE).replace('; @host swap-out page', 'swap:'), 'flat64', {
    memory: 16n << 20n,
    ...options,
  });
  g.machine.cpu.breakpoints.add(g.symbols.get('swap') ?? 0n);
  const stop = g.stop();
  if (stop.kind === 'breakpoint') {
    swapOut(g, g.symbols.get('page') ?? 0n);
    g.machine.cpu.breakpoints.clear();
  }
  return g;
}
function swapOut(g: Guest, address: bigint): void {
  const slot = g.machine.vm.memslots.find(gpa(address));
  assert.ok(slot);
  assert.ok(g.machine.perform(g.machine.host.swapOut(slotHva(slot, gpa(address)))).ok);
}
const told = (g: Guest): readonly string[] =>
  g.steps
    .map((s) => s.fn)
    .filter((f) => /async_p|kvm_vcpu_block|hva_to_pfn_slow|do_swap_page/.test(f) && f !== 'hva_to_pfn_slow');

describe('asynchronous page faults', () => {
  it('tell the guest, which runs something else until the page is there', () => {
    const g = example();
    const regs = g.halt();
    assert.equal(regs[RBX], 0xcafen);
    // the worker has the page after as many instructions as the cost model has cycles for it; task B's loop has two
    assert.ok((regs[R15] ?? 0n) > 119_000n && (regs[R15] ?? 0n) < 121_000n, String(regs[R15]));
    assert.deepEqual(told(g), [
      'kvm_arch_async_page_present',
      'kvm_arch_setup_async_pf',
      'kvm_arch_async_page_not_present',
      'async_pf_execute',
      'do_swap_page',
      'kvm_arch_async_page_present',
    ]);
    assert.equal(g.exits['EPT_VIOLATION'], 12);
  });

  it('under nested and shadow paging too; there the page is mapped ahead for the address space that asked', () => {
    for (const options of [NPT, MODERN]) {
      const g = example((s) => s, options);
      const regs = g.halt();
      assert.equal(regs[RBX], 0xcafen);
      assert.ok((regs[R15] ?? 0n) > 119_000n && (regs[R15] ?? 0n) < 121_000n, String(regs[R15]));
      assert.deepEqual(told(g).slice(1), [
        'kvm_arch_setup_async_pf',
        'kvm_arch_async_page_not_present',
        'async_pf_execute',
        'do_swap_page',
        'kvm_arch_async_page_present',
      ]);
    }
  });

  it('under shadow paging leave the page alone where the guest is in another address space by then', () => {
    // task B runs with another CR3, of the same tables: the page is mapped when task A asks again
    const faults = (edit: (source: string) => string): number => {
      const g = example(edit, MODERN);
      assert.equal(g.halt()[RBX], 0xcafen);
      return g.stats['fault_hidden'] ?? 0;
    };
    const elsewhere = (source: string): string =>
      source
        .replace(
          'xor     r15, r15',
          'xor r15, r15\n mov rax, cr3\n mov rsi, rax\n mov edi, 0x200000\n mov ecx, 512\n rep movsq\n mov r14, rax',
        )
        .replace('task_b:', 'task_b: mov eax, 0x200000\n mov cr3, rax\n.again:')
        .replace('jmp     task_b\n\npage_fault', 'jmp .again\n\npage_fault')
        .replace('mov     rsp, [stack_a]', 'mov cr3, r14\n mov rsp, [stack_a]');
    const here = (source: string): string => elsewhere(source).replace('mov eax, 0x200000\n', 'mov rax, r14\n');
    assert.ok(faults(elsewhere) > faults(here));
  });

  it('is the same stepped as run, and from a snapshot in the middle', () => {
    const whole = example();
    whole.halt();
    const cut = example();
    while (cut.machine.instructions < 200_000n) cut.machine.run(4_999);
    const saved = cut.machine.save();
    cut.machine.run(100_000);
    cut.machine.restore(saved);
    cut.halt();
    assert.deepEqual(
      [cut.gprs(), cut.exits, cut.machine.instructions],
      [whole.gprs(), whole.exits, whole.machine.instructions],
    );
  });

  it('let a guest that wants none in its kernel sleep: no #PF, and time passes', () => {
    const g = example((s) => s.replace('shared + 0xb', 'shared + 0x9'));
    const regs = g.halt();
    assert.deepEqual([regs[RBX], regs[R15]], [0xcafen, 0n]);
    assert.deepEqual(told(g).slice(1), [
      'kvm_arch_setup_async_pf',
      'kvm_arch_async_page_not_present',
      'kvm_vcpu_block',
      'async_pf_execute',
      'do_swap_page',
    ]);
    assert.ok(g.machine.vcpu.hostTsc > 240_000n);
    assert.ok(g.machine.instructions < 1000n);
  });

  it('let a guest that never asked sleep too, and with interrupts off wait where it stands', () => {
    const sleeps = new Guest('mov qword [0x300000], 5\n sti\n nop\n nop\n mark: mov rbx, [0x300000]\n cli\n hlt');
    const waits = new Guest('mov qword [0x300000], 5\n nop\n nop\n nop\n mark: mov rbx, [0x300000]\n cli\n hlt');
    for (const g of [sleeps, waits]) {
      g.machine.cpu.breakpoints.add(g.symbols.get('mark') ?? 0n);
      g.stop();
      swapOut(g, 0x30_0000n);
      g.machine.cpu.breakpoints.clear();
      assert.equal(g.halt()[RBX], 5n);
    }
    assert.ok(told(sleeps).includes('kvm_vcpu_block'));
    assert.deepEqual(told(waits), ['do_swap_page']);
  });

  it('refuse what the MSRs do not take, and are not there in 2.6.20', () => {
    const write = (msr: number, value: string): string =>
      `mov ecx, ${msr}\n mov eax, ${value}\n xor edx, edx\n wrmsr\n`;
    const faults = (body: string, options: Partial<MachineOptions> = {}): boolean => {
      const g = new Guest(`${body}\n hlt`, 'flat64', options);
      return g.end().kind === 'triple-fault';
    };
    const [EN, INT, ACK] = [0x4b56_4d02, 0x4b56_4d06, 0x4b56_4d07];
    assert.equal(faults(write(EN, '0x20000b') + write(INT, '0xff') + write(ACK, '1')), false);
    assert.equal(faults(write(EN, '0x20001b')), true, 'bit 4 is reserved');
    assert.equal(faults(write(EN, '0x20000f')), true, 'there is no nested virtualization');
    assert.equal(faults(write(EN, '0x7000000b')), true, 'no memslot holds the shared bytes');
    assert.equal(faults(write(INT, '0x100')), true, 'a vector is 8 bits');
    assert.equal(faults(write(EN, '0'), CLASSIC), true);
    const features = (options: Partial<MachineOptions>): bigint | undefined =>
      new Guest('mov eax, 0x40000001\n cpuid\n hlt', 'flat64', options).halt()[0];
    assert.equal(features({}), 0x4010n);
    for (const options of [NPT, MODERN]) assert.equal(features(options), 0x4010n);
    assert.equal(features(CLASSIC), 0n);
  });
});
