/** A denied access is blamed on the entry that lacks the right: in the chain, its steps, its text and the stop at the fault, under every method. */
import * as assert from 'node:assert/strict';
import type { Session } from '../../../src/session/session';
import type { ChainFailure, ChainStep, TranslateQuery } from '../../../src/session/translate/translation';
import { FIND_PTE } from '../../vmm/support/find-pte';
import { next, open } from '../scene';

const METHODS: readonly Readonly<Record<string, string>>[] = [
  { mmu: 'ept' },
  { mmu: 'npt' },
  { mmu: 'shadow', shadow: 'modern' },
  { mmu: 'shadow', shadow: 'classic' },
  { mmu: 'software' },
];

/** rax: the page directory; rdi: the table under test; rcx: the address. After `edit`, the stop is at `look`. */
const guest = (edit: string, after = ''): string =>
  `bits 64${FIND_PTE} mov rdx, [rdi]\n mov rdx, cr0\n or rdx, 0x10000\n mov cr0, rdx
${edit}\n mov rdx, cr3\n mov cr3, rdx\nlook: ${after}\n hlt\n`;

function at(source: string, method: Readonly<Record<string, string>>): Session {
  const s = open(source, method);
  s.breakpoints.setFunctions([{ name: 'look' }]);
  s.run.continue_();
  assert.equal(next(s), 'function-breakpoint look');
  return s;
}
function chainOf(s: Session, query: Partial<TranslateQuery>): { failure: ChainFailure; steps: readonly ChainStep[] } {
  const answer = s.translate({ address: 0x20_0000n, space: 'gva', ...query });
  assert.ok(answer.kind === 'forward' && answer.chain.failure);
  const { failure, stages } = answer.chain;
  const stage = stages.find((x) => x.stage === failure.stage);
  assert.ok(stage && stage.stage !== 'memslot');
  return { failure, steps: stage.steps };
}
/** `level bit lacking controls | name: problem …` */
function check(edit: string, query: Partial<TranslateQuery>, expected: string, words: RegExp): void {
  for (const method of METHODS) {
    const s = at(guest(edit), method);
    const { failure, steps } = chainOf(s, query);
    const shown = [
      failure.stage,
      failure.event,
      failure.level,
      failure.bit ?? '-',
      failure.lacking?.map((e) => e.name).join('+') ?? '-',
      failure.controls?.join('+') ?? '-',
    ].join(' ');
    const problems = steps.flatMap((x) => (x.problem === undefined ? [] : [`${x.name}: ${x.problem}`])).join(' | ');
    assert.equal(`${shown} | ${problems}`, expected, JSON.stringify(method));
    assert.match(failure.explanation ?? '', words, JSON.stringify(method));
    assert.equal(failure.lacking?.[0]?.entry ?? failure.level, failure.lacking ? steps.at(-failure.level!)?.entry : 1);
  }
}

