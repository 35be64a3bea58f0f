/**
 * What is cached does not outlive a change of paging mode. A guest without paging uses translations of its linear addresses too (combined mappings, SDM vol. 3, 28.4.2), tagged as those
 * with paging are: where CR0.PG is set, KVM flushes them by kvm_mmu_reset_context, and a bare processor by the MOV to CR0 itself (12.9).
 */
import * as assert from 'node:assert/strict';
import { Guest } from '../vmm/support/guest';
import { METHODS, METHOD_NAMES, type MethodName } from './support/methods';

const RDX = 2;
const PTE_A = 0x20n;

/** Identity map of the first 4 MiB by a page table at 0x301000 below the page directory at 0x300000, and paging off. */
const TABLES = `
  mov dword [0x300000], 0x301003
  mov edi, 0x301000
  mov eax, 3
.fill:
  mov [edi], eax
  add eax, 0x1000
  add edi, 4
  cmp eax, 0x400003
  jb .fill
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax`;
const PAGING_ON = `
  mov eax, 0x300000
  mov cr3, eax
  mov ecx, [0x50000]
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax`;

function check(method: MethodName, source: string): Guest {
  return new Guest(source, 'flat32', { ...METHODS[method], memory: 16n << 20n });
}

describe('a change of paging mode', () => {
  for (const method of METHOD_NAMES) {
    it(`${method}: translations made without paging are not used with it`, () => {
      const guest = check(
        method,
        `mov dword [0x50000], 0x11
        mov dword [0x60000], 0x22
        ${TABLES}
        mov dword [0x301000 + 0x50 * 4], 0x60003
        mov ebx, [0x50000]
        ${PAGING_ON}
        mov edx, [0x50000]
        hlt`,
      );
      assert.equal(guest.halt()[RDX], 0x22n);
      // the page that runs was walked again: its entry has the accessed flag
      assert.equal(guest.qword(0x301000n + 0x100n * 4n) & PTE_A, PTE_A);
    });
    it(`${method}: an empty page directory is a triple fault at the next fetch`, () => {
      const guest = check(method, `${TABLES}\nmov dword [0x300000], 0\n${PAGING_ON}\nnext: nop\nhlt`);
      const end = guest.end();
      assert.equal(end.kind, 'triple-fault', end.why);
      assert.equal(end.rip, guest.symbols.get('next'));
    });
  }
});

/** Which changes of role bits flush under hardware-assisted paging (kvm_post_set_cr0, kvm_post_set_cr4, set_efer), by the functions in their exits' Steps. */
describe('kvm_mmu_reset_context under EPT', () => {
  const flushes = (change: string): readonly string[] => {
    const guest = check('ept', `${change}\nhlt`);
    guest.halt();
    return guest.steps.map((s) => s.fn).filter((fn) => fn.startsWith('vmx_flush_tlb'));
  };
  const cr = (n: 0 | 4, bit: number): string => `mov eax, cr${n}\nxor eax, 1 << ${bit}\nmov cr${n}, eax`;
  const CURRENT = 'vmx_flush_tlb_current';
  const GUEST = 'vmx_flush_tlb_guest';
  for (const [name, change, expected] of [
    ['CR0.PG 1 to 0', cr(0, 31), [CURRENT, GUEST]],
    ['CR0.PG 1 to 0 to 1', cr(0, 31) + '\n' + cr(0, 31), [CURRENT, GUEST, CURRENT]],
    // WP is the guest's own, and no part of what EPT entries say
    ['CR0.WP', cr(0, 16), []],
    ['CR0.WP with CR0.CD, which exits', 'mov eax, cr0\nxor eax, 0x40010000\nmov cr0, eax', [CURRENT]],
    ['CR0.AM', cr(0, 18), []],
    ['CR4.PSE', cr(4, 4), [CURRENT]],
    ['CR4.SMEP', cr(4, 20), [CURRENT]],
    ['CR4.SMAP', cr(4, 21), [CURRENT]],
    ['CR4.UMIP', cr(4, 11), []],
    // PGE is the guest's own: the processor flushes
    ['CR4.PGE', cr(4, 7), []],
    ['EFER.NXE', 'mov ecx, 0xc0000080\nrdmsr\nor eax, 0x800\nwrmsr', [CURRENT]],
    ['EFER.SCE', 'mov ecx, 0xc0000080\nrdmsr\nor eax, 1\nwrmsr', []],
  ] as const)
    it(`${name}: ${expected.join(', ') || 'no flush'}`, () => {
      assert.deepEqual(flushes(change), expected);
    });
});
