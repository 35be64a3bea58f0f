/** What `translate` says of cached translations: what the CPU will use, how it differs from the tables, and the invalidation that fits the entry's tags. */
import * as assert from 'node:assert/strict';
import type { ChainTlb } from '../../../src/session/translate/translation';
import type { Session } from '../../../src/session/session';
import { value } from '../scene';
import { FIND_PTE } from '../../vmm/support/find-pte';
import { next, open, rows } from '../scene';

const NATIVE: readonly Readonly<Record<string, string>>[] = [{ mmu: 'ept' }, { mmu: 'npt' }, { mmu: 'software' }];

function at(source: string, options: Readonly<Record<string, string>>): Session {
  const s = open(`bits 64${FIND_PTE}${source}\nlook: mov esi, [rcx + 0x1000]\nafter: hlt\n`, options);
  s.breakpoints.setFunctions([{ name: 'look' }, { name: 'after' }]);
  s.run.continue_();
  assert.equal(next(s), 'function-breakpoint look');
  return s;
}
function tlb(s: Session, address: bigint): ChainTlb {
  const answer = s.translate({ address, space: 'gva' });
  assert.ok(answer.kind === 'forward');
  return answer.chain.tlb;
}
const missing = (s: Session, address = 0x20_0000n): string => {
  const { stale } = tlb(s, address);
  return stale ? `${stale.missing}${stale.note === undefined ? '' : ` (${stale.note})`}` : 'fresh';
};

/** The page is touched, its entry edited; `between` is what the guest takes for a flush. */
const edited = (between: string, flags = 3): string =>
  `mov qword [rdi], 0x200000 + ${flags}\n mov al, [rcx]\n mov qword [rdi], 0x300000 + ${flags}\n${between}`;
const set = (bit: number): string => `mov rdx, cr4\n or rdx, 1 << ${bit}\n mov cr4, rdx\n`;

describe('advice about a stale translation', () => {
  for (const options of NATIVE) {
    it(`${options['mmu']}: fits a page, a global page, and a guest with PCIDs`, () => {
      assert.equal(missing(at(edited(''), options)), 'INVLPG, INVPCID or a load of CR3');
      assert.equal(missing(at(edited('mov rdx, cr3\n mov cr3, rdx'), options)), 'fresh');
      // a load of CR3 did not help: it is not what is missing
      assert.equal(
        missing(at(`${set(7)}${edited('mov rdx, cr3\n mov cr3, rdx', 0x103)}`, options)),
        'INVLPG, INVPCID or a write of CR4.PGE (a load of CR3 keeps global pages)',
      );
      assert.equal(
        missing(at(`${set(7)}${edited('mov rdx, cr4\n btr rdx, 7\n mov cr4, rdx', 0x103)}`, options)),
        'fresh',
      );
      assert.equal(
        missing(at(`${set(17)}${edited('mov rdx, cr3\n bts rdx, 63\n mov cr3, rdx')}`, options)),
        'INVLPG, INVPCID or a load of CR3 with bit 63 = 0 (a load of CR3 with bit 63 = 1 keeps what its PCID has cached)',
      );
    });
  }

  it('of the second level: INVEPT, or a flush of the ASID; asked for before the next VM entry', () => {
    for (const [mmu, advice] of [
      ['ept', 'INVEPT'],
      ['npt', 'INVLPGA or a flush of the ASID by TLB_CONTROL'],
    ] as const) {
      const s = at('mov al, [rcx]', { mmu });
      value(s, 'host swap-out 0x200000');
      assert.equal(missing(s), advice);
      assert.match(
        tlb(s, 0x20_0000n).stale?.explanation ?? '',
        /is missing, and asked for before the next VM entry\.$/,
      );
    }
  });

  it('an entry of another PCID: INVLPG does not reach it', () => {
    const s = at(`${set(17)}mov al, [rcx]\n mov rdx, cr3\n or rdx, 1\n mov cr3, rdx\n mov al, [rcx]`, { mmu: 'ept' });
    const drops = s.tables
      .tlb()
      .entries.flatMap((e) => (e.linear === 0x20_0000n ? [`${e.tags.pcid}: ${e.drops}`] : []));
    assert.deepEqual(drops.sort(), [
      '0: INVPCID of PCID 0 or a load of CR3 with bit 63 = 0, of PCID 0',
      '1: INVLPG, INVPCID or a load of CR3 with bit 63 = 0',
    ]);
  });

  it('is the same sentence in the chain, in the TLB’s rows and in `info tlb`', () => {
    const s = at(edited(''), { mmu: 'ept' });
    const words = /the guest's tables lead to GPA 0x300000 now.*; INVLPG, INVPCID or a load of CR3 is missing/;
    assert.match(tlb(s, 0x20_0000n).stale?.explanation ?? '', words);
    assert.match(rows(s, 'tlb').find((r) => r.startsWith('0x200000 ')) ?? '', words);
    assert.match(value(s, 'info tlb'), words);
  });
});

describe('a stale paging-structure cache', () => {
  /** A new table in the place of the one that the PDE cache has; in it 0x201000 leads to 0x300000. Only 0x200000 has been touched. */
  const MOVED = `mov al, [rcx]
 mov rsi, rdi
 mov r8, rax
 mov rdi, 0x500000
 mov ecx, 512
 cld
 rep movsq
 mov rcx, 0x200000
 mov qword [0x500008], 0x300003
 mov dword [0x300000], 0x33
 and r8, ~0xff
 mov qword [r8 + 8], 0x500003
`;
  for (const options of NATIVE) {
    it(`${options['mmu']}: the chain says where the walk begins and leads, as the CPU then does it`, () => {
      const s = at(MOVED, { ...options, 'walk-caches': 'on' });
      const { stale, cache, walkStart, hit } = tlb(s, 0x20_1000n);
      assert.deepEqual([hit, walkStart, cache?.name, stale?.source], [false, 1, 'PDE cache', 'PDE cache']);
      assert.equal(stale?.gpa, 0x20_1000n);
      assert.match(
        stale?.explanation ?? '',
        /^The walk begins at the table at GPA 0x[0-9a-f]+, which the PDE cache still holds: the entry of level 2 leads to 0x500000 now; INVLPG, INVPCID or a load of CR3 is missing\. The access goes to GPA 0x201000/,
      );
      s.run.continue_();
      assert.equal(next(s), 'function-breakpoint after');
      assert.equal(value(s, 'esi'), '0x0');
      // 0x202000 leads to the same page either way: the cache is stale, the answer is not
      const other = tlb(s, 0x20_2000n);
      assert.equal(other.stale, null);
      assert.match(other.cache?.stale?.explanation ?? '', /^The walk begins at/);
    });
  }
  it('after INVLPG of any address the walk begins at the root', () => {
    const s = at(`${MOVED}invlpg [0x600000]`, { mmu: 'ept', 'walk-caches': 'on' });
    assert.equal(tlb(s, 0x20_1000n).stale, null);
    s.run.continue_();
    assert.equal(next(s), 'function-breakpoint after');
    assert.equal(value(s, 'esi'), '0x33 = 51');
  });
});