describe('the deciding entry of a denied access', () => {
  it('U/S: the entries above a user’s PTE are the supervisor’s', () => {
    check(
      'or qword [rdi], 4',
      { user: true },
      'guest #PF 4 U/S = 0 PML4E+PDPTE+PDE - | PML4E: U/S = 0: user access to a supervisor page | PDPTE: U/S = 0 | PDE: U/S = 0',
      /^The PML4E \(0x[0-9a-f]+\) has U\/S = 0: .*, for a user read of 0x200000\. The PDPTE and the PDE have U\/S = 0 too\. The PTE has U\/S = 1, but every entry of the walk must allow the access\. .* error code 0x5 \(P U\)/,
    );
  });
  it('R/W: a PDE, and CR0.WP', () => {
    check(
      'and qword [rax + 8], ~2',
      { access: 'w' },
      'guest #PF 2 R/W = 0 PDE CR0.WP = 1 | PDE: R/W = 0: write to a read-only page',
      /^The PDE .* has R\/W = 0: .* The PTE has R\/W = 1, .* because CR0\.WP = 1\./,
    );
  });
  it('XD: a PDE, and EFER.NXE', () => {
    check(
      'bts qword [rax + 8], 63',
      { access: 'x' },
      'guest #PF 2 XD = 1 PDE EFER.NXE = 1 | PDE: XD = 1: fetch from a page that is not executable',
      /The PTE has XD = 0/,
    );
  });
  it('the leaf, where it is the leaf', () => {
    check(
      'and qword [rdi], ~2',
      { access: 'w' },
      'guest #PF 1 R/W = 0 PTE CR0.WP = 1 | PTE: R/W = 0: write to a read-only page',
      /^The PTE .* has R\/W = 0: write to a read-only page, for a supervisor write of 0x200000\. The access counts/,
    );
  });
  it('no entry at all: SMEP, and SMAP with RFLAGS.AC', () => {
    const user = `or qword [rdi], 4
 or qword [rax + 8], 4
 mov rdx, cr3
 or qword [rdx], 4
 mov rdx, [rdx]
 and rdx, rbx
 or qword [rdx], 4
 mov rdx, cr4
 or rdx, 3 << 20
 mov cr4, rdx`;
    check(
      user,
      { access: 'x' },
      'guest #PF 1 - - CR4.SMEP = 1 | PTE: supervisor fetch from a user page (SMEP)',
      /denied because CR4\.SMEP = 1\./,
    );
    check(
      user,
      {},
      'guest #PF 1 - - CR4.SMAP = 1+RFLAGS.AC = 0 | PTE: supervisor access to a user page (SMAP)',
      /denied because CR4\.SMAP = 1 and RFLAGS\.AC = 0\./,
    );
  });

  it('is named by the stop at the fault', () => {
    for (const method of METHODS) {
      const s = at(guest('and qword [rax + 8], ~2', 'mov [rcx], al'), method);
      s.breakpoints.setFilters([{ filter: 'guest-pf' }]);
      s.run.continue_();
      assert.match(next(s), /^guest-pf /);
      assert.match(s.run.stopped?.why ?? '', /^The PDE \(0x[0-9a-f]+\) has R\/W = 0: .* The PTE has R\/W = 1/);
    }
  });

  it('of the second level: an EPT or NPT PDE lacks the right to write, in the chain and at the exit', () => {
    for (const [mmu, table, bit, event] of [
      ['ept', 'EPT', 'W', 'EPT_VIOLATION'],
      ['npt', 'NPT', 'R/W', 'NPF'],
    ] as const) {
      const s = at(guest('mov al, [rcx]', 'mov [rcx], al'), { mmu });
      const pde = s.tables.list(mmu).find((e) => e.level === 2 && e.from === 0x20_0000n);
      assert.ok(pde);
      const entry = Buffer.alloc(8);
      entry.writeBigUInt64LE(pde.entry & ~2n);
      assert.ok(s.memory.edit({ space: 'hpa', value: pde.entryAddress }, entry).ok);
      const expected = new RegExp(
        `The ${table} PDE \\(0x[0-9a-f]+\\) has ${bit} = 0: write to a read-only page.* The ${table} PTE has ${bit} = 1, but every`,
      );
      const { failure, steps } = chainOf(s, { access: 'w' });
      assert.deepEqual([failure.stage, failure.level, failure.bit], [mmu, 2, `${bit} = 0`]);
      assert.match(failure.explanation ?? '', expected);
      assert.equal(steps.find((x) => x.problem !== undefined)?.name, `${table} PDE`);
      s.breakpoints.setFunctions([{ name: `exit:${event}`, condition: 'level == 2' }]);
      s.run.continue_();
      assert.match(next(s), /VM exit/);
      assert.match(s.run.stopped?.why ?? '', expected);
    }
  });

  it('a flag that the second level does not let be set: the access to the table is a write', () => {
    // the guest's page table is in a read-only slot: the walk may read it, and may not set A
    const source = guest('mov al, [0x300000]', 'mov al, [rcx]');
    const s = at(source, { mmu: 'ept', 'ept-ad': 'off' });
    const pte = s.tables.list('guest').find((e) => e.level === 1 && e.from === 0x20_0000n);
    assert.ok(pte);
    const leaf = s.tables.list('ept').find((e) => e.leaf && e.from === (pte.entryAddress & ~0xfffn));
    assert.ok(leaf);
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64LE(leaf.entry & ~2n);
    assert.ok(s.memory.edit({ space: 'hpa', value: leaf.entryAddress }, entry).ok);
    const { failure } = chainOf({ translate: (q: TranslateQuery) => s.translate(q) } as Session, {});
    assert.deepEqual([failure.stage, failure.level, failure.event], ['ept', 1, 'EPT_VIOLATION']);
    assert.match(failure.explanation ?? '', /a guest table entry, .* here as a write of its accessed or dirty flag/);
  });
});
