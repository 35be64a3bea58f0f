/** The call stack of code without unwind tables: callers, their lines, and no caller where there is none. */
import * as assert from 'node:assert/strict';
import type { Session } from '../../../src/session/session';
import type { ViewNode } from '../../../src/session/types';
import { next, open, wait } from '../scene';

const frames = (s: Session): readonly string[] => s.stack.frames().map((f) => `${f.name} ${f.location?.line ?? '?'}`);

/** Runs to the label `here`, and names the frames with their lines. */
function check(source: string, expected: readonly string[], options: Readonly<Record<string, string>> = {}): void {
  const s = open(source, options);
  s.breakpoints.setFunctions([{ name: 'here' }]);
  s.run.continue_();
  assert.match(next(s), /^function-breakpoint here/);
  assert.deepEqual(frames(s), expected);
}

/** The registers of a view by name; `mark`: not the frame's own. */
const registers = (s: Session, path: string): ReadonlyMap<string, ViewNode> => {
  const page = s.views.page(path);
  assert.ok(page.ok, path);
  return new Map(page.value.nodes.map((node) => [node.name, node]));
};

/**
 * Stops before every instruction of a guest and compares the stack with the calls and returns that were executed: their return addresses, outermost last, and, at
 * every fourth stop, the registers at each call, of which those that a frame shows as its own must be the same.
 */
function follow(source: string, options: Readonly<Record<string, string>> = {}): { stops: number; own: number } {
  const s = open(source, options);
  const lines = s.symbols.codeLines('guest.asm', 1, 10_000).map((line) => ({ line }));
  s.breakpoints.setSource('guest.asm', lines);
  const calls: { readonly back: bigint; readonly before: ReadonlyMap<string, ViewNode> }[] = [];
  let own = 0;
  const word = s.guest.bits / 8;
  for (let stops = 0; ; stops++) {
    s.run.continue_();
    if (wait(s).kind === 'ended') return { stops, own };
    const rip = s.guest.linearRip;
    const [top, ...callers] = s.stack.frames().map((f) => f.address);
    assert.equal(top, rip);
    const place = `at ${s.stack.frames()[0]?.name}, line ${s.stack.frames()[0]?.location?.line}`;
    const truth = [...calls].reverse();
    assert.deepEqual(
      callers,
      truth.map(({ back }) => back),
      place,
    );
    for (const [i, { back, before }] of stops % 4 === 0 ? truth.entries() : []) {
      for (const [name, { raw, mark }] of registers(s, `registers@${i + 1}`)) {
        if (mark !== undefined) assert.ok(!/^r[isb]p$/.test(name), `${name} of frame ${i + 1} ${place}`);
        else {
          own++;
          assert.equal(raw, name === 'rip' ? back : before.get(name)?.raw, `${name} of frame ${i + 1} ${place}`);
        }
      }
    }
    const [insn] = s.disassembly.around(rip, 0, 1);
    if (insn?.text.startsWith('call'))
      calls.push({ back: rip + BigInt(insn.bytes.length), before: registers(s, 'registers') });
    if (insn?.text.startsWith('ret')) calls.pop();
    assert.ok(stops < 5000 && word > 0, 'the guest ends');
  }
}

