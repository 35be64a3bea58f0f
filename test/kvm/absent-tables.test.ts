/**
 * Guest page tables where no RAM is. What decided each answer:
 *
 *   EPT, NPT   the walk's access to the table exits; no slot is there, so KVM marks the GPA as MMIO and emulates the instruction (kvm_handle_noslot_fault). The emulator's own walk
 *              ends at kvm_is_visible_memslot: FNAME(walk_addr) gives the error code of an entry that is not present, and the guest gets that #PF. Its delivery, if the IDT has
 *              a gate for it, meets the same tables, and no instruction is there to be emulated: KVM_INTERNAL_ERROR_DELIVERY_EV
 *   modern     the same walk_addr, after a #PF of the hardware's; delivery only leads to more of them
 *   classic    2.6.20's set_cr3 refuses a CR3 that maps to no slot with #GP
 *   software   QEMU's TCG reads unassigned memory as zero (checked against qemu-system-i386: #PF, error code 0, then a triple fault)
 *
 * A processor reads all ones from an address that nobody answers, so that a bare machine does something else again.
 */
import * as assert from 'node:assert/strict';
import { gpa } from '../../src/base/address';
import { must } from '../../src/base/assert';
import { drain } from '../../src/trace/step';
import { slotHva } from '../../src/kvm/memslots';
import type { MachineEnd } from '../../src/vmm/machine-stop';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from '../vmm/support/guest';
import { METHODS, METHOD_NAMES, type MethodName } from './support/methods';

const RCX = 1;
const RDX = 2;
const RBX = 3;
const RBP = 5;

/** #GP and #PF leave vector, error code and CR2 in EBP, EBX and ECX, and halt. */
const HANDLERS = `
  mov eax, gp
  mov [0x2000 + 13 * 8], ax
  mov dword [0x2000 + 13 * 8 + 2], 8
  mov dword [0x2000 + 13 * 8 + 4], 0x108e00
  mov eax, pf
  mov [0x2000 + 14 * 8], ax
  mov dword [0x2000 + 14 * 8 + 2], 8
  mov dword [0x2000 + 14 * 8 + 4], 0x108e00
  lidt [idtr]
  jmp test
idtr:
  dw 0x7ff
  dd 0x2000
gp:
  mov ebp, 13
  pop ebx
  hlt
pf:
  mov ebp, 14
  pop ebx
  mov ecx, cr2
  hlt
test:
`;

function make(method: MethodName, source: string, options: Partial<MachineOptions> = {}): Guest {
  return new Guest(source, 'flat32', { ...METHODS[method], memory: 16n << 20n, ...options });
}
/** Vector, error code and CR2 of what the handlers saw. */
function handled(guest: Guest): readonly bigint[] {
  const r = guest.halt();
  return [r[RBP] ?? 0n, r[RBX] ?? 0n, r[RCX] ?? 0n];
}
const end = (method: MethodName, source: string): MachineEnd => make(method, source).end();

/** A page directory entry that leads to GPA 0x8000000, where the hole is, or to the local APIC. */
const pdeTo = (table: string): string => `${HANDLERS}\nmov eax, cr3\nmov dword [eax + 0x100 * 4], ${table} | 3\n`;

describe('guest page tables where no RAM is', () => {
  for (const method of METHOD_NAMES) {
    for (const [where, table] of [
      ['a hole', '0x8000000'],
      ['the local APIC', '0xfee00000'],
    ] as const) {
      it(`${method}: a page table in ${where}: #PF, not present`, () => {
        const read = make(method, `${pdeTo(table)}mov edx, [0x40001234]\nhlt`);
        assert.deepEqual(handled(read), [14n, 0n, 0x4000_1234n]);
        const write = make(method, `${pdeTo(table)}mov [0x40001238], edx\nhlt`);
        assert.deepEqual(handled(write), [14n, 2n, 0x4000_1238n]);
      });
    }

    it(`${method}: a page directory in a hole, without an IDT: a triple fault`, () => {
      const guest = make(method, 'mov eax, 0x8000000\nload: mov cr3, eax\nnext: nop\nhlt');
      const ended = guest.end();
      assert.equal(ended.kind, 'triple-fault', ended.why);
      assert.equal(ended.rip, guest.symbols.get(method === 'shadow:classic' ? 'load' : 'next'));
    });
    it(`${method}: the same with an IDT`, () => {
      const source = `${HANDLERS}mov eax, 0x8000000\nmov cr3, eax\nnop\nhlt`;
      if (method === 'shadow:classic') return assert.deepEqual(handled(make(method, source)), [13n, 0n, 0n]);
      const ended = end(method, source);
      if (method !== 'ept' && method !== 'npt') return assert.equal(ended.kind, 'triple-fault', ended.why);
      assert.equal(ended.kind, 'internal-error');
      assert.match(ended.why, /DELIVERY_EV/);
    });

    it(`${method}: PDPTEs of PAE paging in a hole`, () => {
      // PDPT at 0x3000, page directory at 0x4000: 16 MiB by large pages
      const large = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `mov dword [0x4000 + ${i} * 8], 0x83 + ${i} * 0x200000`);
      const source = `${HANDLERS}
        mov dword [0x3000], 0x4001
        ${large.join('\n')}
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov eax, 0x20
        mov cr4, eax
        mov eax, 0x3000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        mov eax, 0x8000000
        mov cr3, eax
        nop
        hlt`;
      // a load of CR3 loads the PDPTEs (SDM vol. 3, 4.4.1), and load_pdptrs fails: #GP. NPT and TCG read them when they are needed
      if (method !== 'npt' && method !== 'software')
        return assert.deepEqual(handled(make(method, source)), [13n, 0n, 0n]);
      const ended = end(method, source);
      assert.equal(ended.kind, method === 'npt' ? 'internal-error' : 'triple-fault', ended.why);
    });

    it(`${method}: a page table in a read-only slot keeps its flags, and the walk goes on`, () => {
      const ram = { gpa: 0n, size: 16n << 20n, readonly: false };
      const rom = { gpa: 0x200_0000n, size: 0x1000n, readonly: true };
      const guest = make(method, `mov dword [0x50234], 0x11\n${pdeTo('0x2000000')}mov edx, [0x40001234]\nhlt`, {
        slots: [ram, rom],
      });
      const entry = new Uint8Array(8);
      new DataView(entry.buffer).setUint32(4, 0x5_0003, true);
      const slot = must(guest.machine.ram.memslots.find(gpa(rom.gpa)), 'the read-only slot');
      assert.ok(drain(guest.machine.host.write(slotHva(slot, gpa(rom.gpa)), entry)).ok);
      assert.equal(guest.halt()[RDX], 0x11n);
      assert.equal(guest.qword(rom.gpa) >> 32n, 0x5_0003n);
    });
  }
});
