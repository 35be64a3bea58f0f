/** The registers of each frame of the call stack: its own where that is known, otherwise the top frame's, marked; over the protocol. */
import * as assert from 'node:assert/strict';
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Session } from '../../src/session/session';
import { needs, skipBecause, whyNoProgram } from '../support/needs';
import { memoryHost } from './hosts';
import { FILE, Scene } from './scene';

type Variables = Dap.VariablesResponse['body'];
interface Hover {
  readonly operands: readonly { readonly expression: string; readonly value: string }[];
}

/** A client of a guest that stands at `here`. */
async function at(
  here: Dap.FunctionBreakpoint['name'],
  file: string,
  guest: string | Uint8Array,
  fields: object = {},
): Promise<Frames> {
  const d = new Frames(memoryHost({ [file]: guest }, Session.create));
  await d.launch({ program: file, stopOnEntry: true, ...fields });
  await d.toStop('configurationDone');
  await d.ask('setFunctionBreakpoints', { breakpoints: [{ name: here }] });
  await d.toStop('continue');
  return d;
}
const inGuest = (source: string, fields: object = {}): Promise<Frames> => at('here', FILE, source, fields);

class Frames extends Scene {
  /** What a watch shows in a frame (1: the top one), or why nothing. */
  async value(frameId: number, expression: string): Promise<string> {
    return (await this.ask<Dap.EvaluateResponse['body']>('evaluate', { frameId, expression, context: 'watch' })).result;
  }
  /** The number that it shows in the first `count` frames. */
  async numbers(expression: string, count = 3): Promise<readonly bigint[]> {
    const out: bigint[] = [];
    for (let id = 1; id <= count; id++) {
      const text = await this.value(id, expression);
      assert.doesNotMatch(text, /of the top frame/, `${expression} in frame ${id}`);
      out.push(BigInt(text.split(' ')[0] ?? ''));
    }
    return out;
  }
  async scopeOf(frameId: number, name = 'Registers'): Promise<number> {
    const { scopes } = await this.ask<Dap.ScopesResponse['body']>('scopes', { frameId });
    return scopes.find((each) => each.name === name)?.variablesReference ?? assert.fail(`no scope ${name}`);
  }
  async rows(frameId: number, scope?: string): Promise<ReadonlyMap<string, Dap.Variable>> {
    const variablesReference = await this.scopeOf(frameId, scope);
    const { variables } = await this.ask<Variables>('variables', { variablesReference });
    return new Map(variables.map((each) => [each.name, each]));
  }
}

/** Three frames, of which each pushes what it will use: f pushes RBP and RBX, g RBX and R12. */
const NESTED = `bits 64
start:  mov     rsp, 0x8000
        mov     ebp, 0x1111
        mov     ebx, 0xb0
        mov     r12d, 0xc0
        mov     r13d, 0xd0
        mov     esi, 0x51
        call    f
        hlt
f:      push    rbp
        mov     rbp, rsp
        push    rbx
        sub     rsp, 24
        mov     qword [rbp - 16], 0xf
        mov     ebx, 0xb1
        mov     eax, 0xa1
        call    g
        leave
        ret
g:      push    rbp
        mov     rbp, rsp
        push    rbx
        push    r12
        mov     ebx, 0xb2
        mov     r12d, 0xc2
        mov     qword [rbp - 24], 0x9
        mov     eax, 0xa2
        xor     esi, esi
here:   nop
        pop     r12
        pop     rbx
        pop     rbp
        ret
`;

