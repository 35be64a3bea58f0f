/** The TLB as it is shown: what each entry stands for, and which of them the tables no longer bear out. */
import * as assert from 'node:assert/strict';
import type { Session } from '../../../src/session/session';
import { next, open, rows, value } from '../scene';

/** Identity-mapped, 4 KiB pages; r14: the page table of 2–4 MiB. */
const HEAD = `bits 64
  mov r12, cr3
  mov r14, [r12]
  and r14, -4096
  mov r14, [r14]
  and r14, -4096
  mov r14, [r14+8]
  and r14, -4096
`;

function at(source: string, label: string, options: Readonly<Record<string, string>> = {}): Session {
  const s = open(HEAD + source, options);
  s.breakpoints.setFunctions([{ name: label }]);
  s.run.continue_();
  assert.equal(next(s), `function-breakpoint ${label}`);
  return s;
}
/** The entry of a page: `compared`, then how it is stale. */
function entry(s: Session, linear: bigint): string {
  const e = s.tables.tlb().entries.find((x) => x.linear === linear);
  if (!e) return 'none';
  const { stale } = e;
  return stale === undefined
    ? `${e.compared}: fresh`
    : `${stale.kind} in ${stale.where}${stale.now === undefined ? '' : ` now 0x${stale.now.toString(16)}`}: ${stale.missing.join(', ')}${stale.requested ? ' (requested)' : ''}`;
}

const EDIT = (edit: string, flush: string): string => `
  mov qword [0x200000], 1
  ${edit}
  edited: nop
  ${flush}
  flushed: hlt
`;

describe('stale TLB entries', () => {
  const cases: readonly (readonly [name: string, edit: string, flush: string, expected: string])[] = [
    [
      'another page',
      'mov qword [r14], 0x300003',
      'invlpg [0x200000]',
      'elsewhere in guest now 0x300000: INVLPG, INVPCID, MOV CR3',
    ],
    ['no page', 'mov qword [r14], 0', 'invlpg [0x200000]', 'absent in guest: INVLPG, INVPCID, MOV CR3'],
    [
      'read-only',
      'and qword [r14], -3',
      'mov rax, cr3\n mov cr3, rax',
      'wider in guest now 0x200000: INVLPG, INVPCID, MOV CR3',
    ],
    [
      'the dirty flag cleared',
      'and qword [r14], -65',
      'invlpg [0x200000]',
      'dirty in guest now 0x200000: INVLPG, INVPCID, MOV CR3',
    ],
  ];
  for (const [name, edit, flush, expected] of cases) {
    it(`${name}: marked until it is flushed`, () => {
      const s = at(EDIT(edit, flush), 'edited');
      assert.equal(entry(s, 0x20_0000n), expected);
      assert.equal(s.tables.tlb().staleCount, 1);
      s.breakpoints.setFunctions([{ name: 'flushed' }]);
      s.run.continue_();
      assert.equal(next(s), 'function-breakpoint flushed');
      assert.equal(entry(s, 0x20_0000n), 'none');
    });
  }

  it('a right that was added makes none', () => {
    const s = at('and qword [r14], -3\n mov rax, [0x200000]\n or qword [r14], 2\n edited: hlt', 'edited');
    assert.equal(entry(s, 0x20_0000n), 'all: fresh');
  });

  it('a global entry outlives loads of CR3: other instructions are missing', () => {
    const s = at(
      `mov rax, cr4
       or rax, 0x80
       mov cr4, rax
       or qword [r14], 0x100
       mov rax, [0x200000]
       mov qword [r14], 0x300103
       mov rax, cr3
       mov cr3, rax
       edited: hlt`,
      'edited',
    );
    assert.equal(entry(s, 0x20_0000n), 'elsewhere in guest now 0x300000: INVLPG, INVPCID, MOV CR4');
    assert.equal(s.tables.tlb().entries.find((e) => e.linear === 0x20_0000n)?.tags.pcid, null);
  });

  it('what the host took away is flushed before the next entry: INVEPT, requested', () => {
    const s = at('mov rax, [0x200000]\n edited: nop\n mov rbx, [0x200000]\n hlt', 'edited');
    assert.equal(entry(s, 0x20_0000n), 'all: fresh');
    value(s, 'host swap-out 0x200000');
    assert.equal(entry(s, 0x20_0000n), 'absent in ept: INVEPT (requested)');
    assert.match(
      rows(s, 'tlb').find((r) => r.startsWith('0x200000 ')) ?? '',
      /stale: the EPT has no entry for GPA 0x200000 any more; INVEPT is missing, and asked for before the next VM entry$/,
    );
    s.run.continue_();
    assert.equal(next(s), 'ended halt 0');
    assert.equal(s.tables.tlb().staleCount, 0);
  });

  it('an entry of another PCID is compared with the EPT alone', () => {
    const s = at(
      `mov rax, cr4
       or rax, 0x20000
       mov cr4, rax
       mov rax, [0x200000]
       mov rax, cr3
       or rax, 1
       mov cr3, rax
       edited: mov qword [r14], 0
       hlt`,
      'edited',
    );
    const e = s.tables.tlb().entries.find((x) => x.linear === 0x20_0000n);
    assert.deepEqual([e?.compared, e?.current, e?.tags.pcid, e?.stale], ['second-level', false, 0, undefined]);
  });

  it('shadow paging: the guest has not flushed, or KVM has not', () => {
    const guest = 'mov qword [0x200000], 1\n edited: nop\n hlt';
    const s = at(guest, 'edited', { mmu: 'shadow' });
    assert.equal(entry(s, 0x20_0000n), 'all: fresh');
    value(s, 'host swap-out 0x200000');
    // classic shadow paging has no VPID: the VM entry itself drops everything
    assert.equal(entry(s, 0x20_0000n), 'absent in shadow: INVVPID, VM entry (requested)');
  });
});

