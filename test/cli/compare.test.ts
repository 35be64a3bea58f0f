/**
 * `pagewalk compare --json` on the examples: every one gives the same guest-visible result under every method, and for those that are about a change of
 * the guest's tables the exits of each method are counted by hand here.
 *
 * EPT. A flat64 guest begins with 5 violations: PML4, PDPT, PD, the page table of the first 2 MiB and the page of the code, each at its first
 * touch. From then on only first touches of guest pages exit, data and tables alike ("T7": the page table of 14–16 MiB, through which the guest reads its
 * prepared tables; "T1", "T2": those of 2–4 and 4–6 MiB). The guest's own entries, #PFs, INVLPG and CR3 are its own affair.
 *
 * NPT. The same first touches, each a NPF: that AMD's walk of the guest's tables counts as a write changes nothing, since KVM maps what the host lets it write as writable at once. SVM has no
 * masks for control registers as VMX has: KVM intercepts what it must see whole. MOV to CR0 exits where it changes more than TS or MP (CR0_SEL_WRITE), so for WP, which a guest under EPT owns; MOV from
 * and to CR4 always (CR4_READ, CR4_WRITE); CR3 never. Where a comment below is silent of NPT, it is as EPT.
 *
 * Shadow. Every #PF exits (EXCEPTION_NMI), by why: hidden, the shadow has not caught up (KVM fills it; a page counts here when its linear address is
 * first used under a root); dirty, a first write through an entry that was read-only to keep the guest's D flag; tracing, a write to a guest table that
 * KVM has shadowed; mmio; guest, the guest's own fault, injected. MOV from and to CR3, MOV to CR0 (WP, CR4.PCIDE likewise) exit as CR_ACCESS. INVLPG exits for the modern
 * generation alone.
 *
 * Software. The VMM emulates the CPU: nothing exits, whatever the guest does.
 */
import * as assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import type { Comparison } from '../../src/session/compare/compare';
import type { Encoded } from '../../src/wire/encode';
import { example, pagewalk } from './support';

type Exits = Readonly<Record<string, number>>;
interface Expected {
  readonly ept: Exits;
  readonly npt: Exits;
  readonly classic: Exits;
  readonly modern: Exits;
  /** The guest's result. */
  readonly registers?: Readonly<Record<string, string>>;
}

/**
 * Examples whose guest asks for something that not every method has: the methods that have it, which agree, and the register by which the guest says that the others have not.
 *
 * async-page-fault: KVM offers asynchronous page faults under nested and under shadow paging alike (kvm_arch_setup_async_pf keeps the guest's CR3 for the latter), since Linux 2.6.38:
 * 2.6.20 has none, and where the VMM emulates the CPU there is no KVM to ask.
 */
const NOT_EVERYWHERE: Readonly<Record<string, { readonly methods: string; readonly said: readonly [string, Exits] }>> =
  {
    'async-page-fault': {
      methods: 'ept,npt,shadow:modern',
      said: ['rbx', { ept: 0xcafe, npt: 0xcafe, 'shadow:classic': 0, 'shadow:modern': 0xcafe, software: 0 }],
    },
  };

const FAULTS = ['hidden', 'dirty', 'tracing', 'mmio', 'guest'] as const;

async function compared(name: string, methods?: string): Promise<readonly [number, Encoded<Comparison>]> {
  const file = `${name}.asm`;
  const only = methods === undefined ? [] : ['--mmu', methods];
  const { code, stdout, stderr } = await pagewalk(['compare', file, ...only, '--json'], { [file]: example(name) });
  assert.equal(stderr, '');
  return [code, JSON.parse(stdout) as Encoded<Comparison>];
}
/** Under all methods, or those, the guest halts with the same result. */
async function compare(name: string, methods?: string): Promise<Encoded<Comparison>> {
  const [code, c] = await compared(name, methods);
  assert.deepEqual(c.differences, []);
  assert.deepEqual([code, c.equal, c.methods.length], [0, true, methods?.split(',').length ?? 5]);
  for (const m of c.methods) assert.deepEqual([m.method, m.stop.kind, m.stop.code], [m.method, 'halt', 0]);
  return c;
}

/** Exits by name, #PFs under shadow paging by why they happened. HLT, which ends every example and exits once, is left out. */
function exitsOf(c: Encoded<Comparison>, method: string): Exits {
  const run = c.methods.find((m) => m.method === method) ?? assert.fail(`${method} ran`);
  const { HLT, EXCEPTION_NMI, ...exits } = run.exits;
  const faults = FAULTS.map((f) => [f, run.stats[`fault_${f}`] ?? 0] as const).filter(([, n]) => n > 0);
  assert.equal(HLT ?? 1, 1);
  assert.equal(
    faults.reduce((n, [, of]) => n + of, 0),
    EXCEPTION_NMI ?? 0,
  );
  return { ...exits, ...Object.fromEntries(faults) };
}

