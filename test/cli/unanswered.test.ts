/** What nobody answered, and what the guest was doing when the limit came: ports and physical addresses without a device, polling, fault loops, loops, the wrong mode. */
import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

const METHODS = [
  ['--mmu', 'ept'],
  ['--mmu', 'npt'],
  ['--mmu', 'shadow', '--shadow', 'modern'],
  ['--mmu', 'shadow', '--shadow', 'classic'],
  ['--mmu', 'software'],
] as const;
const run = (source: string, ...args: readonly string[]) => pagewalk(['run', 'g.asm', ...args], { 'g.asm': source });

interface Report {
  readonly stop: { readonly kind: string; readonly why: string };
  readonly instructions: number;
  readonly unanswered: readonly {
    readonly port?: string;
    readonly gpa?: string;
    readonly name: string;
    readonly reads: number;
    readonly writes: number;
  }[];
}
async function report(source: string, ...args: readonly string[]): Promise<Report> {
  const r = await run(source, '--json', ...args);
  assert.equal(r.stderr, '');
  return JSON.parse(r.stdout) as Report;
}
/** The guest runs into its limit under every method, and the stop says this. */
async function limit(source: string, words: RegExp): Promise<void> {
  for (const method of METHODS) {
    const { stop, instructions } = await report(source, '--max-instructions', '3000', ...method);
    assert.deepEqual([stop.kind, instructions], ['limit', 3000], method.join(' '));
    assert.match(stop.why, words, method.join(' '));
  }
}

describe('what nobody answered', () => {
  it('is in the report: ports and addresses by name, with how often', async () => {
    const source = `bits 64
  mov dx, 0x1f7
  in al, dx
  in al, dx
  mov al, 0x34
  out 0x43, al
  mov dx, 0x1234
  out dx, ax
  mov rax, cr3
  mov rax, [rax]
  and rax, -4096
  mov rax, [rax]
  and rax, -4096
  mov rdx, 0xfec00083
  mov [rax + 8], rdx
  mov ebx, [0x200010]
  mov [0x200000], ebx
  hlt`;
    for (const method of METHODS) {
      const { unanswered } = await report(source, ...method);
      assert.deepEqual(
        unanswered.map((u) => [u.port ?? u.gpa, u.port === undefined, u.name, u.reads, u.writes]),
        [
          ['0x1f7', false, 'primary ATA channel', 2, 0],
          ['0x43', false, '8254 timer: mode', 0, 1],
          ['0x1234', false, 'nothing that is usual', 0, 1],
          ['0xfec00010', true, 'I/O APIC', 1, 1],
        ],
        method.join(' '),
      );
    }
  });

  it('is said once at the first touch, with the line', async () => {
    const { stderr } = await run('bits 64\nmov ecx, 50\nagain: in al, 0x64\nloop again\nhlt');
    assert.equal(
      stderr.split('\n')[0],
      'g.asm:3: Port 0x64 (8042 keyboard controller: status and command) is read at again (g.asm:3): no device answers there, so the read gives ones',
    );
    assert.equal(stderr.match(/no device answers/g)?.length, 1);
  });

  it('is bounded: 256 places, 32 lines', async () => {
    const source = 'bits 64\nmov dx, 0x4000\nagain: in al, dx\ninc dx\ncmp dx, 0x5000\njne again\nhlt';
    assert.equal((await report(source)).unanswered.length, 256);
    assert.equal((await run(source)).stderr.match(/no device answers/g)?.length, 32);
  });

  it('devices that are there are not in it', async () => {
    const source = `bits 64
  mov dx, 0x3fd
  in al, dx
  out 0xe9, al
  hlt`;
    assert.deepEqual((await report(source)).unanswered, []);
  });

  it('a guest that waits for an interrupt of a timer that is not there is told so', async () => {
    const { stop } = await report('bits 64\nmov al, 0x34\nout 0x43, al\nsti\nhlt');
    assert.equal(stop.kind, 'idle');
    assert.match(stop.why, /Nothing answered at port 0x43 \(8254 timer: mode\)\.$/);
  });
});

describe('the stop at the limit', () => {
  it('names the port that is polled, what lives there, and where', () =>
    limit(
      'bits 16\nstart: cli\n.w1: in al, 0x64\ntest al, 2\njnz .w1\nhlt\ntimes 510-($-$$) db 0\ndw 0xaa55',
      /The guest is polling port 0x64 \(8042 keyboard controller: status and command\) at start\.w1 \(g\.asm:3\), where nothing answers/,
    ));
  it('names a port that is polled though a device answers', () =>
    limit(
      'bits 64\nmov dx, 0x3fd\nwait_for: in al, dx\ntest al, 1\njz wait_for\nhlt',
      /The guest is polling port 0x3fd at wait_for \(g\.asm:3\)\./,
    ));
  it('names the fault that comes again and again', () =>
    limit(
      `bits 64
  lea rax, [idt]
  lea rbx, [handler]
  mov [rax + 14 * 16], bx
  mov word [rax + 14 * 16 + 2], 8
  mov word [rax + 14 * 16 + 4], 0x8e00
  shr rbx, 16
  mov [rax + 14 * 16 + 6], bx
  lidt [idtr]
  mov rbx, 0x7f0000000000
touch: mov eax, [rbx]
  hlt
handler: add rsp, 8
  iretq
idtr: dw 4095
  dq idt
align 16
idt: times 256 * 16 db 0`,
      /The guest takes the same #PF for address 0x7f0000000000 again and again at touch \(g\.asm:11\)\./,
    ));
  it('names the loop', async () => {
    await limit('bits 64\nhere: jmp here', /in a loop of one instruction at here \(g\.asm:2\)\.$/);
    await limit(
      'bits 64\nround: inc rax\ncmp rax, -1\njne round\nhlt',
      /in a loop of 3 instructions from round \(g\.asm:2\) to round\+0x[0-9a-f]+ \(g\.asm:4\)\.$/,
    );
  });
  it('is at the same place and count as without it', async () => {
    // REP, exits and faults within the last instructions
    const source = 'bits 64\ncld\nagain: mov rdi, 0x300000\nmov ecx, 40\nrep stosb\ncpuid\nout 0xe9, al\njmp again';
    for (const n of ['100', '255', '256', '257', '1000']) {
      const { instructions, stop } = await report(source, '--max-instructions', n);
      assert.deepEqual([instructions, stop.kind], [Number(n), 'limit']);
    }
  });
});

describe('code in the wrong mode', () => {
  it('is told at the stop: `bits 64` lines in a 16-bit segment, and the other way round', async () => {
    for (const method of METHODS) {
      const wide = await report(
        'bits 16\nstart: cli\njmp next\nbits 64\nnext: mov rax, 0x1122334455667788\nmov rbx, [rax]\nhere: jmp here\ntimes 510-($-$$) db 0\ndw 0xaa55',
        '--max-instructions',
        '2000',
        ...method,
      );
      assert.match(
        wide.stop.why,
        /The guest executes g\.asm:\d+ in a 16-bit code segment, but that line is assembled for `bits 64`/,
        method.join(' '),
      );
      const narrow = await report(
        'bits 64\nstart: jmp next\nbits 32\nnext: jmp next',
        '--max-instructions',
        '500',
        ...method,
      );
      assert.match(narrow.stop.why, /executes g\.asm:4 in 64-bit mode, but that line is assembled for `bits 32`/);
    }
  });
  it('is not told of code in its own mode', async () => {
    const { stop } = await report('bits 64\nhere: jmp here', '--max-instructions', '500');
    assert.doesNotMatch(stop.why, /assembled for/);
  });
});
