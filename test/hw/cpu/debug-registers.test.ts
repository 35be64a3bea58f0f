/** Breakpoints of DR0–DR3 on the bare CPU: SDM vol. 3, 17.2 and 17.3. A #DB handler in real mode records IP, the flags' RF cannot be seen there, and DR6. */
import assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_SVM, PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setRealMode } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';

/** Where the handler writes 8 bytes a time: IP and DR6; DI points behind the last. */
const LOG = 0x6000;

/**
 * Runs `code` behind a set-up that puts `dr` into DR0–DR3 and `dr7` into DR7, until it halts. What #DB was raised: the label of the address it returns to, and DR6's B3–B0,
 * BS and BD.
 */
function run(
  code: string,
  dr7: number,
  dr: readonly (string | number)[],
  budget = 10_000,
  tlb = { tlbEntries: 64, tlbWays: 4 },
  model = PAGEWALK_X64,
): string[] {
  const source = `
bits 16
org 0x7c00
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov sp, 0x7000
  mov word [4], handler
  mov word [6], 0
  mov di, ${LOG}
${dr.map((v, n) => `  mov eax, ${v}\n  mov dr${n}, eax`).join('\n')}
  mov eax, ${dr7}
  mov dr7, eax
  mov bx, 0x5000
${code}
done: hlt
handler:
  push eax
  push bp
  mov bp, sp
  mov ax, [bp + 6]
  cs mov [di], ax
  mov eax, dr6
  cs mov [di + 4], eax
  mov eax, 0xffff0ff0
  mov dr6, eax
  ; RF, which a 16-bit frame has no room for: the frame is made 32 bits wide
  movzx eax, word [bp + 10]
  or eax, 0x10000
  mov [${LOG - 4}], eax
  movzx eax, word [bp + 8]
  mov [${LOG - 8}], eax
  movzx eax, word [bp + 6]
  mov [${LOG - 12}], eax
  pop bp
  pop eax
  add sp, 6
  add di, 8
  push dword [${LOG - 4}]
  push dword [${LOG - 8}]
  push dword [${LOG - 12}]
  iretd
`;
  const out = assemble(source, { fileName: 'guest.asm' });
  assert.deepEqual(out.diagnostics, []);
  const memory = new HostMemory(0n, 1 << 20);
  memory.write(hpa(0x7c00n), out.image);
  const cpu = new Cpu(memory, 0, model, tlb);
  setRealMode(cpu.state, 0, 0x7c00);
  let stop = cpu.run(budget);
  // a bus without devices
  for (; stop.kind === 'bus'; stop = cpu.run(budget)) cpu.state.rip = cpu.nextRip;
  assert.equal(stop.kind, 'halt');
  const names = new Map(out.symbols.map((s) => [Number(s.value), s.name]));
  const n = (Number(cpu.state.get(7) & 0xffffn) - LOG) / 8;
  return Array.from({ length: n }, (_, i) => {
    const ip = memory.read32(hpa(BigInt(LOG + i * 8))) & 0xffff;
    const dr6 = memory.read32(hpa(BigInt(LOG + i * 8 + 4)));
    return `${names.get(ip) ?? ip.toString(16)} ${(dr6 & 0xe00f).toString(16)}`;
  });
}

const EXECUTE = 0;
const WRITE = 1;
const PORT = 2;
const ACCESS = 3;
/** DR7 with breakpoint n local, of this kind and length code. */
const enable = (n: number, kind: number, length = 0): number =>
  (1 << (2 * n)) | (kind << (16 + 4 * n)) | (length << (18 + 4 * n));