async function check(name: string, expected: Expected): Promise<void> {
  const c = await compare(name);
  assert.deepEqual(
    {
      ept: exitsOf(c, 'ept'),
      npt: exitsOf(c, 'npt'),
      classic: exitsOf(c, 'shadow:classic'),
      modern: exitsOf(c, 'shadow:modern'),
    },
    { ept: expected.ept, npt: expected.npt, classic: expected.classic, modern: expected.modern },
  );
  assert.deepEqual(exitsOf(c, 'software'), {});
  const [first] = c.methods;
  for (const [register, value] of Object.entries(expected.registers ?? {}))
    assert.equal(first?.registers[register], value, register);
}

describe('compare', () => {
  // EPT: 5; T7; T1 and the new table; the new page; T2, which maps it a second time.
  // Shadow: hidden are the pages of code, PML4, PDPT, the new table, the new address, and the page by its other address; the PD is a table in use: its
  // write is traced. MOV from CR3.
  it('new-pde', () =>
    check('new-pde', {
      ept: { EPT_VIOLATION: 5 + 1 + 2 + 1 + 1 },
      npt: { NPF: 5 + 1 + 2 + 1 + 1 },
      classic: { CR_ACCESS: 1, hidden: 6, tracing: 1 },
      modern: { CR_ACCESS: 1, hidden: 6, tracing: 1 },
      registers: { rcx: '0x600d' },
    }));

  // EPT: 5; T7; T1 and the table; 9 pages; T2.
  // Shadow: hidden are code, PML4, PDPT, the table, 9 pages, and one page by its other address. Classic traces the PD and all 8 stores into the table; for the modern
  // generation the first of these makes the table unsync, and the others go through.
  it('new-pt', () =>
    check('new-pt', {
      ept: { EPT_VIOLATION: 5 + 1 + 2 + 9 + 1 },
      npt: { NPF: 5 + 1 + 2 + 9 + 1 },
      classic: { CR_ACCESS: 1, hidden: 14, tracing: 1 + 8 },
      modern: { CR_ACCESS: 1, hidden: 14, tracing: 1 + 1 },
      registers: { rax: '0x8' },
    }));

  // EPT: 5; stack and IDT; T7; T1 and the page; the GDT, read when the #PF is delivered. NPT: the same, and the MOV to CR0 that sets WP.
  // Shadow: hidden are code, stack and IDT; code and stack again, since MOV to CR0 sets WP and so asks for other shadow pages; PML4, PDPT, PD; the page; IDT
  // and GDT when the fault is injected; the page, written at last. dirty: the fault counter, in the page of the code. tracing: W goes, W comes; the modern
  // generation sees only the first. guest: the fault itself. CR_ACCESS: MOV to CR0, MOV from CR3.
  it('rw-to-ro', () =>
    check('rw-to-ro', {
      ept: { EPT_VIOLATION: 5 + 2 + 1 + 2 + 1 },
      npt: { NPF: 5 + 2 + 1 + 2 + 1, CR0_SEL_WRITE: 1 },
      classic: { CR_ACCESS: 2, hidden: 3 + 2 + 3 + 1 + 2 + 1, dirty: 1, tracing: 2, guest: 1 },
      modern: { CR_ACCESS: 2, INVLPG: 1, hidden: 12, dirty: 1, tracing: 1, guest: 1 },
      registers: { rcx: '0x2' },
    }));

  // EPT: 5; stack and IDT; T7; T1; the page. NPT: the same, and WP.
  // Shadow: hidden are code, stack and IDT; code and stack again (WP); PML4, PDPT, PD; T1, which is no table in use yet when W goes; the page, read. tracing: W
  // comes. Then the write: classic has dropped the shadow entry and fills it (hidden); for the modern generation it is still there, read-only and clean (dirty).
  it('ro-to-rw', () =>
    check('ro-to-rw', {
      ept: { EPT_VIOLATION: 5 + 2 + 1 + 1 + 1 },
      npt: { NPF: 5 + 2 + 1 + 1 + 1, CR0_SEL_WRITE: 1 },
      classic: { CR_ACCESS: 2, hidden: 3 + 2 + 3 + 1 + 1 + 1, tracing: 1 },
      modern: { CR_ACCESS: 2, INVLPG: 1, hidden: 3 + 2 + 3 + 1 + 1, dirty: 1, tracing: 1 },
      registers: { rcx: '0x0' },
    }));

  // EPT: 5; the stack; T7; T1 and the four new tables; T2, copied; the page of each address space. CPUID always exits. CR_ACCESS: MOV to CR4, CR4.PCIDE
  // twice: it is the host's bit in the mask; the eight loads of CR3 do not exit. NPT: each of the two reads CR4 and writes it.
  // Shadow: hidden are code and stack; four tables read and their four copies written; the page; in the second address space the code and its page; no switch after
  // that, since shadow pages are kept by guest frame. CR_ACCESS: MOV from CR3 and four loads. The modern generation offers PCID: four loads and two MOVs to CR4 more.
  it('context-switch', () =>
    check('context-switch', {
      ept: { EPT_VIOLATION: 5 + 1 + 1 + 5 + 1 + 2, CPUID: 1, CR_ACCESS: 2 },
      npt: { NPF: 5 + 1 + 1 + 5 + 1 + 2, CPUID: 1, CR4_READ: 2, CR4_WRITE: 2 },
      classic: { CR_ACCESS: 1 + 4, CPUID: 1, hidden: 2 + 8 + 1 + 2 },
      modern: { CR_ACCESS: 1 + 4 + 4 + 2, CPUID: 1, hidden: 2 + 8 + 1 + 2 },
      registers: { rbx: '0x1', rcx: '0x2' },
    }));

  // EPT: 5; stack and IDT; T7; T1 and the page; the GDT; T2 and the frame for the copy. NPT: the same, and WP.
  // Shadow, classic: hidden are code, stack and IDT; code and stack (WP); PML4, PDPT, PD; the page; T1, read as data; the child's page, read; IDT and GDT; the
  // parent's page, read for the copy; the copy's frame; the child's page and the parent's, written at last. tracing: both entries at fork, each entry in the handler.
  // guest: two. dirty: the counter. Modern: T1 becomes unsync by the first of the four stores, and INVLPG, four times, brings it in step; T1 itself and the parent's page
  // stay mapped.
  it('fork-like', () =>
    check('fork-like', {
      ept: { EPT_VIOLATION: 5 + 2 + 1 + 2 + 1 + 2 },
      npt: { NPF: 5 + 2 + 1 + 2 + 1 + 2, CR0_SEL_WRITE: 1 },
      classic: { CR_ACCESS: 2, hidden: 3 + 2 + 3 + 1 + 1 + 1 + 2 + 1 + 1 + 2, dirty: 1, tracing: 4, guest: 2 },
      modern: { CR_ACCESS: 2, INVLPG: 4, hidden: 14, dirty: 1, tracing: 1, guest: 2 },
      registers: { rcx: '0x5678', rdx: '0x9abc', rsi: '0x2' },
    }));

  // EPT: 5; stack and IDT; T7; T1 and 8 pages; the GDT. NPT: the same, and WP.
  // Shadow, classic: hidden are code, stack, IDT; code, stack (WP); PML4, PDPT, PD; 8 pages; T1 after its shadow is dropped; IDT and GDT; two pages mapped again.
  // tracing: three clears in a row are a flood, by which KVM drops the shadow of T1, and the other five are plain stores; and one in the handler, since T1 is shadowed again.
  // Modern: the first clear makes T1 unsync; the CR3 load brings it in step and protects it, so that the handler's first store is traced too. CR_ACCESS: MOV to CR0, MOV
  // from CR3 twice, MOV to CR3.
  it('munmap-like', () =>
    check('munmap-like', {
      ept: { EPT_VIOLATION: 5 + 2 + 1 + 9 + 1 },
      npt: { NPF: 5 + 2 + 1 + 9 + 1, CR0_SEL_WRITE: 1 },
      classic: { CR_ACCESS: 4, hidden: 3 + 2 + 3 + 8 + 1 + 2 + 2, dirty: 1, tracing: 3 + 1, guest: 2 },
      modern: { CR_ACCESS: 4, INVLPG: 4, hidden: 3 + 2 + 3 + 8 + 2 + 2, dirty: 1, tracing: 1 + 1, guest: 2 },
      registers: { rcx: '0x2' },
    }));

  // EPT: 5; T7; T1 and the new table; the page of the third MOV; the hole. The first two and the fourth cost none.
  // Shadow: hidden are code, PML4, PDPT, the new table and the third MOV's page; tracing is the PD; dirty the fourth MOV, mmio the fifth.
  it('five-movs', () =>
    check('five-movs', {
      ept: { EPT_VIOLATION: 5 + 1 + 2 + 1 + 1 },
      npt: { NPF: 5 + 1 + 2 + 1 + 1 },
      classic: { CR_ACCESS: 1, hidden: 5, dirty: 1, tracing: 1, mmio: 1 },
      modern: { CR_ACCESS: 1, hidden: 5, dirty: 1, tracing: 1, mmio: 1 },
    }));

  const examples = readdirSync(new URL('../../examples/', import.meta.url))
    .filter((f) => f.endsWith('.asm'))
    .map((f) => f.slice(0, -4));
  for (const name of examples) {
    const special = NOT_EVERYWHERE[name];
    it(`${name}: the same result under ${special?.methods ?? 'every method'}`, async () => {
      await compare(name, special?.methods);
      if (!special) return;
      const [register, said] = special.said;
      const [, { methods }] = await compared(name);
      assert.deepEqual(Object.fromEntries(methods.map((m) => [m.method, Number(m.registers[register])])), said);
    });
  }
});
