/** Entries bit by bit, as each generation's kernel makes them: set_pte_common, nonpaging_map and fetch of 2.6.20 (drivers/kvm), make_mmio_spte of arch/x86/kvm/mmu/spte.c. */
import * as assert from 'node:assert/strict';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';

const SHADOW = { mmu: 'shadow', hostBase: 0x1000_0000n, hostMemory: 256 << 20, memory: 16n << 20n } as const;
const CLASSIC: Partial<MachineOptions> = { ...SHADOW, shadow: 'classic' };
const MODERN: Partial<MachineOptions> = { ...SHADOW, shadow: 'modern' };

/** The shadow entries for `linear`, root first. */
const shadow = (g: Guest, linear: bigint): readonly string[] =>
  (g.machine.vm.shadow?.read(linear) ?? []).map((e) => e.value.toString(16));
/** Flags of the last of them: bits 11 to 0 and 63. */
const leafFlags = (g: Guest, linear: bigint): string => {
  const value = g.machine.vm.shadow?.read(linear).at(-1)?.value ?? 0n;
  return (value & 0x8000_0000_0000_0fffn).toString(16);
};
function runTo(source: string, label: string, start: 'flat32' | 'flat64', options: Partial<MachineOptions>): Guest {
  const g = new Guest(source, start, options);
  g.machine.accelerator.cpu.breakpoints.add(g.symbols.get(label) ?? 0n);
  assert.equal(g.stop().kind, 'breakpoint');
  return g;
}
const on = (g: Guest, label: string): Guest => {
  g.machine.accelerator.cpu.breakpoints.clear();
  g.machine.accelerator.cpu.breakpoints.add(g.symbols.get(label) ?? 0n);
  assert.equal(g.stop().kind, 'breakpoint');
  return g;
};

/** PAE tables at 0x300000: 2 MiB one to one, and GVA 0x8000000 + 0x4c000 to GPA 0xc0000 with `flags`. */
const pae = (flags: number): string => `
  mov dword [0x300000], 0x301001
  mov dword [0x301000], 0x302003
  mov dword [0x301000 + 8*0x40], 0x303007
  mov dword [0x303000 + 8*0x4c], 0xc0000 + ${flags}
  mov edi, 0x302000
  mov eax, 3
fill: mov [edi], eax
  mov dword [edi + 4], 0
  add eax, 0x1000
  add edi, 8
  cmp eax, 0x200003
  jb fill
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, 0x300000
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  mov ebx, 0x804c000
  mov eax, [ebx]
read: nop
  mov [ebx], eax
written: hlt`;

describe('classic shadow entries (2.6.20)', () => {
  it('copies of R/W and U/S in bits 10 and 11 while the page is clean; the first write adds R/W and D', () => {
    const g = runTo(pae(7), 'read', 'flat32', {
      ...CLASSIC,
      placements: [{ hva: 0x7f5a_000c_0000n, hpa: 0x1a2b_3000n }],
    });
    assert.equal(shadow(g, 0x804c000n).at(-1), '1a2b3c25');
    assert.equal(shadow(on(g, 'written'), 0x804c000n).at(-1), '1a2b3c67');
  });
  it('a supervisor page has no copy of U/S, a read-only one none of R/W', () => {
    assert.equal(leafFlags(runTo(pae(3), 'read', 'flat32', CLASSIC), 0x804c000n), '421');
    assert.equal(leafFlags(runTo(pae(5), 'read', 'flat32', CLASSIC), 0x804c000n), '825');
  });
  it('with CR0.WP = 0 a write to a read-only user page takes U/S away and leaves both copies; the guest’s D is copied', () => {
    const g = runTo(pae(5), 'written', 'flat32', CLASSIC);
    assert.equal(leafFlags(g, 0x804c000n), '863');
  });
  it('the guest’s G', () => assert.equal(leafFlags(runTo(pae(0x107), 'read', 'flat32', CLASSIC), 0x804c000n), 'd25'));
  it('without paging entries are bare, and hardware sets A and D', () => {
    const source = `
      mov eax, cr0
      and eax, 0x7fffffff
      mov cr0, eax
      mov eax, [0x500000]
      here: nop
      hlt`;
    const g = runTo(source, 'here', 'flat32', CLASSIC);
    const entries = shadow(g, 0x500000n);
    assert.deepEqual(
      entries.map((e) => (BigInt(`0x${e}`) & 0xfffn).toString(16)),
      ['1', '27', '27'],
    );
  });
  it('a large guest page: PT_SHADOW_PS_MARK on the entry above', () => {
    const source = `
      mov rax, cr3
      mov rbx, 0x000ffffffffff000
      or qword [rax], 4
      mov rax, [rax]
      and rax, rbx
      or qword [rax], 4
      mov rax, [rax]
      and rax, rbx
      mov qword [rax + 3*8], 0x600087
      invlpg [0x600000]
      mov rcx, [0x600000]
      here: nop
      hlt`;
    const entries = shadow(runTo(source, 'here', 'flat64', CLASSIC), 0x60_0000n).map((e) => BigInt(`0x${e}`) & 0xfffn);
    assert.deepEqual(entries.slice(2), [0x227n, 0xc25n]);
  });
});

/** GPA 0x8000000, which no slot has, through a PTE with `flags` in the prepared table of 2 MiB at 0x200000. */
const mmio = (flags: number): string => `
  mov rax, cr3
  mov rbx, 0x000ffffffffff000
  or qword [rax], 4
  mov rax, [rax]
  and rax, rbx
  or qword [rax], 4
  mov rax, [rax]
  and rax, rbx
  or qword [rax + 8], 4
  mov rdi, [rax + 8]
  and rdi, rbx
  mov qword [rdi], 0x8000000 + ${flags}
  invlpg [0x200000]
  mov eax, [0x200000]
  here: nop
  hlt`;

describe('MMIO entries', () => {
  it('classic: P clear, bit 9, and what any entry copies of the guest’s', () => {
    const g = runTo(mmio(7), 'here', 'flat64', CLASSIC);
    assert.equal(shadow(g, 0x20_0000n).at(-1), (0x8000000 + 0xe24).toString(16));
  });
  it('modern shadow: the generation, and R/W and U/S of the translation', () => {
    const generation = BigInt(new Guest('hlt', 'flat64', MODERN).machine.vm.memslots.generation) << 3n;
    const value = (flags: number, bits: bigint): void =>
      assert.equal(
        shadow(runTo(mmio(flags), 'here', 'flat64', MODERN), 0x20_0000n).at(-1),
        ((1n << 51n) | 0x8000000n | generation | bits).toString(16),
        `guest flags ${flags}`,
      );
    value(0x47, 7n);
    value(7, 5n);
    value(0x43, 3n);
    value(3, 1n);
  });
  it('nested paging: everything is allowed there, …7', () => {
    const g = runTo(mmio(7), 'here', 'flat64', { mmu: 'npt', cpu: 'pagewalk-svm', memory: 16n << 20n });
    const generation = BigInt(g.machine.vm.memslots.generation) << 3n;
    assert.equal(g.epte(0x8000000n), (1n << 51n) | 0x8000000n | generation | 7n);
  });
  it('EPT: write and execute without read', () => {
    const g = runTo(mmio(7), 'here', 'flat64', { mmu: 'ept', memory: 16n << 20n });
    const generation = BigInt(g.machine.vm.memslots.generation) << 3n;
    assert.equal(g.epte(0x8000000n), 0x8000000n | generation | 6n);
  });
});
