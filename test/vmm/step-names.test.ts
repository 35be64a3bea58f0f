/** Steps have the names of the software that each method models: KVM of Linux 2.6.20 or of today, QEMU's memory API where no KVM is. */
import * as assert from 'node:assert/strict';
import { gpa } from '../../src/base/address';
import { RENAMED_SINCE } from '../../src/kvm/classic-names';
import { MemoryRegions } from '../../src/vmm/memory-regions';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from './support/guest';
import { FIND_PTE } from './support/find-pte';

const SHADOW = { mmu: 'shadow', hostBase: 0x4000_0000n } as const;
const CLASSIC: Partial<MachineOptions> = { ...SHADOW, shadow: 'classic' };
const MODERN: Partial<MachineOptions> = { ...SHADOW, shadow: 'modern' };

/** Reads a clean page, writes it, writes its table, loads CR3, takes a #PF of its own, does I/O, CPUID, MSRs and MMIO. */
const BUSY = `
  ${FIND_PTE}
  mov al, [rcx]
  mov [rcx], al
  mov qword [rdi + 8*8], 0
  mov qword [rdi + 9*8], 0x8000003
  mov al, [rcx + 0x9000]
  mov [rcx + 0x9000], al
  mov rax, cr3
  mov cr3, rax
  mov eax, 1
  cpuid
  mov ecx, 0xc0000080
  rdmsr
  wrmsr
  mov dx, 0x80
  out dx, al
  in al, dx
  ud2`;

const kvmSteps = (g: Guest): readonly string[] => g.steps.filter((s) => s.actor === 'kvm').map((s) => s.fn);

describe('names of steps', () => {
  it('classic shadow paging: those of 2.6.20', () => {
    for (const [source, start] of [
      [BUSY, 'flat64'],
      ['int 0x10\nhlt', 'flat16'],
      ['mov eax, cr0\nand eax, 0x7fffffff\nmov cr0, eax\nmov eax, [0x500000]\nhlt', 'flat32'],
    ] as const) {
      const g = new Guest(source, start, CLASSIC);
      g.end();
      const names = kvmSteps(g);
      assert.deepEqual(
        names.filter((fn) => RENAMED_SINCE.has(fn)),
        [],
      );
      if (start !== 'flat64') continue;
      for (const fn of [
        'kvm_handle_exit',
        'kvm_mmu_page_fault',
        'walk_addr',
        'fetch',
        'kvm_mmu_alloc_page',
        'set_pte',
        'fix_write_pf',
        'kvm_mmu_pre_write',
        'emulate_instruction',
        'x86_emulate_memop',
        'mmu_alloc_roots',
        'vmx_set_cr3',
        'vmx_flush_tlb',
        'handle_cpuid',
        'handle_rdmsr',
        'handle_wrmsr',
        'handle_io',
        'emulator_read_emulated',
        'emulator_write_emulated',
        'kvm_dev_ioctl_run',
      ])
        assert.ok(names.includes(fn), `${fn} among ${[...new Set(names)].join(' ')}`);
    }
  });
  it('the first write through a clean entry of classic shadow tables: walk_addr, fetch, fix_write_pf', () => {
    const g = new Guest(`${FIND_PTE}\nmov al, [rcx]\nhere: mov [rcx], al\nhlt`, 'flat64', CLASSIC);
    g.end();
    const write = g.steps.findIndex((s) => s.fn === 'fix_write_pf');
    const from = g.steps
      .slice(0, write)
      .map((s) => s.fn)
      .lastIndexOf('kvm_mmu_page_fault');
    const between = g.steps
      .slice(from, write + 1)
      .filter((s) => s.actor === 'kvm')
      .map((s) => s.fn);
    assert.deepEqual(between, ['kvm_mmu_page_fault', 'walk_addr', 'gfn_to_memslot', 'fetch', 'fix_write_pf']);
  });
  it('modern shadow paging and EPT: those of today', () => {
    const g = new Guest(BUSY, 'flat64', MODERN);
    g.end();
    const names = new Set(kvmSteps(g));
    for (const fn of ['vmx_handle_exit', 'kvm_handle_page_fault', 'fetch', 'mmu_set_spte', 'mark_mmio_spte'])
      assert.ok(names.has(fn), fn);
    assert.ok(names.has('mmu_alloc_shadow_roots'));
    for (const fn of ['set_pte', 'fix_write_pf', 'kvm_handle_exit']) assert.ok(!names.has(fn), fn);
  });
  it('software translation: memory regions of QEMU, and no ioctl of KVM', () => {
    const changes = (options: Partial<MachineOptions>): readonly string[] => {
      const g = new Guest('hlt', 'flat64', options);
      g.steps.length = 0;
      const { machine } = g;
      const regions = new MemoryRegions(machine.ram, machine.host);
      assert.ok(machine.perform(regions.add(2, gpa(0x800_0000n), 0x1000n, false)).ok);
      assert.ok(machine.perform(regions.setReadonly(2, true)).ok);
      assert.ok(machine.perform(regions.move(2, gpa(0x900_0000n))).ok);
      assert.ok(machine.perform(regions.setLogging(0, true)).ok);
      assert.ok(machine.perform(regions.dirtyPages(0)).ok);
      assert.ok(machine.perform(regions.remove(2)).ok);
      return g.steps.filter((s) => s.actor === 'vmm').map((s) => s.fn);
    };
    const software = changes({ mmu: 'software' });
    assert.deepEqual(
      software.filter((fn) => fn !== 'tcg_commit'),
      [
        'qemu_ram_mmap',
        'memory_region_add_subregion',
        'memory_region_del_subregion',
        'memory_region_add_subregion',
        'memory_region_set_address',
        'memory_region_set_log',
        'memory_region_snapshot_and_clear_dirty',
        'tlb_reset_dirty',
        'memory_region_del_subregion',
      ],
    );
    assert.ok(changes({ mmu: 'ept' }).includes('KVM_SET_USER_MEMORY_REGION'));
  });
});