describe('registers of each frame of an assembly guest', () => {
  it('RIP, RSP and RBP are its own, and so is what was pushed or not touched since', async () => {
    const d = await inGuest(NESTED);
    const stack = await d.stack();
    assert.deepEqual(
      stack.map(({ name }) => name.replace(/\+.*/, '')),
      ['here', 'f', 'start'],
    );
    assert.deepEqual(
      await d.numbers('rip'),
      stack.map((frame) => BigInt(frame.instructionPointerReference ?? '')),
    );
    // f: its return address, RBP, RBX and 24 bytes; g: the return address, RBP, RBX and R12
    assert.deepEqual(await d.numbers('rsp'), [0x7fb0n, 0x7fd0n, 0x8000n]);
    assert.deepEqual(await d.numbers('rbp'), [0x7fc0n, 0x7ff0n, 0x1111n]);
    assert.deepEqual(await d.numbers('[rbp - 8]', 2), [0xb1n, 0xb0n]);
    assert.deepEqual(await d.numbers('[rbp - 16] & 0xff', 2), [0xc0n, 0xfn]);
    assert.deepEqual(await d.numbers('rbx'), [0xb2n, 0xb1n, 0xb0n]);
    assert.deepEqual(await d.numbers('r12d'), [0xc2n, 0xc0n, 0xc0n]);
    assert.deepEqual(await d.numbers('bl + r13w'), [0x182n, 0x181n, 0x180n]);
  });

  it('others are marked as those of the top frame, and read-only', async () => {
    const d = await inGuest(NESTED);
    for (const [expression, expected] of [
      ['rax', '0xa2 = 162 (of the top frame)'],
      ['ah', '0x0 (of the top frame)'],
      ['rax + rbx', '0x153 = 339 (rax of the top frame)'],
      ['rsi == rax', 'false (rsi of the top frame) (rax of the top frame)'],
      ['xmm0', `0x${'0'.repeat(32)} (of the top frame)`],
      ['ZF', '1 (of the top frame)'],
      // one for all frames
      ['cs', '0x8'],
      ['cr2', '0x0'],
      ['here', '0x'],
    ] as const) {
      const shown = await d.value(2, expression);
      if (expression === 'here') assert.doesNotMatch(shown, /top frame/);
      else assert.equal(shown, expected, expression);
      assert.doesNotMatch(await d.value(1, expression), /top frame/);
    }
    const [top, caller] = [await d.rows(1), await d.rows(2)];
    const marked = [...caller.values()].filter(({ value }) => value.endsWith('(of the top frame)'));
    assert.deepEqual(
      marked.map(({ name }) => name),
      ['rax', 'rsi', 'rflags'],
    );
    for (const { name, presentationHint } of marked) {
      assert.deepEqual(presentationHint, { attributes: ['readOnly'] }, name);
      assert.equal(top.get(name)?.presentationHint, undefined, name);
    }
    assert.equal(caller.get('rbx')?.value, '0xb1');
    assert.ok([...top.values()].every(({ value }) => !value.includes('top frame')));
    for (const scope of ['Flags', 'SSE', 'x87'])
      for (const { name, value } of (await d.rows(2, scope)).values())
        assert.match(value, /\(of the top frame\)$/, name);
    for (const scope of ['Segments', 'Control State'])
      assert.deepEqual([...(await d.rows(2, scope))], [...(await d.rows(1, scope))], scope);
  });

  it('are not its own where a CALL through a register may have led to other code, which jumped here', async () => {
    const d = await inGuest(`bits 64
start:  mov     rsp, 0x8000
        mov     edi, 3
        lea     rax, [rel last]
        call    rax
        hlt
last:   mov     edi, 5
        jmp     sized
sized:  nop
here:   ret
`);
    assert.equal(await d.value(2, 'rsp'), '0x8000 = 32768');
    assert.equal(await d.value(2, 'rdi'), '0x5 (of the top frame)');
  });

  it('open into their parts, by frame', async () => {
    const d = await inGuest(NESTED);
    const parts = async (variablesReference = 0): Promise<readonly string[]> =>
      (await d.ask<Variables>('variables', { variablesReference })).variables.map(
        ({ name, value }) => `${name} ${value}`,
      );
    const expected = ['ebx 0xb1', 'bx 0xb1', 'bh 0x0', 'bl 0xb1'];
    assert.deepEqual(await parts((await d.rows(2)).get('rbx')?.variablesReference), expected);
    const watch = await d.ask<Dap.EvaluateResponse['body']>('evaluate', { frameId: 2, expression: 'rbx' });
    assert.deepEqual(await parts(watch.variablesReference), expected);
  });

  it('hover goes by frame', async () => {
    const d = await inGuest(NESTED);
    const hover = async (frameId: number, lineText: string, column: number): Promise<readonly string[]> =>
      (await d.ask<Hover>('pagewalk/hover', { lineText, column, frameId })).operands.map(
        ({ expression, value }) => `${expression} ${value.split(' ')[0] ?? ''}`,
      );
    const line = 'mov rbx, [rbp - 8]';
    assert.deepEqual(await hover(1, line, 5), ['rbx 0xb2']);
    assert.deepEqual(await hover(2, line, 5), ['rbx 0xb1']);
    assert.deepEqual(await hover(1, line, 11), ['[rbp - 8] 0xb1']);
    assert.deepEqual(await hover(2, line, 11), ['[rbp - 8] 0xb0']);
  });

  it('are set where they lie: in the CPU, or in the slot that the function called restores them from', async () => {
    const d = await inGuest(NESTED);
    const set = async (frameId: number, name: string, value: string): Promise<string> => {
      const variablesReference = await d.scopeOf(frameId);
      return (await d.ask<Dap.SetVariableResponse['body']>('setVariable', { variablesReference, name, value })).value;
    };
    assert.equal(await set(2, 'rbx', '0x5b1'), '0x5b1');
    assert.equal(await d.value(1, '[rbp - 8]'), '0x5b1 = 1457');
    assert.equal(await d.value(1, 'rbx'), '0xb2 = 178');
    await d.ask('setExpression', { frameId: 2, expression: 'bl', value: '7' });
    assert.equal(await d.value(2, 'rbx'), '0x507 = 1287');
    // nobody touched R13: it is still in the CPU
    assert.equal(await set(3, 'r13', '0x5d'), '0x5d');
    assert.deepEqual(await d.numbers('r13'), [0x5dn, 0x5dn, 0x5dn]);
    await d.ask('evaluate', { frameId: 3, expression: 'rbp = 0x2222', context: 'repl' });
    assert.deepEqual(await d.numbers('rbp'), [0x7fc0n, 0x7ff0n, 0x2222n]);
    await d.ask('evaluate', { frameId: 2, expression: 'dword [rbp - 16] = 5', context: 'repl' });
    assert.equal(await d.value(1, 'dword [0x7fe0]'), '0x5');
    // memory that is set from a frame's registers
    await d.ask('setExpression', { frameId: 1, expression: 'qword [0x7fe0]', value: '0' });
    await d.ask('setExpression', { frameId: 2, expression: 'qword [0x7fe0]', value: 'rsp' });
    assert.equal(await d.value(1, '[0x7fe0]'), '0x7fd0 = 32720');
    // the guest goes on with what was set
    await d.ask('setFunctionBreakpoints', { breakpoints: [] });
    await d.toStop('stepOut');
    assert.deepEqual([await d.value(1, 'ebx'), await d.value(1, 'r12d')], ['0x507 = 1287', '0xc0 = 192']);
    await d.toStop('stepOut');
    assert.equal(await d.value(1, 'rbp'), '0x2222 = 8738');
  });

  it('are refused where they lie nowhere, with the reason', async () => {
    const d = await inGuest(NESTED);
    const unsaved = /PW325: .*`r?ax` of this frame is not saved anywhere; the value shown is that of the top frame/;
    for (const [name, why] of [
      ['rax', unsaved],
      ['rsp', /PW325: .*`rsp` of this frame is not stored anywhere; it follows from where the return address lies/],
      ['rflags', /PW325: .*`rflags` of this frame is not saved anywhere/],
    ] as const) {
      const variablesReference = await d.scopeOf(2);
      assert.match(await d.refused('setVariable', { variablesReference, name, value: '1' }), why);
      assert.match(await d.refused('setExpression', { frameId: 2, expression: name, value: '1' }), why);
    }
    assert.match(await d.refused('setExpression', { frameId: 2, expression: 'ax', value: '1' }), unsaved);
    assert.match(await d.refused('evaluate', { frameId: 2, expression: 'ZF = 0', context: 'repl' }), /`zf` of this/);
    assert.match(await d.refused('setExpression', { frameId: 2, expression: 'xmm0', value: '1' }), /`xmm0` of this/);
    assert.match(
      await d.refused('setExpression', { frameId: 2, expression: 'bl', value: '0x100' }),
      /PW325: .*`bl` is saved in 8 bits; 0x100 does not fit/,
    );
    assert.deepEqual([await d.value(1, 'rax'), await d.value(1, 'rbx')], ['0xa2 = 162', '0xb2 = 178']);
  });

  it('in 32-bit and 16-bit code', async () => {
    for (const bits of [32, 16]) {
      const [sp, bp, bx] = bits === 32 ? ['esp', 'ebp', 'ebx'] : ['sp', 'bp', 'bx'];
      const d = await inGuest(`bits ${bits}
start:  mov     ${sp}, 0x7000
        mov     ${bp}, 0x1111
        mov     ebx, 0x120034
        call    f
        hlt
f:      push    ${bp}
        mov     ${bp}, ${sp}
        push    ${bx}
        mov     ${bx}, 0x56
        call    g
        pop     ${bx}
        pop     ${bp}
        ret
g:      mov     ${bp}, 0x3333
here:   ret
`);
      const word = BigInt(bits / 8);
      assert.deepEqual(await d.numbers(sp), [0x7000n - 4n * word, 0x7000n - 3n * word, 0x7000n]);
      // g lost f's frame pointer, but not where f pushed that of start
      assert.match(await d.value(2, bp), /0x3333 = 13107 \(of the top frame\)/);
      assert.deepEqual(await d.numbers('bx'), [0x56n, 0x56n, 0x34n]);
      assert.equal(BigInt((await d.value(3, 'ebx')).split(' ')[0] ?? ''), 0x120034n);
    }
  });
});

