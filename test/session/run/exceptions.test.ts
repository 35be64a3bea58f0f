/** Stops at any exception of the guest, by vector and condition, and what explains it afterwards, under every method alike. */
import * as assert from 'node:assert/strict';
import { next, open, value } from '../scene';

/** #GP with a selector's error code, then #UD, each with a handler that goes on behind the instruction. */
const GUEST = `bits 64
idt     equ 0x200000
start:
        lea     rax, [gp]
        mov     rbx, idt + 13 * 16
        call    gate
        lea     rax, [ud]
        mov     rbx, idt + 6 * 16
        call    gate
        lidt    [idtr]
        mov     eax, 0x168
load:   mov     ds, ax
again:  ud2
after:  hlt
gate:   mov     [rbx], ax
        mov     word [rbx + 2], 8
        mov     word [rbx + 4], 0x8e00
        shr     rax, 16
        mov     [rbx + 6], ax
        shr     rax, 16
        mov     [rbx + 8], eax
        ret
gp:     add     rsp, 8
        mov     qword [rsp], again
        iretq
ud:     mov     qword [rsp], after
        iretq
idtr:   dw      0x1ff
        dq      idt
`;
const METHODS = ['mmu=ept', 'mmu=npt cpu=pagewalk-svm', 'mmu=shadow', 'mmu=shadow shadow=modern', 'mmu=software'];
const LOAD = 'MOV: the DS selector 0x168 indexes beyond the GDT limit';

for (const method of METHODS) {
  describe(`exceptions of the guest: ${method}`, () => {
    const begin = (condition?: string): ReturnType<typeof open> => {
      const s = open(`; @guest ${method}\n${GUEST}`);
      s.breakpoints.setFilters([{ filter: 'guest-exception', ...(condition === undefined ? {} : { condition }) }]);
      s.run.continue_();
      return s;
    };

    it('each stops before its delivery, with the check that failed', () => {
      const s = begin();
      assert.equal(next(s), 'guest-exception load');
      const [reason] = s.run.stopped?.reason ?? [];
      assert.deepEqual([reason?.event, reason?.error], ['#GP', 0x168n]);
      assert.ok(reason?.why.startsWith(LOAD), reason?.why);
      assert.ok(s.run.stopped?.why.startsWith(`The guest's own #GP: ${LOAD}`), s.run.stopped?.why);
      s.run.continue_();
      assert.equal(next(s), 'guest-exception again');
      assert.match(s.run.stopped?.why ?? '', /^The guest's own #UD: UD2: the instruction is defined to raise #UD/);
      s.run.continue_();
      assert.equal(next(s), 'ended halt 0');
    });

    it('a condition chooses by vector and error code', () => {
      const s = begin('vector == 13 && error != 0');
      assert.equal(next(s), 'guest-exception load');
      s.run.continue_();
      assert.equal(next(s), 'ended halt 0');
      const none = begin('vector == 13 && error == 0');
      assert.equal(next(none), 'ended halt 0');
    });

    it('explain tells the last one, and what an access would meet', () => {
      const s = open(`; @guest ${method}\n${GUEST}`);
      assert.equal(value(s, 'explain'), 'no exception has been delivered to the guest yet');
      s.breakpoints.setFunctions([{ name: 'again' }, { name: 'after' }]);
      s.run.continue_();
      next(s);
      assert.match(
        value(s, 'explain'),
        /^the last exception:\n {2}#GP\(0x168\) at RIP 0x[0-9a-f]+: MOV: the DS selector 0x168/,
      );
      s.run.continue_();
      next(s);
      assert.match(value(s, 'explain'), /^the last exception:\n {2}#UD at RIP 0x[0-9a-f]+: UD2: /);
      assert.match(value(s, 'explain 0x800000000000'), /is not canonical/);
    });

    it('a triple fault has its chain in the stop and in the report', () => {
      const s = open(`; @guest ${method}\nbits 64\nstart: xor ecx, ecx\ndiv cl\n`);
      s.run.continue_();
      assert.equal(next(s), 'triple-fault start+0x2');
      assert.deepEqual(
        s.run.stopped?.reason?.map((r) => `${r.event} ${r.why}`),
        [
          '#DE DIV: the divisor is zero (SDM vol. 2, DIV)',
          '#GP gate 0 ends at offset 0xf of the IDT, beyond its limit 0x0 (SDM vol. 3, 6.10)',
          '#DF #GP was raised while #DE was being delivered (SDM vol. 3, table 6-5)',
          '#GP gate 8 ends at offset 0x8f of the IDT, beyond its limit 0x0 (SDM vol. 3, 6.10)',
        ],
      );
      assert.deepEqual(s.report({ serial: '', debugcon: '' }).stop.reason, s.run.stopped?.reason);
    });
  });
}

describe('a reserved bit by name', () => {
  for (const method of METHODS)
    it(`in the stop, in the chain and in the tables: ${method}`, () => {
      // EFER.NXE goes off, and a PTE of the prepared tables gets bit 63
      const s = open(`; @guest ${method}
bits 64
start:  mov     ecx, 0xc0000080
        rdmsr
        and     eax, ~0x800
        wrmsr
        mov     rbx, 0x000ffffffffff000
        mov     rax, cr3
        mov     ecx, 3
down:   mov     rax, [rax]
        and     rax, rbx
        loop    down
        bts     qword [rax + 0x80 * 8], 63
        invlpg  [0x80000]
touch:  mov     [0x80ff8], eax
`);
      s.breakpoints.setFilters([{ filter: 'guest-pf' }]);
      s.run.continue_();
      assert.equal(next(s), 'guest-pf touch');
      const xd = 'bit 63 (XD) is reserved while EFER.NXE = 0';
      assert.match(
        s.run.stopped?.why ?? '',
        /^The PTE \(0x80000000000800[0-9a-f]{2}\): bit 63 \(XD\) is reserved while EFER\.NXE = 0, for a supervisor write of 0x80ff8\. .*error code 0xb/,
      );
      assert.ok(s.run.stopped?.reason?.[0]?.why.includes(xd), s.run.stopped?.reason?.[0]?.why);
      const answer = s.translate({ address: 0x8_0ff8n, space: 'gva', access: 'w' });
      assert.ok(answer.kind === 'forward');
      const stage = answer.chain.stages.find((x) => x.stage === 'guest');
      assert.ok(stage?.stage === 'guest');
      assert.deepEqual(answer.chain.failure?.wrong, [xd]);
      assert.equal(stage.steps.at(-1)?.problem, xd);
      assert.ok(stage.steps.at(-1)?.flags.includes('XD(reserved)'));
      assert.ok(!stage.steps.at(-1)?.flags.includes('XD'));
    });
});