describe('debug registers', () => {
  it('an instruction breakpoint is a fault before the instruction, once', () => {
    assert.deepEqual(run('nop\nhere: inc cx\nafter: nop', enable(0, EXECUTE), ['here']), ['here 1']);
  });
  it('a write is a trap behind the instruction; reads of it and writes beside it are none', () => {
    const code =
      'mov ax, [bx]\nmov [bx + 2], ax\nmov [bx + 1], al\nafter: mov ax, [bx + 1]\nmov [bx - 1], al\nmov [bx - 2], ax\nend: nop';
    assert.deepEqual(run(code, enable(1, WRITE, 1), [0, 0x5000]), ['after 2']);
  });
  it('an access breakpoint sees reads, read-modify-writes and the stack; two at once are told together', () => {
    const code = 'mov ax, [bx]\na: add [bx], ax\nb: mov sp, 0x5002\npush ax\nc: mov sp, 0x7000';
    assert.deepEqual(run(code, enable(0, ACCESS, 1) | enable(3, WRITE), [0x5000, 0, 0, 0x5001]), ['a 1', 'b 9', 'c 9']);
  });
  it('each iteration of a repeated instruction traps', () => {
    const source = 'mov si, 0x5000\nmov cx, 3\nold: rep lodsb\nafter: nop';
    assert.deepEqual(run(source, enable(0, ACCESS) | enable(1, ACCESS), [0x5001, 0x5002]), ['old 1', 'after 2']);
  });
  it('a trap of MOV SS waits for the next instruction; nothing breaks between the two', () => {
    const code = 'mov [0x5000], ds\nload: mov ss, [bx]\nnext: mov sp, 0x7000\nafter: nop';
    assert.deepEqual(run(code, enable(0, ACCESS, 1) | enable(1, EXECUTE), [0x5000, 'next']), ['load 1', 'after 1']);
  });
  it('an instruction breakpoint behind MOV SS is taken by AMD’s processors alone', () => {
    const code = 'mov ax, ss\nmov ss, ax\nnext: nop\nafter: nop';
    const on = (model: typeof PAGEWALK_X64): string[] =>
      run(code, enable(0, EXECUTE), ['next'], undefined, undefined, model);
    assert.deepEqual([on(PAGEWALK_X64), on(PAGEWALK_SVM)], [[], ['next 1']]);
  });
  it('what MOV SS holds back: lost behind INT1 and general detect, told in the handler of another exception', () => {
    const load = 'mov [0x5000], ds\nload: mov ss, [bx]\n';
    const watched = enable(0, ACCESS, 1);
    assert.deepEqual(run(`${load}db 0xf1\nafter: nop`, watched, [0x5000]), ['load 1', 'after 0']);
    // general detect is a fault: the access runs again from the handler, with DR7.GD clear
    const detect =
      'mov eax, dr7\nor ah, 0x20\nmov [0x5000], ds\nset: mov dr7, eax\nmov ss, [bx]\naccess: mov ecx, dr7\nend: nop';
    assert.deepEqual(run(detect, watched, [0x5000]), ['set 1', 'access 2000']);
    const ud = 'mov word [24], gone\nmov word [26], 0\n';
    assert.deepEqual(run(`${ud}${load}ud2\ngone: nop\nadd sp, 6`, watched, [0x5000]), ['load 1', 'gone 1']);
  });
  it('B3 to B0 are those of the exception; BS that software left stays', () => {
    const code = 'mov eax, 0x4002\nmov dr6, eax\nhere: nop';
    assert.deepEqual(run(code, enable(2, EXECUTE), [0, 0, 'here']), ['here 4004']);
    assert.deepEqual(run('mov eax, 2\nmov dr6, eax\ndb 0xf1\nafter: nop', 0, []), ['after 2']);
  });
  it('a port access within the range traps with CR4.DE; without it, or beside it, it does not', () => {
    const code =
      'mov eax, 8\nmov cr4, eax\nmov dx, 0x1f2\nin al, dx\nbeside: mov dx, 0x1ee\nin ax, dx\nmov dx, 0x1ef\nout dx, ax\nacross: in al, 0x80\nend: nop';
    assert.deepEqual(run(code, enable(0, PORT, 1) | enable(2, PORT), [0x1f0, 0, 0x80]), ['across 1', 'end 4']);
    assert.deepEqual(run('in al, 0x80', enable(0, PORT), [0x80]), []);
  });
  it('a single step of a port access traps behind it', () => {
    const code =
      'pushf\nor word [0x6ffe], 0x100\npopf\nin al, 0x80\nafter: pushf\nand word [0x6ffe], 0xfeff\nsecond: popf\nend: nop';
    assert.equal(run(code, 0, [])[0], 'after 4000');
  });
  it('breakpoints that are off, or whose instruction faults, say nothing; run in pieces or at once it is the same', () => {
    assert.deepEqual(run('here: mov [bx], ax', 0, ['here', 0x5000]), []);
    const code = 'mov cx, 40\nagain: mov [bx], cl\nloop again\nend: nop';
    const whole = run(code, enable(2, WRITE), [0, 0, 0x5000]);
    assert.equal(whole.length, 40);
    assert.deepEqual(run(code, enable(2, WRITE), [0, 0, 0x5000], 10_000, { tlbEntries: 0, tlbWays: 0 }), whole);
  });
});