describe('paging-structure caches', () => {
  const GUEST = `
  mov rax, [0x200000]
  mov r15, [r12]
  and r15, -4096
  mov r15, [r15]
  and r15, -4096             ; the page directory
  mov rbx, [r15+16]          ; 4-6 MiB
  EDIT
  edited: hlt
`;
  it('are listed with the table that they lead to, and stale where another hangs there', () => {
    const s = at(GUEST.replace('EDIT', 'mov [r15+8], rbx'), 'edited', { 'walk-caches': 'on' });
    const { walkCaches = [] } = s.tables.tlb();
    const pde = walkCaches.find((e) => e.level === 2 && e.linear === 0x20_0000n);
    assert.ok(pde);
    assert.deepEqual([pde.size, pde.current, pde.writable, pde.user], [0x20_0000n, true, true, false]);
    assert.equal(pde.stale?.kind, 'elsewhere');
    assert.deepEqual(pde.stale.missing, ['INVLPG', 'INVPCID', 'MOV CR3']);
    assert.ok(walkCaches.filter((e) => e.level > 2).every((e) => e.stale === undefined));
    assert.match(rows(s, 'tlb').at(-1) ?? '', /^Paging-structure caches = \d+ entries$/);
    assert.match(
      rows(s, 'tlb/caches').find((r) => r.startsWith('PDE cache 0x200000')) ?? '',
      /stale: the entry of level 2/,
    );
  });

  it('absent where the CPU has none', () => {
    assert.equal(at(GUEST.replace('EDIT', ''), 'edited').tables.tlb().walkCaches, undefined);
  });
});

it('looking changes nothing', () => {
  const s = at(EDIT('mov qword [r14], 0x300003', 'invlpg [0x200000]'), 'edited', { 'walk-caches': 'on' });
  const print = (): string =>
    JSON.stringify([s.tables.tlb(), s.guest.retired, rows(s, 'stats')], (_, v: unknown) =>
      typeof v === 'bigint' ? String(v) : v,
    );
  const before = print();
  for (let i = 0; i < 3; i++) s.tables.memoryMap();
  assert.equal(print(), before);
});

describe('the TLB by method', () => {
  const source = 'bits 64\nmov rbx, 0x200000\nmov qword [rbx], 1\nmark: hlt\n';
  const entry = (mmu: string, migrate: boolean): string => {
    const s = open(source, { mmu });
    s.breakpoints.setFunctions([{ name: 'mark' }]);
    s.run.continue_();
    next(s);
    if (migrate) s.console.evaluate('host migrate 0x200000');
    return rows(s, 'tlb').find((r) => r.startsWith('0x200000 ')) ?? 'none';
  };
  it('leads from GVA to GPA to HPA, and under shadow paging to the HPA at once', () => {
    assert.match(entry('npt', false), /^0x200000 = → GPA 0x200000 → HPA 0x[0-9a-f]+ RWX S D NPT RWX$/);
    assert.match(entry('shadow', false), /^0x200000 = → HPA 0x[0-9a-f]+ RWX S D$/);
    assert.match(entry('software', false), /^0x200000 = → GPA 0x200000 → HPA 0x[0-9a-f]+ RWX S D$/);
  });
  it('a page that the host takes back: stale under a hypervisor, found anew under emulation', () => {
    assert.match(
      entry('npt', true),
      /stale: the NPT has no entry for GPA 0x200000 any more; INVLPGA or a flush of the ASID by TLB_CONTROL/,
    );
    assert.match(entry('shadow', true), /stale: the shadow tables have no translation of 0x200000 any more; INVVPID/);
    assert.match(entry('software', true), /→ GPA 0x200000 → taken back by the host: found anew at the next access/);
  });
});
