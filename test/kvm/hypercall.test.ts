/** The other vendor's hypercall: emulator_fix_hypercall, em_hypercall and their flags in the decode tables (arch/x86/kvm/x86.c, emulate.c). */
import assert from 'node:assert/strict';
import { Guest, LAST_LEVEL } from '../vmm/support/guest';
import type { MachineOptions, StartKind } from '../../src/vmm/options';

const METHODS = {
  ept: { machine: { mmu: 'ept' }, foreign: 'vmmcall', patched: 0xc1_010fn, exit: 'VMCALL', ud: 'EXCEPTION_NMI' },
  modern: {
    machine: { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n },
    foreign: 'vmmcall',
    patched: 0xc1_010fn,
    exit: 'VMCALL',
    ud: 'EXCEPTION_NMI',
  },
  npt: {
    machine: { mmu: 'npt', cpu: 'pagewalk-svm' },
    foreign: 'vmcall',
    patched: 0xd9_010fn,
    exit: 'VMMCALL',
    ud: 'EXCP6',
  },
} as const satisfies Readonly<Record<string, { readonly machine: Partial<MachineOptions> } & Record<string, unknown>>>;
type Method = keyof typeof METHODS;
const ALL = Object.keys(METHODS) as Method[];

/** Handlers of #UD and #PF that put the vector into R15 and the error code of #PF into R14. */
const HANDLERS = `
  lidt [idtr]
  jmp main
ud: mov r15d, 6
  hlt
pf: mov r15d, 14
  pop r14
  hlt
gp: mov r15d, 13
  pop r14
  hlt
idtr: dw 16 * 16 - 1
  dq idt
align 16
idt: times 6 dq 0, 0
  dw (ud - $$) & 0xffff, 8, 0x8e00, 0x10, 0, 0, 0, 0
  times 6 dq 0, 0
  dw (gp - $$) & 0xffff, 8, 0x8e00, 0x10, 0, 0, 0, 0
  dw (pf - $$) & 0xffff, 8, 0x8e00, 0x10, 0, 0, 0, 0
  times 2 dq 0, 0
main:`;

function check(method: Method, source: string, start: StartKind = 'flat64'): Guest {
  const guest = new Guest(source.replaceAll('FOREIGN', METHODS[method].foreign), start, METHODS[method].machine);
  guest.halt();
  return guest;
}

describe("the other vendor's hypercall", () => {
  for (const method of ALL) {
    const m = METHODS[method];
    it(`${m.foreign} under ${method}: #UD exits, KVM patches it, and the processor executes ${m.exit}`, () => {
      const guest = check(
        method,
        `mov eax, 1
         call twice
         call twice
         mov r8, rax
         mov eax, 999
       there: FOREIGN
         hlt
       twice: FOREIGN
         mov eax, 1
         ret`,
      );
      const gprs = guest.gprs();
      assert.deepEqual([gprs[8], BigInt.asIntN(64, gprs[0] ?? 0n)], [1n, -1000n]);
      // patched once each, then the hypercall exits each time
      const { exits } = guest;
      assert.equal(guest.steps.filter((s) => s.fn === 'emulator_fix_hypercall').length, 2);
      assert.equal(exits[m.exit], 3);
      for (const name of ['there', 'twice'])
        assert.equal(guest.qword(guest.symbols.get(name) ?? 0n) & 0xff_ffffn, m.patched, name);
      if (method !== 'modern') assert.equal(exits[m.ud], 2);
    });
    it(`${m.foreign} under ${method} in a page that the guest may not write: #PF of the patch, and without CR0.WP none`, () => {
      // the last level of the prepared map, found by walking it
      const readOnly = `
        ${LAST_LEVEL}
        and qword [rbx + 0x101 * 8], ~2
        invlpg [0x101000]`;
      const code = `times 0x1000 - ($ - $$) nop
        there: FOREIGN
        mov r15d, 1
        hlt`;
      const wp = `mov rax, cr0
        or eax, 0x10000
        mov cr0, rax`;
      const refused = check(method, `${HANDLERS}\n${readOnly}\n${wp}\njmp there\n${code}`);
      // write to a present page
      assert.deepEqual(refused.gprs().slice(14), [3n, 14n]);
      const patched = check(method, `${HANDLERS}\n${readOnly}\nmov eax, 1\njmp there\n${code}`);
      assert.equal(patched.gprs()[15], 1n);
    });
  }
  it('another invalid opcode stays the guest’s', () => {
    for (const method of ALL) {
      const guest = check(method, `${HANDLERS}\nud2\nmov r15d, 1\nhlt`);
      assert.equal(guest.gprs()[15], 6n, method);
    }
  });
  it('VMMCALL has Prot: in real mode it is #UD, and nothing is patched', () => {
    const guest = check(
      'ept',
      `mov word [6 * 4], ud
       mov word [6 * 4 + 2], 0
       there: vmmcall
       mov bx, 1
       hlt
     ud: mov bx, 6
       hlt`,
      'flat16',
    );
    assert.equal(guest.gprs()[3], 6n);
    assert.equal(guest.qword(guest.symbols.get('there') ?? 0n) & 0xff_ffffn, 0xd9_010fn);
  });
});
