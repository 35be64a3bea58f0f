/**
 * `pagewalk run --json` on each example, compared with a golden report whose main numbers are counted by hand here.
 *
 * Every flat64 guest begins alike. The first fetch walks four guest tables that no EPT entry maps yet: PML4, PDPT, PD and the page table of the
 * first 2 MiB each cost one EPT violation, and the page of the code a fifth. Then the walk completes: 4 guest entries, each found through 4 EPT
 * entries, and 4 more for the final address, 24 in all. References count completed walks only, so a run has 4 guest and 20 nested references
 * for each page that it touches for the first time, touches again after INVLPG, or writes after it has only read it (the D bit).
 */
import * as assert from 'node:assert/strict';
import { assertGolden, example, pagewalk } from './support';

interface Expected {
  readonly violations: number;
  /** Completed walks of 4 guest levels over 4 EPT levels. */
  readonly walks: number;
  readonly registers?: Readonly<Record<string, string>>;
  readonly debugcon?: string;
  readonly serial?: string;
}

interface Report {
  readonly exits: Readonly<Record<string, number>>;
  readonly references: { readonly guest: number; readonly nested: number };
  readonly registers: Readonly<Record<string, string>>;
  readonly serial: string;
  readonly debugcon: string;
}

async function report(name: string, mmu?: 'npt'): Promise<Report> {
  const file = `${name}.asm`;
  const under = mmu ? ['--mmu', mmu] : [];
  const { code, stdout, stderr } = await pagewalk(['run', file, ...under, '--json'], { [file]: example(name) });
  assert.equal(stderr, '');
  assert.equal(code, 0);
  // a person can't review a hash, and it changes with the form of what is saved
  const readable = stdout.replace(/,\n {2}"hash": "[0-9a-f]{64}"\n}\n$/, '\n}\n');
  assert.notEqual(readable, stdout);
  assertGolden(`run/${name}${mmu ? `.${mmu}` : ''}.json`, readable);
  return JSON.parse(stdout) as Report;
}

/** What SVM's exits are called on VMX; those of SVM alone, by the example, are added. */
const VMX_NAME: Readonly<Record<string, string>> = {
  IOIO: 'IO_INSTRUCTION',
  INTR: 'EXTERNAL_INTERRUPT',
  VINTR: 'INTERRUPT_WINDOW',
};

async function check(name: string, expected: Expected): Promise<void> {
  const r = await report(name);
  assert.equal(r.exits['EPT_VIOLATION'], expected.violations, 'EPT violations');
  assert.deepEqual([r.references.guest, r.references.nested], [4 * expected.walks, 20 * expected.walks], 'references');
  for (const [register, value] of Object.entries(expected.registers ?? {}))
    assert.equal(r.registers[register], value, register);
  assert.equal(r.debugcon, expected.debugcon ?? '');
  assert.equal(r.serial, expected.serial ?? '');
}

