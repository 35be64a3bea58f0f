import * as assert from 'node:assert/strict';
import { example } from '../../cli/support';
import { next, open, value, wait } from '../scene';

const CALLS = `bits 64
start:  call    outer
        mov     ecx, 4
        mov     rsi, source
        mov     rdi, target
        rep movsb
        hlt
outer:  push    rbp
        mov     rbp, rsp
        call    inner
        pop     rbp
        ret
inner:  push    rbp
        mov     rbp, rsp
        inc     eax
        pop     rbp
        ret
source: db      "abcd"
target: times 4 db 0
`;

/** Steps and checks where each ends. */
function walk(source: string, steps: readonly (readonly ['in' | 'over' | 'out' | 'line', string])[]): void {
  const s = open(source);
  assert.equal(next(s), 'entry start');
  // what the guest's first touches of its pages do is not the matter here
  const quiet = (): string => {
    for (;;) {
      const at = next(s);
      if (!s.stack.frames()[0]?.document) return at;
      s.run.stepOut();
    }
  };
  for (const [how, where] of steps) {
    if (how === 'in') s.run.stepIn('instruction');
    else if (how === 'over') s.run.stepOver('instruction');
    else if (how === 'line') s.run.stepOver('line');
    else s.run.stepOut();
    let at = quiet();
    // back from the exit the instruction is still to be executed
    while (how === 'in' && s.run.stopped?.title === 'back in the guest') {
      s.run.stepIn('instruction');
      at = quiet();
    }
    assert.equal(at.replace(/^step /, ''), where);
  }
}

describe('stepping in the guest', () => {
  it('over calls', () =>
    walk(CALLS, [
      ['line', 'start+0x5'],
      ['line', 'start+0xa'],
    ]));
  it('out of calls', () => walk(CALLS, [['over', 'start+0x5']]));
  it('into calls and out of them', () =>
    walk(CALLS, [
      ['in', 'outer'],
      ['over', 'outer+0x1'],
      ['over', 'outer+0x4'],
      ['in', 'inner'],
      ['over', 'inner+0x1'],
      ['out', 'outer+0x9'],
      ['out', 'start+0x5'],
    ]));
  it('through a REP instruction an iteration at a time, or over it', () => {
    walk(CALLS, [
      ['over', 'start+0x5'],
      ['over', 'start+0xa'],
      ['over', 'start+0x14'],
      ['over', 'start+0x1e'],
      ['over', 'start+0x20'],
    ]);
    const s = open(CALLS);
    s.breakpoints.setSource('guest.asm', [{ line: 6 }]);
    s.run.continue_();
    assert.equal(next(s), 'breakpoint start+0x1e');
    s.run.stepIn('instruction');
    assert.equal(next(s), 'step start+0x1e');
    assert.equal(value(s, 'ecx'), '0x3');
  });

  it('shows the calls by the frame-pointer chain', () => {
    const s = open(CALLS);
    s.breakpoints.setSource('guest.asm', [{ line: 15 }]);
    s.run.continue_();
    wait(s);
    assert.deepEqual(
      s.stack.frames().map((f) => `${f.name} ${f.location?.line}`),
      ['inner+0x4 15', 'outer+0x9 10', 'start+0x5 2'],
    );
  });

  it('stops when asked to, and goes on', () => {
    const s = open('bits 64\nstart: jmp start');
    s.run.continue_();
    assert.equal(s.run.advance(1000).kind, 'running');
    s.run.pause();
    assert.equal(next(s), 'pause start');
    s.run.stepOver('line');
    assert.equal(next(s), 'step start');
    s.run.stepOut();
    assert.equal(s.run.advance(1000).kind, 'running');
    s.run.pause();
    assert.equal(next(s), 'pause start');
  });
});