describe('registers of what an interrupt interrupted', () => {
  it('are those that it pushed, and those that the handler pushed or left alone', async () => {
    const d = await inGuest(`bits 64
start:  mov     rsp, 0x8000
        mov     eax, 0xaa
        mov     ebx, 0xbb
        call    f
        hlt
f:      lea     rdi, [rel gate]
        lea     rcx, [rel handler]
        mov     [rdi], cx
        shr     rcx, 16
        mov     [rdi + 6], cx
        lidt    [rel idtr]
        xor     ecx, ecx
        stc
        div     ecx
        nop
handler: push   rax
        mov     eax, 0x11
        clc
        call    act
        pop     rax
        iretq
act:    mov     ecx, 0x99
here:   ret
idtr    dw      16 - 1
        dq      gate
        align   16
gate    dw      0, 8
        dd      0x8e00
        dq      0
`);
    const names = (await d.stack()).map(({ name }) => name.replace(/\+.*/, ''));
    assert.deepEqual(names, ['here', 'handler', 'f', 'start']);
    assert.equal(await d.value(2, 'rax'), '0x11 = 17');
    assert.equal(await d.value(3, 'rax'), '0xaa = 170');
    assert.equal(await d.value(4, 'rax'), '0xaa = 170');
    assert.equal(await d.value(3, 'rsp'), '0x7ff8 = 32760');
    assert.equal(await d.value(3, 'CF'), '1');
    assert.match(await d.value(2, 'CF'), /^0 \(of the top frame\)$/);
    assert.match(await d.value(4, 'CF'), /^0 \(of the top frame\)$/);
    assert.match(await d.value(3, 'rcx'), /^0x99 = 153 \(of the top frame\)$/);
    const flags = { frameId: 3, expression: 'CF', value: '0' };
    assert.match(
      await d.refused('setExpression', flags),
      /`cf` of this frame lies in the interrupt's stack frame at 0x/,
    );
    // RSP is popped by IRET, and may be set
    await d.ask('setExpression', { frameId: 3, expression: 'rsp', value: '0x7ff0' });
    assert.equal(await d.value(3, 'rsp'), '0x7ff0 = 32752');
  });
});

