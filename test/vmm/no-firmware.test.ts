/** Guests that start where a PC's BIOS would be: one sector is loaded, and what nobody serves is named for what it was. */
import assert from 'node:assert/strict';
import { Guest } from './support/guest';
import type { MachineOptions } from '../../src/vmm/options';

const METHODS: Readonly<Record<string, Partial<MachineOptions>>> = {
  ept: { mmu: 'ept' },
  npt: { mmu: 'npt', cpu: 'pagewalk-svm' },
  classic: { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n },
  software: { mmu: 'software' },
};

/** Runs a boot sector under every method; `why`: what its end says. `{label}` stands for the label's offset in hex. */
function check(source: string, why: string): void {
  for (const [method, options] of Object.entries(METHODS)) {
    const guest = new Guest(`${source}\ntimes 510-($-$$) db 0\ndw 0xaa55`, 'boot', options);
    const end = guest.end();
    const expected = why.replace(/\{(\w+)\}/g, (_, name: string) =>
      (guest.symbols.get(name) ?? 0n).toString(16).toUpperCase().padStart(4, '0'),
    );
    assert.deepEqual([end.kind, end.code, end.why], ['internal-error', 8, expected], method);
  }
}

/** What led there, as the report's `reason` has it, under every method. */
function reason(source: string, expected: readonly string[]): void {
  for (const [method, options] of Object.entries(METHODS)) {
    const { reason: told = [] } = new Guest(`${source}\ntimes 510-($-$$) db 0\ndw 0xaa55`, 'boot', options).end();
    assert.deepEqual(
      told.map((r) => `${r.event} at ${r.rip.toString(16)}: ${r.why}`),
      expected,
      method,
    );
  }
}

describe('no firmware', () => {
  it('the end carries the exception and the check that failed; a jump to a stub, and INT n, have none', () => {
    reason('xor cx, cx\nhere: div cx', ['#DE at 7c02: DIV: the divisor is zero (SDM vol. 2, DIV)']);
    reason('mov bx, 0xffff\nhere: mov ax, [bx]', [
      '#GP at 7c03: DS limit 65535 is below the end of 2 bytes at offset 0xffff (SDM vol. 3, 5.3)',
    ]);
    reason('jmp 0xffff:0', []);
    // 10h is the vector of #MF too
    reason('mov ax, 0x0e41\nint 0x10', []);
    reason('mov ah, 2\nint 0x0d', []);
  });

  it('loads one sector of a boot disk', () => {
    for (const options of Object.values(METHODS)) {
      const sectors =
        "mov ax, [0x7dfe]\nmov bx, [0x7e00]\nhlt\ntimes 510-($-$$) db 0\ndw 0xaa55\ndb 'ZZ'\ntimes 0x78000 db 0xcc";
      // enough of them to reach the stubs and the reset vector
      const gprs = new Guest(sectors, 'boot', options).halt();
      assert.deepEqual([gprs[0], gprs[3]], [0xaa55n, 0n]);
    }
  });
  it('INT n is a call of the BIOS', () => {
    check(
      'mov ax, 0x0e41\nint 0x10\nafter: hlt',
      'INT 10h with AH = 0Eh: there is no BIOS yet to serve it (the call returns to 0000:{after})',
    );
    // vectors that are exceptions' too: the processor knows that this was an instruction
    check(
      'mov ah, 2\nint 0x0d\nafter: hlt',
      'INT 0Dh with AH = 02h: there is no BIOS yet to serve it (the call returns to 0000:{after})',
    );
  });
  it('an exception is one, at its CS:IP', () => {
    const none = (vector: string): string => `the guest has no handler for vector ${vector}h, and there is no BIOS yet`;
    check('xor cx, cx\nhere: div cx', `#DE at 0000:{here}: ${none('00')}`);
    check(
      'jmp 0x7b0:0x100 + there - $$\nthere: ud2',
      `#UD at 07B0:${(0x100 + 5).toString(16).padStart(4, '0')}: ${none('06')}`,
    );
    check('mov bx, 0xffff\nhere: mov ax, [bx]', `#GP at 0000:{here}: ${none('0D')}`);
    check('int3\nafter: hlt', `#BP by INT3, INTO or INT1 before 0000:{after}: ${none('03')}`);
    check('pushf\npop ax\nor ah, 1\npush ax\npopf\nnop\nafter: hlt', `#DB at 0000:{after}: ${none('01')}`);
  });
  it('an interrupt from outside is one', () => {
    // the local APIC in x2APIC mode, which real mode reaches by MSRs: an interrupt to itself
    const source = `mov ecx, 0x1b
      rdmsr
      or ax, 0xc00
      wrmsr
      xor edx, edx
      mov ecx, 0x80f
      mov eax, 0x1ff
      wrmsr
      mov ecx, 0x83f
      mov eax, 0x21
      wrmsr
      sti
      nop
    here: jmp here`;
    check(
      source,
      'external interrupt 21h at 0000:{here}: the guest has no handler for vector 21h, and there is no BIOS yet',
    );
  });
  it('a stub that the guest itself jumps or calls to', () => {
    check(
      'pushf\ncall far [0x10 * 4]',
      'a jump or call, not an interrupt, led to the handler of INT 10h: there is no BIOS yet to serve it',
    );
  });
  it('FFFF:0000 is the reset vector', () => {
    const why =
      'the guest jumped to FFFF:0000, the reset vector, to restart the machine: there is no BIOS yet that would do it';
    check('jmp 0xffff:0', why);
    check('jmp 0xf000:0xfff0', why);
  });
  it('the guest’s own handlers come first, and its own HLT is its own', () => {
    const own =
      'mov word [0], own\nmov word [2], 0\nxor cx, cx\ndiv cx\nown: mov si, 7\nhlt\ntimes 510-($-$$) db 0\ndw 0xaa55';
    for (const options of Object.values(METHODS)) assert.equal(new Guest(own, 'boot', options).halt()[6], 7n);
  });
});
