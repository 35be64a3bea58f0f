/** Registers by name, set by hand: what the architecture allows reaches the guest under every method, what it does not is refused with the reason. */
import * as assert from 'node:assert/strict';
import type { Session } from '../../../src/session/session';
import { next, open, rows, value, wait } from '../scene';

const METHODS = [
  { mmu: 'ept' },
  { mmu: 'npt' },
  { mmu: 'shadow', shadow: 'classic' },
  { mmu: 'shadow', shadow: 'modern' },
  { mmu: 'software' },
] as const;

function at(source: string, label: string, options: Readonly<Record<string, string>> = {}): Session {
  const s = open(source, options);
  s.breakpoints.setFunctions([{ name: label }]);
  s.run.continue_();
  assert.equal(next(s), `function-breakpoint ${label}`);
  return s;
}
/** `name = value`; the result: what it is then, or why not. */
function set(s: Session, text: string): string {
  const v = s.console.evaluate(text);
  return v.ok ? v.value.text : v.error.map((d) => d.message).join();
}

const GUEST = `bits 64
start:  mov     rax, cr4
        or      ax, 0x200
        mov     cr4, rax
        mov     ecx, 0xc0000082
here:   rdmsr
        mov     rbx, cr0
        mov     rsi, cr4
        sgdt    [table]
        movq    r8, xmm3
        mov     r9, dr7
        mov     r10, ds
after:  hlt
align 16
table:  dq 0, 0
`;

describe('assignment in a console', () => {
  const s = at(GUEST, 'here');
  const cases: readonly (readonly [string, string])[] = [
    ['rax = 5', '0x5'],
    ['rax += 3', '0x8'],
    ['rax <<= 4', '0x80 = 128'],
    ['rax=rax==0x80', '0x1'],
    ['al = -1', '0xff = 255'],
    ['byte [table] = 0x12', '0x12 = 18'],
    ['CF = 1', '1'],
    ['rax == 5', 'false'],
    ['rax <= 5', 'false'],
    ['rax != 5', 'true'],
    ['5 = 6', '`5` is no register, flag or memory operand'],
    ['rax =', 'a value is missing at the end'],
  ];
  for (const [text, expected] of cases) it(text, () => assert.equal(set(s, text), expected));
  it('compares where nothing may be changed', () => {
    const v = s.console.evaluate('rbp = 0', { acts: false });
    assert.ok(v.ok && v.value.text === 'true');
  });
});

describe('values that do not fit', () => {
  const s = at(GUEST, 'here');
  const refused: readonly (readonly [string, RegExp])[] = [
    ['al = 0x100', /^al has 8 bits; 0x100 does not fit$/],
    ['eax = 0x100000000', /^eax has 32 bits/],
    ['ax = -40000', /^ax has 16 bits/],
    ['rax = 0x10000000000000000', /has more than 64 bits$/],
    ['byte [table] = 256', /^`byte \[table\]` has 8 bits; 0x100 does not fit$/],
    ['dword [table] = 0x100000000', /has 32 bits/],
    ['ZF = 2', /^ZF is one bit/],
    ['IOPL = 4', /two bits/],
    ['rip = 0x800000000000', /^0x800000000000 is not canonical/],
    ['rflags = 0', /^bit 1 of RFLAGS is always 1$/],
    ['rflags = 0x8002', /^reserved bits of RFLAGS cannot be set: 0x8000$/],
    ['VM = 1', /RFLAGS\.VM cannot be 1 while EFER\.LMA = 1/],
    ['cr3 = 0xff00000000000000', /^CR3 bits 63:\d+ must be zero/],
    ['cr0 = 0x80000030', /^CR0\.PG cannot be 1 while CR0\.PE = 0 \(SDM vol\. 2, MOV CR\)$/],
    ['cr0 = 0xa0000031', /NW cannot be 1 while CR0\.CD = 0/],
    ['cr0 = 0x31', /CR0\.PG cannot be cleared in 64-bit mode/],
    ['cr4 = 0', /CR4\.PAE cannot change while EFER\.LMA = 1/],
    ['cr4 = 0x80000020', /CR4/],
    ['cr8 = 16', /CR8/],
    ['efer = 0x400', /EFER\.LME cannot change while CR0\.PG = 1/],
    ['efer = 0x10500', /EFER/],
    ['lstar = 0x800000000000', /0x800000000000/],
    ['pat = 2', /PAT|0x2/],
    ['fs_base = 0x800000000000', /not canonical/],
    ['gdtr_base = 0x800000000000', /not canonical/],
    ['gdtr_limit = 0x10000', /16 bits/],
    ['cs = 0x10000', /^cs has 16 bits/],
    ['dr7 = 0x100000000', /^reserved bits of DR7 cannot be set: 0x100000000$/],
    ['dr6 = 0x10000000000', /reserved bits of DR6/],
    ['mxcsr = 0x10000', /^reserved bits of MXCSR cannot be set: 0x10000$/],
    ['xmm0 = 0x100000000000000000000000000000000', /^xmm0 has 128 bits/],
    ['st0 = zwei', /takes a decimal number/],
    ['xmm0 + 1', /`xmm0` has more than 64 bits; in an expression take xmm0_lo or xmm0_hi/],
    ['rip = 1 << 63', /not canonical/],
    ['msr(0xdead) = 1', /0xdead/],
  ];
  for (const [text, expected] of refused)
    it(text, () => {
      const before = [...rows(s, 'registers'), ...rows(s, 'control'), ...rows(s, 'segments'), ...rows(s, 'sse')];
      assert.match(set(s, text), expected);
      assert.deepEqual(
        [...rows(s, 'registers'), ...rows(s, 'control'), ...rows(s, 'segments'), ...rows(s, 'sse')],
        before,
      );
    });
});