describe('stepping into an exit', () => {
  it('each Step stops, the hypervisor above the guest, and out of it is back to the guest', () => {
    const s = open(example('first-touch'));
    s.breakpoints.setFunctions([{ name: 'first' }]);
    s.run.continue_();
    wait(s);
    s.run.stepIn('line');
    assert.equal(next(s), 'step VM exit EPT_VIOLATION');
    const seen: string[] = [];
    for (let i = 0; i < 100; i++) {
      s.run.stepIn('line');
      wait(s);
      const top = s.stack.frames()[0];
      if (top?.kind === 'guest') break;
      seen.push(`${top?.actor} ${top?.name}`);
      assert.equal(s.stack.frames().at(-1)?.name, 'first');
      const text = s.stack.document(top?.document?.id ?? 0)?.split('\n') ?? [];
      assert.match(text[(top?.document?.line ?? 0) - 1] ?? '', new RegExp(`^${top?.actor} +${top?.name}`));
    }
    assert.deepEqual(
      seen.filter((name) => /handle_ept_violation|gfn_to_memslot|handle_mm_fault|make_spte|VMRESUME/.test(name)),
      ['kvm handle_ept_violation', 'kvm gfn_to_memslot', 'host handle_mm_fault', 'kvm make_spte', 'cpu VMRESUME'],
    );
    assert.equal(s.stack.frames()[0]?.name, 'first');
    s.run.stepIn('line');
    assert.equal(next(s), 'step second');
  });

  it('over a callee of the hypervisor, and out', () => {
    const s = open(example('first-touch'));
    s.breakpoints.setFunctions([{ name: 'first' }]);
    s.run.continue_();
    wait(s);
    s.run.stepIn('line');
    wait(s);
    for (let i = 0; i < 20 && s.stack.frames()[0]?.name !== 'gfn_to_memslot'; i++) {
      s.run.stepIn('line');
      wait(s);
    }
    s.run.stepOver('line');
    assert.equal(next(s), 'step hva_to_pfn_slow');
    s.run.stepOut();
    assert.equal(next(s), 'step first');
    assert.equal(s.run.stopped?.title, 'back in the guest');
  });

  it('over the exiting instruction the exit is part of it', () => {
    const s = open(example('hello'));
    s.breakpoints.setFunctions([{ name: 'wait_ready' }]);
    s.run.continue_();
    wait(s);
    s.run.stepOver('line');
    assert.equal(next(s), 'step wait_ready+0x4');
    s.run.stepOver('line');
    assert.equal(next(s), 'step wait_ready+0x5');
    assert.equal(value(s, 'al'), '0x60 = 96');
  });
});

describe('a call whose push exits', () => {
  const SOURCE = `bits 64
start:  mov     rsp, 0x301000
        call    far_away
        hlt
far_away: nop
        ret
`;
  const atCall = (options: Readonly<Record<string, string>> = {}): ReturnType<typeof open> => {
    const s = open(SOURCE, options);
    s.breakpoints.setSource('guest.asm', [{ line: 3 }]);
    assert.equal(next(s), 'entry start');
    s.run.continue_();
    assert.match(next(s), /^breakpoint /);
    return s;
  };
  const labels = (s: ReturnType<typeof open>): readonly string[] => s.run.stepTargets().map(({ label }) => label);

  for (const [mmu, event] of [
    ['ept', 'EPT_VIOLATION'],
    ['npt', 'NPF'],
  ] as const)
    it(`offers the call and the exit under ${mmu}`, () => {
      const into = atCall({ mmu });
      assert.deepEqual(labels(into), ['call far_away', `VM exit ${event} of the push`]);
      into.run.stepIn('line', 'call');
      assert.equal(next(into), 'step far_away');
      assert.deepEqual(labels(into), []);
      const exit = atCall({ mmu });
      exit.run.stepIn('line', 'exit');
      next(exit);
      assert.match(exit.run.stopped?.title ?? '', new RegExp(`^VM exit ${event}`));
      assert.deepEqual(labels(exit), []);
      // its Steps left, the plain key enters the call, although the page of the stack exits as that of the table did
      exit.run.stepOut();
      next(exit);
      assert.equal(exit.run.stopped?.title, 'back in the guest');
      assert.equal(labels(exit).length, 2);
      exit.run.stepIn('line');
      assert.equal(next(exit), 'step far_away');
    });

  it('handles the exit on the way to the callee under every method', () => {
    for (const options of [{ mmu: 'shadow' }, { mmu: 'shadow', shadow: 'modern' }, { mmu: 'software' }]) {
      const s = atCall(options);
      assert.equal(labels(s)[0], 'call far_away');
      s.run.stepIn('line', 'call');
      assert.equal(next(s), 'step far_away', JSON.stringify(options));
    }
  });
});

describe('stepping by lines', () => {
  it('leaves a macro line at once, and stops at it again only where it begins again', () => {
    const s = open(`bits 64
%macro two 0
        inc     eax
        inc     ebx
%endmacro
%macro count 1
        mov     ecx, %1
%%again: dec    ecx
        jnz     %%again
%endmacro
start:  two
        count   3
        two
round:  two
        jmp     round
`);
    const lines: unknown[] = [];
    next(s);
    for (let i = 0; i < 6; i++) {
      lines.push(s.stack.frames()[0]?.location?.line);
      s.run.stepOver('line');
      next(s);
    }
    assert.deepEqual(lines, [11, 12, 13, 14, 15, 14]);
  });
});
