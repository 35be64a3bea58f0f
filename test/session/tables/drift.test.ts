/** Shadow tables beside the guest's: what listings, trees and the chain say where the two differ, and the faults that come of it. */
import * as assert from 'node:assert/strict';
import { DriftView } from '../../../src/session/tables/drift';
import type { Session } from '../../../src/session/session';
import { FIND_PTE } from '../../vmm/support/find-pte';
import { next, open, rows } from '../scene';

const GUEST = `bits 64${FIND_PTE}
  mov al, [rcx]
touched:
  mov qword [rdi], 0x300003
edited:
  invlpg [rcx]
flushed:
  mov al, [rcx]
again:
  hlt
`;

function at(label: string, source = GUEST, options: Readonly<Record<string, string>> = { shadow: 'modern' }): Session {
  const s = open(source, { mmu: 'shadow', ...options });
  s.breakpoints.setFunctions([{ name: label }]);
  s.run.continue_();
  assert.equal(next(s), `function-breakpoint ${label}`);
  return s;
}
const marks = (s: Session, of: 'guest' | 'shadow', from: bigint, level = 1): string =>
  s.tables
    .list(of)
    .find((e) => e.level === level && e.from === from)
    ?.marks?.join(' ') ?? 'absent';
const both = (s: Session, from = 0x20_0000n, level = 1): string =>
  `guest: ${marks(s, 'guest', from, level)}; shadow: ${marks(s, 'shadow', from, level)}`;

describe('drift between guest and shadow tables', () => {
  it('modern: in step, out of sync and stale after an edit, missing after the flush, in step again', () => {
    assert.equal(both(at('touched')), 'guest: ; shadow: ');
    assert.equal(both(at('touched'), 0x20_1000n), 'guest: missing; shadow: absent');
    assert.equal(both(at('edited')), 'guest: unsync stale; shadow: unsync stale');
    assert.equal(both(at('flushed')), 'guest: missing unsync; shadow: absent');
    assert.equal(both(at('again')), 'guest: unsync; shadow: unsync');
  });

  it('classic: a write to the table takes the shadow entry away at once', () => {
    const classic = { shadow: 'classic' };
    assert.equal(both(at('touched', GUEST, classic)), 'guest: ; shadow: ');
    assert.equal(both(at('edited', GUEST, classic)), 'guest: missing; shadow: absent');
    assert.equal(both(at('again', GUEST, classic)), 'guest: ; shadow: ');
  });

  it('a table of a higher level is write-protected where it is mapped as data', () => {
    const source = `bits 64${FIND_PTE} mov rdx, cr3\nmov qword [rdx + 8], 0\nwritten: hlt`;
    for (const shadow of ['classic', 'modern']) {
      const s = at('written', source, { shadow });
      const root = s.tables.list('guest').find((e) => e.leaf && e.marks?.includes('write-protected') === true);
      assert.ok(root, shadow);
      assert.equal(marks(s, 'shadow', root.from), 'write-protected');
    }
  });

  it('the counterpart of an entry is the other tables’ entry for the same address', () => {
    const s = at('edited');
    const guest = s.tables.list('guest').find((e) => e.level === 1 && e.from === 0x20_0000n);
    const shadow = s.tables.list('shadow').find((e) => e.level === 1 && e.from === 0x20_0000n);
    assert.ok(guest && shadow);
    assert.equal(guest.counterpart?.entry, shadow.entry);
    assert.equal(guest.counterpart?.address, shadow.entryAddress);
    assert.equal(shadow.counterpart?.entry, guest.entry);
    assert.equal(shadow.counterpart?.address, guest.entryAddress);
  });

  it('the shadow stage of a chain says it, and the reverse map finds the leaves of a frame', () => {
    const s = at('edited');
    const forward = s.translate({ address: 0x20_0000n, space: 'gva' });
    assert.ok(forward.kind === 'forward');
    const stage = forward.chain.stages.find((x) => x.stage === 'shadow');
    assert.ok(stage?.stage === 'shadow');
    assert.deepEqual(stage.drift, ['unsync', 'stale']);
    // hardware still goes by the old entry: that frame has a leaf, which the guest's tables do not lead to any more
    const back = s.translate({ address: forward.chain.hpa ?? 0n, space: 'hpa' });
    assert.ok(back.kind === 'reverse');
    assert.deepEqual(back.chain.gpa, [0x20_0000n]);
    assert.deepEqual(back.chain.gva, []);
    assert.deepEqual(
      back.chain.rmap?.map((m) => m.gva),
      [[0x20_0000n]],
    );
  });

  it('is on the rows of both trees', () => {
    const s = at('edited');
    const row = (path: string): string => rows(s, path).find((r) => r.startsWith('[0] PTE')) ?? 'none';
    assert.match(row('guest/0/0/1'), /^\[0\] PTE = unsync, stale · 0x300003 P RW → 0x300000$/);
    assert.match(row('shadow/0/0/1'), /^\[0\] PTE = unsync, stale · 0x[0-9a-f]+ P A → 0x[0-9a-f]+$/);
    const page = s.views.page('shadow/0/0/1', 0, 1);
    assert.ok(page.ok);
    assert.deepEqual(page.value.nodes[0]?.marks, ['unsync', 'stale']);
    assert.ok(page.value.nodes[0]?.detail?.some((d) => d.startsWith('the guest’s entry: 0x300003 at GPA ')));
  });

  it('a TLB entry that leads where the tables lead is not called stale', () => {
    const stale = (s: Session, address: bigint): string | undefined => {
      const answer = s.translate({ address, space: 'gva' });
      return answer.kind === 'forward' ? answer.chain.tlb.stale?.missing : undefined;
    };
    // the page of the code, and the page whose guest entry was edited: the shadow entry still leads to the old one, and so does the TLB
    for (const address of [0x10_0000n, 0x20_0000n]) assert.equal(stale(at('edited'), address), undefined);
    const s = at('touched');
    s.console.evaluate('host migrate 0x200000');
    assert.equal(stale(s, 0x20_0000n), 'INVVPID');
  });

  it('an entry that is gone is missing, not stale', () => {
    const s = at('flushed');
    const { shadow } = s.guest;
    const last = shadow?.read(0x20_0000n).at(-1);
    const page = last && shadow?.pages.ofTable(last.address & ~0xfffn);
    assert.ok(shadow && page && last);
    assert.equal(last.value, 0n);
    assert.deepEqual(new DriftView(s.guest, shadow).ofShadow(page, last.index, 0x20_0000n).marks, [
      'missing',
      'unsync',
    ]);
  });

  it('looking at it changes nothing', () => {
    const s = at('edited');
    const before = JSON.stringify(s.views.statistics());
    s.tables.list('shadow');
    s.tables.list('guest');
    rows(s, 'shadow');
    assert.equal(JSON.stringify(s.views.statistics()), before);
  });
});