/** A sequence of numbers below a bound, the same each time. */
function numbers(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

describe('call stack', () => {
  it('shows each level of a recursion, and of callers the line of the call', () =>
    check(
      `bits 64
start:  mov     edi, 3
        call    down
        hlt
down:   push    rbp
        mov     rbp, rsp
        dec     edi
        jz      here
        call    down
here:   nop
        pop     rbp
        ret`,
      ['here 10', 'down+0xd 9', 'down+0xd 9', 'start+0xa 3'],
    ));
  it('takes no stale word for a caller', () => {
    // f's return address still lies at [rsp]
    check(
      `bits 64
start:  call    f
        sub     rsp, 8
        jmp     here
f:      ret
        nop
here:   hlt`,
      ['here 7'],
    );
    // the same where the code could go on into f
    check(
      `bits 64
start:  call    f
        sub     rsp, 8
here:   nop
        out     0xf4, al
f:      ret`,
      ['here 4'],
    );
    // in the middle of a function, at a label of its own
    check(
      `bits 64
start:  call    g
        hlt
g:      sub     rsp, 16
        call    f
        lea     rax, [rel start.back]
        mov     [rsp], rax
here:   add     rsp, 16
        ret
f:      ret
start.back equ start + 5`,
      ['here 8', 'start+0x5 2'],
    );
  });
  it('keeps a caller whose call is the last instruction of its function', () =>
    check('bits 64\nstart: call f\nf2: nop\nf: jmp here\nhere: hlt', ['here 5', 'start+0x5 2']));
  it('goes through frames of more than a page, and through aligned ones', () =>
    check(
      `bits 64
start:  call    f
        hlt
f:      push    rbp
        mov     rbp, rsp
        sub     rsp, 0x3000
        and     rsp, -64
        call    g
        leave
        ret
g:      enter   0x40, 0
here:   leave
        ret`,
      ['here 12', 'f+0x14 8', 'start+0x5 2'],
    ));
  it('from a handler on to what was interrupted, with and without an error code', () => {
    const guest = (fault: string): string => `bits 64
start:  call    f
        hlt
f:      push    rbx
        lea     rax, [rel handler]
        mov     rdi, 0x110000
        mov     ecx, 16
gates:  mov     [rdi], ax
        mov     dword [rdi + 2], 0x8e000008
        mov     rdx, rax
        shr     rdx, 16
        mov     [rdi + 6], dx
        add     rdi, 16
        loop    gates
        lidt    [rel idtr]
        ${fault}
        nop
handler: push   rbp
        mov     rbp, rsp
        call    act
        hlt
act:    nop
here:   ret
idtr    dw      255
        dq      0x110000
`;
    const at = (line: number, where: string): readonly string[] => [
      'here 23',
      'handler+0x9 20',
      `${where} ${line}`,
      'start+0x5 2',
    ];
    check(guest('ud2'), at(16, 'gates+0x22'));
    check(guest('mov [qword 0xffff900000000000], al'), at(16, 'gates+0x22'));
  });
  it('in 16-bit and 32-bit code, and under every method', () => {
    for (const bits of [16, 32, 64]) {
      const [sp, bp] = bits === 64 ? ['rsp', 'rbp'] : bits === 32 ? ['esp', 'ebp'] : ['sp', 'bp'];
      const source = `bits ${bits}
start:  mov     cx, 2
        call    f
        hlt
f:      push    ${bp}
        mov     ${bp}, ${sp}
        sub     ${sp}, 32
        dec     cx
        jz      here
        call    f
here:   leave
        ret`;
      for (const mmu of ['ept', 'npt', 'shadow', 'software']) {
        const s = open(source, { mmu });
        s.breakpoints.setFunctions([{ name: 'here' }]);
        s.run.continue_();
        wait(s);
        assert.deepEqual(
          frames(s).map((f) => f.replace(/\+\S+/, '')),
          ['here 11', 'f 10', 'start 3'],
          `${bits} ${mmu}`,
        );
      }
    }
  });
  it('and the registers of each frame are right before every instruction of random functions', () => {
    let [stops, own] = [0, 0];
    for (let seed = 1; seed <= 3; seed++) {
      const found = follow(program(seed));
      stops += found.stops;
      own += found.own;
    }
    assert.ok(stops > 100, String(stops));
    assert.ok(own > 2 * stops, `${own} at ${stops} stops`);
  });
});

/** Functions with and without frame pointers, saved registers, locals, loops, early returns, arguments that they remove; r12 bounds the calls. */
function program(seed: number): string {
  const random = numbers(seed * 2654435761);
  const count = 4;
  const saved = ['rbx', 'rsi', 'r13', 'r14'];
  const out = ['bits 64', 'start: mov r12d, 6', 'xor ebp, ebp', 'call f0', 'hlt'];
  for (let f = 0; f < count; f++) {
    const framed = random(2) === 1;
    const kept = saved.slice(0, random(4));
    const locals = random(3) * 16;
    out.push(`f${f}:`);
    if (framed) out.push('push rbp', 'mov rbp, rsp');
    out.push(...kept.map((r) => `push ${r}`), ...kept.map((r) => `lea ${r}, [${r} * 2 + ${f + 1}]`));
    if (locals > 0) out.push(random(2) === 0 ? `sub rsp, ${locals}` : `lea rsp, [rsp - ${locals}]`);
    out.push('dec r12d', `js .end`);
    for (let i = random(3); i >= 0; i--) {
      const callee = `f${random(count)}`;
      if (random(3) === 0) out.push(`lea rax, [rel ${callee}]`, 'call rax');
      else out.push(`call ${callee}`);
      if (random(3) === 0) out.push('push r15', 'nop', 'pop r15');
      if (random(3) === 0) out.push(`mov r15d, 2`, `.loop${i}: dec r15d`, `jnz .loop${i}`);
    }
    out.push('.end:');
    if (framed && random(2) === 0) {
      if (kept.length > 0) out.push(`lea rsp, [rbp - ${8 * kept.length}]`);
      else out.push('mov rsp, rbp');
    } else if (locals > 0) out.push(`add rsp, ${locals}`);
    out.push(...[...kept].reverse().map((r) => `pop ${r}`));
    if (framed) out.push(kept.length === 0 && random(2) === 0 ? 'leave' : 'pop rbp');
    out.push('ret');
  }
  return out.join('\n');
}
