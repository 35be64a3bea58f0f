import assert from 'node:assert/strict';
import { assemble } from '../../../src/asm/index';
import { hpa } from '../../../src/base/address';
import { Cpu } from '../../../src/hw/cpu/cpu';
import { PAGEWALK_X64 } from '../../../src/hw/cpu/cpuid-model';
import { setRealMode } from '../../../src/hw/cpu/system/reset';
import { HostMemory } from '../../../src/hw/memory/host-memory';
import { SLOT } from '../../../src/hw/state/layout';

/**
 * A whole path through the modes on the real CPU: real mode, protected mode, IA-32e with paging, level 3 by SYSRET, a page fault and a system call back, a
 * breakpoint from level 3 through RSP0, and a halt. What the handlers saw is left in memory at `log`.
 */
const BOOT = `
bits 16
org 0x7c00
start:
    cli
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:protected
bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x9000
    ; one 2 MiB page, supervisor and user, at 0; the next 2 MiB are not present
    mov edi, 0x10000
    xor eax, eax
    mov ecx, 0x1000
    rep stosd
    mov dword [0x10000], 0x11007
    mov dword [0x11000], 0x12007
    mov dword [0x12000], 0x00087
    mov eax, 0x20
    mov cr4, eax
    mov eax, 0x10000
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x101
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 0x18:in_long
bits 64
in_long:
    lidt [idtr]
    mov ax, 0x38
    ltr ax
    mov ecx, 0xc0000081
    xor eax, eax
    mov edx, 0x00200018
    wrmsr
    mov ecx, 0xc0000082
    mov eax, kernel
    xor edx, edx
    wrmsr
    mov ecx, 0xc0000084
    mov eax, 0x200
    xor edx, edx
    wrmsr
    mov ecx, user
    mov r11d, 0x202
    mov esp, 0x9000
    o64 sysret
user:
    mov rsp, 0xa000
    mov rax, [0x200008]     ; page fault: its handler returns to the label after it
after:
    int3
    syscall
    hlt
kernel:
    mov [log + 32], rcx
    mov [log + 40], r11
    hlt
page_fault:
    pop qword [log]
    mov rax, cr2
    mov [log + 8], rax
    mov qword [rsp], after
    iretq
breakpoint:
    mov [log + 16], rsp
    mov rax, [rsp + 8]
    mov [log + 24], rax
    iretq

align 8
gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
    dq 0x00cff3000000ffff, 0x00affb000000ffff
    dw 0x67, tss
    dd 0x00008900
    dq 0
gdtr:
    dw gdtr - gdt - 1
    dd gdt
idt:
    times 3 dq 0, 0
    dw breakpoint, 0x18, 0xee00, 0
    dq 0
    times 10 dq 0, 0
    dw page_fault, 0x18, 0x8e00, 0
    dq 0
idtr:
    dw idtr - idt - 1
    dq idt
tss:
    dd 0
    dq 0xb000
    times 92 db 0
log:
    times 6 dq 0
`;

describe('a guest through every mode', () => {
  it('real, protected, long, level 3 and back', () => {
    const program = assemble(BOOT, { fileName: 'boot.asm' });
    assert.deepEqual(program.diagnostics, []);
    const symbol = (name: string): bigint => {
      const s = program.symbols.find((x) => x.name === name);
      assert.ok(s);
      return s.value;
    };
    const memory = new HostMemory(0n, 0x20_0000);
    const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 64, tlbWays: 4 });
    memory.write(hpa(0x7c00n), program.image);
    setRealMode(cpu.state, 0, 0x7c00);
    assert.deepEqual(cpu.run(20_000), { kind: 'halt' });
    const log = (n: number): bigint => memory.read64(hpa(symbol('log') + BigInt(n * 8)));
    assert.equal(log(0), 4n, 'error code: user read of a page that is not present');
    assert.equal(log(1), 0x20_0008n, 'CR2');
    assert.equal(log(2), 0xb000n - 40n, 'the breakpoint’s frame is on RSP0');
    assert.equal(log(3), 0x33n, 'and was pushed from level 3');
    assert.equal(log(4), symbol('after') + 3n, 'RCX of SYSCALL');
    assert.equal(log(5) & 0x1_0202n, 0x202n, 'R11: RF was dropped after the instruction behind IRETQ');
    assert.equal(cpu.state.get(SLOT.EFER), 0x501n);
    assert.equal(cpu.state.cpl, 0);
  });
});

describe('interrupts at an instruction boundary (SDM vol. 3, 6.7 and 6.8)', () => {
  const START = 0x7c00;
  function cpuWith(source: string): Cpu {
    const program = assemble(`bits 16\norg ${START}\n${source}`, { fileName: 'boundary.asm' });
    assert.deepEqual(program.diagnostics, []);
    const memory = new HostMemory(0n, 0x10_0000);
    const cpu = new Cpu(memory, 0, PAGEWALK_X64, { tlbEntries: 64, tlbWays: 4 });
    memory.write(hpa(BigInt(START)), program.image);
    // vectors 2 and 32 go to 0:9000 and 0:9100, which halt
    memory.write32(hpa(8n), 0x9000);
    memory.write32(hpa(128n), 0x9100);
    memory.write8(hpa(0x9000n), 0xf4);
    memory.write8(hpa(0x9100n), 0xf4);
    setRealMode(cpu.state, 0, START);
    cpu.state.set(4, 0x7000n);
    return cpu;
  }
  const pushedIp = (cpu: Cpu): number => Number(cpu.memory.read32(hpa(cpu.state.get(4))) & 0xffff);

  it('STI lets one more instruction run before an external interrupt', () => {
    const cpu = cpuWith('sti\nnop\nnop\nhlt');
    cpu.state.set32(SLOT.PENDING_INTR, 0x120);
    assert.deepEqual(cpu.run(100), { kind: 'halt' });
    assert.deepEqual([cpu.state.rip, pushedIp(cpu)], [0x9101n, START + 2]);
  });
  it('MOV SS holds off an NMI too; an NMI blocks the next until IRET', () => {
    const cpu = cpuWith('mov ss, ax\nnop\nnop\nhlt');
    cpu.run(1);
    cpu.state.set32(SLOT.PENDING_NMI, 1);
    assert.deepEqual(cpu.run(100), { kind: 'halt' });
    assert.deepEqual([cpu.state.rip, pushedIp(cpu)], [0x9001n, START + 3]);
    cpu.state.set32(SLOT.PENDING_NMI, 1);
    assert.deepEqual(cpu.run(100), { kind: 'halt' });
    assert.equal(cpu.state.get(4), 0x6ffan, 'no second frame');
  });
  it('TF traps after each instruction, with the address of the next', () => {
    const cpu = cpuWith('push word 0x102\npopf\nnop\nnop\nhlt');
    cpu.memory.write32(hpa(4n), 0x9000);
    assert.deepEqual(cpu.run(100), { kind: 'halt' });
    assert.deepEqual([cpu.state.rip, pushedIp(cpu)], [0x9001n, START + 5]);
    assert.notEqual(cpu.state.get(SLOT.DR6) & 0x4000n, 0n);
  });
});