describe('frames of the hypervisor above the guest', () => {
  it('show the registers of the top guest frame', async () => {
    const d = await inGuest('bits 64\nstart: mov rsp, 0x8000\n call f\n hlt\nf: push rbp\nhere: cpuid\n ret\n');
    await d.toStop('stepIn');
    const stack = await d.stack();
    const top = stack.findIndex(({ name }) => name === 'here');
    assert.ok(top > 0, stack.map(({ name }) => name).join(', '));
    for (let id = 1; id <= top + 1; id++) assert.equal(await d.value(id, 'rsp'), '0x7ff0 = 32752', `frame ${id}`);
    assert.equal(await d.value(top + 2, 'rsp'), '0x8000 = 32768');
    assert.deepEqual([...(await d.rows(1)).values()], [...(await d.rows(top + 1)).values()]);
    assert.equal((await d.rows(top + 2)).get('rsp')?.value, '0x8000');
  });
});

/** Each function keeps what its frame pointer and stack pointer are at its call; `leaf` is at the end of the chain. */
const C = `typedef unsigned long word;
volatile word kept_fp[3], kept_sp[3];
static __attribute__((noinline)) void leaf(void) { __asm__ volatile("nop"); }
#define KEEP(n) kept_fp[n] = (word)__builtin_frame_address(0); __asm__ volatile("mov %%rsp, %0" : "=m"(kept_sp[n]))
static __attribute__((noinline)) int inner(int a) { volatile int x = a + 1; KEEP(0); leaf(); return x; }
static __attribute__((noinline)) int outer(int a) { volatile int x = a * 2; KEEP(1); return inner(x) + x; }
void _start(void) { volatile int x = 21; KEEP(2); x = outer(x); __asm__ volatile("hlt"); }
`;