describe('page faults told apart under shadow paging', () => {
  const FAULTS = `bits 64${FIND_PTE}
  mov al, [rcx]
  mov [rcx], al
  mov qword [rdi + 8], 0
  lidt [idtr]
  mov al, [rcx + 4096]
  hlt
page_fault:
  hlt
align 16
idtr: dw 15 * 16 - 1
  dq idt
idt: times 14 dq 0, 0
  dw page_fault - $$, 0x08, 0x8e00, 0x10
  dq 0
`;
  for (const shadow of ['classic', 'modern']) {
    it(`${shadow}: conditions on exits ask for the kind, and guest-pf stops only for the guest's own`, () => {
      const stops = (kind: string): string => {
        const s = open(FAULTS, { mmu: 'shadow', shadow });
        s.breakpoints.setFunctions([{ name: 'exit:EXCEPTION_NMI', condition: kind }]);
        s.run.continue_();
        return `${next(s)}: ${s.run.stopped?.why.split('. ').at(-1) ?? ''}`;
      };
      assert.match(stops('tracing'), /page table of the guest/);
      assert.match(stops('dirty'), /D flag/);
      assert.match(stops('guest_fault && !hidden'), /injects the #PF/);

      const s = open(FAULTS, { mmu: 'shadow', shadow });
      s.breakpoints.setFilters([{ filter: 'guest-pf' }]);
      s.run.continue_();
      assert.match(next(s), /^guest-pf /);
      assert.match(s.run.stopped?.title ?? '', /#PF at 0x201000, a read/);
      assert.match(s.run.stopped?.why ?? '', /KVM walks these tables, and injects it into the guest/);
      s.run.continue_();
      assert.equal(next(s), 'ended halt 0');
    });
  }
});