describe('examples on the command line', () => {
  // Code and text lie in one page. An IN and an OUT for each of the 13 characters.
  it('hello', async () => {
    await check('hello', { violations: 5, walks: 1, serial: 'Hello, guest\n' });
    assert.deepEqual((await report('hello')).exits, { EPT_VIOLATION: 5, IO_INSTRUCTION: 26, HLT: 1 });
  });

  // Violations: 5, and the page itself, whose PTE lies in the table of the code. Walks: the code, the first read, the write (D is clear).
  it('first-touch', () => check('first-touch', { violations: 6, walks: 3, registers: { rbx: '0x180000' } }));

  // Violations: 5; the target through the identity map: its page table and its page; the page table that maps the PML4; that of 0x200000; the three
  // new tables. Walks: the code, the target, the PML4, three tables, `access`, and `again` after INVLPG.
  it('worked-example', () => check('worked-example', { violations: 5 + 2 + 1 + 1 + 3, walks: 8, debugcon: 'P' }));

  // Violations: 5; the IDT; the page table that maps the tables; that of 0x200000; the GDT and the stack (delivery of #PF); the page.
  // Walks: the code; the IDT; PML4, PDPT and PD; the code page for its first write; the PTE; the GDT; the stack; the page after the handler.
  it('page-fault', async () => {
    await check('page-fault', {
      violations: 5 + 6,
      walks: 1 + 1 + 3 + 1 + 1 + 1 + 1 + 1,
      debugcon: 'ok',
      registers: { cr2: '0x200000' },
    });
    assert.equal((await report('page-fault')).exits['EXCEPTION_NMI'], undefined);
  });

  // Violations: 5; the page table that maps the tables; that of 0x200000 and the two new tables; the page in slot 1; the hole, once.
  // Walks: the code, PML4, PDPT, two tables, the page in slot 1. An access to the hole never completes a walk.
  it('memslots', async () => {
    await check('memslots', {
      violations: 5 + 1 + 3 + 1 + 1,
      walks: 6,
      registers: { rax: '0xffffffff', rcx: '0x5107' },
    });
    assert.equal((await report('memslots')).exits['EPT_MISCONFIG'], 1);
  });

  // Violations: 5; the page table of 0x200000, which maps the prepared tables too; two new tables; the first read of the slot; the write.
  // Walks: the code, PML4, PDPT, two tables, the first read, and the read after the write that dropped the TLB entry.
  it('read-only-slot', () =>
    check('read-only-slot', { violations: 5 + 1 + 2 + 1 + 1, walks: 7, registers: { rcx: '0x0' } }));

  // EPT entries are 2 MiB, so a walk of 4 guest levels is (4 + 1) × 3 + 4 = 19 references and one of 3 levels (3 + 1) × 3 + 3 = 15.
  // Violations: the 2 MiB of the tables, of the code, of the new table, of the large page. Walks: the code, PML4, PDPT and the new table; two
  // fragments of the large page.
  it('large-page', async () => {
    const r = await report('large-page');
    assert.equal(r.exits['EPT_VIOLATION'], 4);
    assert.deepEqual([r.references.guest, r.references.nested], [4 * 4 + 2 * 3, 4 * 15 + 2 * 12]);
  });

  // Without paging a walk is the EPT's alone: 4 references, none of the guest's. Violations: the code, the page of slot 0, and that page again after the
  // host moved it and after the slot got other memory. Each of the two changes kicks the VCPU once and costs an INVEPT. Walks: the code, the page, and
  // after each INVEPT both again; the two writes to host memory in between are the host's own.
  it('slot-and-frame', async () => {
    const r = await report('slot-and-frame');
    assert.deepEqual(r.exits, { EPT_VIOLATION: 4, EXTERNAL_INTERRUPT: 2, HLT: 1 });
    assert.deepEqual([r.references.guest, r.references.nested], [0, 4 * 6]);
    assert.deepEqual(
      ['rax', 'rbx', 'rcx'].map((name) => r.registers[name]),
      ['0xcafe', '0xcafe', '0x0'],
    );
  });

  // Violations: 5; the IDT's page and the page to be swapped out; then the GDT (its page table and its page), the stack, the page in swap, and task B's stack. When the page is back
  // KVM maps it ahead, so task A's second attempt exits no more. The kick of the swap-out and the INVEPT after it drop all translations. Walks: code, IDT, page; and after that
  // code, IDT, GDT, stack, the first write to the page of code and `shared` (D is clear), task B's stack, the page. The second kick is the worker's; the interrupt window is
  // for "every page is ready", which comes while interrupts are off. WRMSR: the APIC's base, SVR, INT, EN; then ACK and EOI for each of two interrupts.
  it('async-page-fault', async () => {
    await check('async-page-fault', {
      violations: 5 + 2 + 2 + 1 + 1 + 1,
      walks: 3 + 7,
      registers: { rbx: '0xcafe', cr2: '0x1000' },
    });
    assert.deepEqual((await report('async-page-fault')).exits, {
      EPT_VIOLATION: 12,
      MSR_READ: 1,
      MSR_WRITE: 8,
      CPUID: 1,
      EXTERNAL_INTERRUPT: 2,
      INTERRUPT_WINDOW: 1,
      HLT: 1,
    });
  });

  // Under NPT both kinds of EPT's exits are NPF: an entry that is absent or lacks a right, and an MMIO entry, which has a reserved bit. A nested walk has the levels of EPT's, so references are the
  // same; a table entry counts as written, which costs no walk, since its page is mapped writable from the first. RDMSR and WRMSR are one exit.
  for (const name of [
    'hello',
    'first-touch',
    'worked-example',
    'page-fault',
    'memslots',
    'read-only-slot',
    'large-page',
    'slot-and-frame',
    'async-page-fault',
  ])
    it(`${name} under npt`, async () => {
      const [ept, npt] = [await report(name), await report(name, 'npt')];
      const { EPT_VIOLATION = 0, EPT_MISCONFIG = 0, MSR_READ = 0, MSR_WRITE = 0, ...others } = ept.exits;
      const msr = MSR_READ + MSR_WRITE;
      const expected = { NPF: EPT_VIOLATION + EPT_MISCONFIG, ...(msr > 0 ? { MSR: msr } : {}), ...others };
      assert.deepEqual(
        Object.fromEntries(Object.entries(npt.exits).map(([exit, n]) => [VMX_NAME[exit] ?? exit, n])),
        expected,
      );
      assert.deepEqual(npt.references, ept.references);
      assert.deepEqual(npt.registers, ept.registers);
    });
});