describe('system registers that are set', () => {
  for (const options of METHODS)
    it(`reach the guest: ${Object.values(options).join(' ')}`, () => {
      const s = at(GUEST, 'here', options);
      const where = s.guest.linearRip;
      assert.equal(set(s, 'lstar = 0x1234'), '0x1234 = 4660');
      assert.match(set(s, 'cr0 = cr0 | 0x10000'), /^0x80010031/);
      assert.match(set(s, 'cr4 = cr4 | 4'), /^0x224 /);
      assert.match(set(s, 'efer = efer | 1'), /^0xd01 /);
      assert.equal(set(s, 'gdtr_limit = 0x47'), '0x47 = 71');
      assert.match(set(s, 'dr7 = 0x500'), /^0x500 /);
      assert.equal(set(s, 'ds = 0x18'), '0x18 = 24');
      assert.match(set(s, 'xmm3 = 0x112233445566778899aabbccddeeff00'), /^0x112233445566778899aabbccddeeff00$/);
      assert.equal(set(s, 'st0 = -2.5'), '0xc000a000000000000000 -2.5');
      assert.equal(set(s, 'mxcsr = 0x1fa0'), '0x1fa0 = 8096');
      assert.equal(s.guest.linearRip, where);
      s.breakpoints.setFunctions([{ name: 'after' }]);
      s.run.continue_();
      assert.equal(next(s), 'function-breakpoint after', JSON.stringify(s.run.stopped));
      const seen = ['eax', 'ebx', 'esi', 'word [table]', 'r8', 'r9', 'r10'].map((r) => value(s, r).split(' ')[0]);
      assert.deepEqual(seen, ['0x1234', '0x80010031', '0x224', '0x47', '0x99aabbccddeeff00', '0x500', '0x18']);
      assert.match(value(s, 'efer'), /^0xd01 /);
      assert.equal(value(s, 'msr(0xc0000082)'), '0x1234 = 4660');
    });
  it('segments that VM entry would refuse are put back, with the check named', () => {
    for (const [mmu, source] of [
      ['ept', 'SDM vol. 3, 26'],
      ['npt', 'APM vol. 2, 15'],
    ] as const) {
      const s = at(GUEST, 'here', { mmu });
      const before = value(s, 'cs_rights');
      // not a code segment any more, or in long mode with D and L
      const answer = set(s, 'cs_rights = 0xe09b');
      assert.ok(answer.includes(source), answer);
      assert.equal(value(s, 'cs_rights'), before);
      s.breakpoints.setFunctions([{ name: 'after' }]);
      s.run.continue_();
      assert.equal(next(s), 'function-breakpoint after');
    }
  });
  it('fields of VMCS and VMCB while the guest runs, but for what would fail the entry', () => {
    const s = at(GUEST, 'here');
    assert.equal(s.console.setValue('vmcs/guest/GUEST_GDTR_LIMIT', '0x2f').ok, true);
    assert.equal(value(s, 'gdtr_limit'), '0x2f = 47');
    assert.match(
      JSON.stringify(s.console.setValue('vmcs/guest/GUEST_RFLAGS', '0')),
      /GUEST_RFLAGS: .*SDM vol\. 3, 26\.3/,
    );
    const amd = at(GUEST, 'here', { mmu: 'npt' });
    assert.equal(amd.console.setValue('vmcb/save/GDTR_LIMIT', '0x2f').ok, true);
    assert.equal(value(amd, 'gdtr_limit'), '0x2f = 47');
    for (const one of [s, amd]) {
      one.breakpoints.setFunctions([{ name: 'after' }]);
      one.run.continue_();
      assert.equal(next(one), 'function-breakpoint after');
    }
  });
  it('in rows of the Variables view', () => {
    const s = at(GUEST, 'here');
    for (const [path, text, shown] of [
      ['control/cr0', '0x80010031', /^0x80010031/],
      ['segments/fs/base', '0x5000', /^0x5000$/],
      ['control/idtr/limit', '0xff', /^0xff$/],
      ['sse/xmm5', '0x10', /^0x0{30}10$/],
      ['x87/st1', '1e3', / 1000$/],
      ['msrs/LSTAR', '0x77', /^0x77$/],
    ] as const) {
      const answer = s.console.setValue(path, text);
      assert.ok(answer.ok, path + JSON.stringify(answer));
      assert.match(answer.value, shown, path);
    }
    wait(s);
  });
});