describe('registers of each frame of a C guest', () => {
  for (const level of ['-O0', '-O1'])
    it(`${level}: RSP and RBP are those that the functions had at their calls`, async function () {
      const gcc = needs(this, 'gcc');
      const why = whyNoProgram(gcc);
      if (why !== undefined) skipBecause(this, why);
      const dir = mkdtempSync(join(tmpdir(), 'pagewalk-frames-'));
      try {
        const [c, out] = [join(dir, 'guest.c'), join(dir, 'guest.elf')];
        writeFileSync(c, C);
        const flags = ['-g', '-static', '-nostdlib', '-ffreestanding', '-fno-pie', '-no-pie', '-fcf-protection=none'];
        const code = ['-fno-omit-frame-pointer', '-fno-optimize-sibling-calls', '-mno-red-zone', level];
        const built = spawnSync(gcc, [...flags, ...code, '-Wl,-Ttext=0x200000', '-Wl,-N', '-o', out, c], {
          encoding: 'utf8',
        });
        assert.equal(built.status, 0, built.stderr);
        const d = await at('leaf', out, readFileSync(out));
        const stack = await d.stack();
        const names = stack.map(({ name }) => name.replace(/\+.*/, ''));
        assert.deepEqual(names, ['leaf', 'inner', 'outer', '_start']);
        for (const [i, frame] of stack.slice(1).entries()) {
          for (const [name, kept] of [
            ['rbp', 'kept_fp'],
            ['rsp', 'kept_sp'],
          ] as const)
            assert.equal(
              await d.value(i + 2, name),
              await d.value(1, `[${kept} + ${8 * i}]`),
              `${names[i + 1]} ${name}`,
            );
          const rip = await d.value(i + 2, 'rip');
          assert.equal(rip.split(' ')[0], frame.instructionPointerReference);
        }
        if (level === '-O0') {
          // x lies at [rbp - 4] of its function
          const locals = [2, 3, 4].map((id) => d.value(id, 'dword [rbp - 4]'));
          assert.deepEqual(await Promise.all(locals), ['0x2b = 43', '0x2a = 42', '0x15 = 21']);
        }
        const variablesReference = await d.scopeOf(2);
        const refused = await d.refused('setVariable', { variablesReference, name: 'rsp', value: '1' });
        assert.match(refused, /`rsp` of this frame is not stored anywhere/);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    });
});
