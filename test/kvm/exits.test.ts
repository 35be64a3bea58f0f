import * as assert from 'node:assert/strict';
import { gpa, hva } from '../../src/base/address';
import { drain } from '../../src/trace/step';
import { SLOT } from '../../src/hw/state/layout';
import { Guest } from '../vmm/support/guest';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const R8 = 8;
const R9 = 9;
const R10 = 10;
const M32 = 0xffff_ffffn;
/** Violations of a flat64 guest of one page before its first instruction: four guest tables, and the code. */
const START = 5;
const HOLE = 0x15_0000n;
const WITH_HOLE = {
  slots: [
    { gpa: 0n, size: 0x14_0000n, readonly: false },
    { gpa: 0x16_0000n, size: 0x20_0000n, readonly: false },
  ],
} as const;

describe('EPT violations', () => {
  it('fill the EPT page by page: a cold 4×4 walk is 24 references in the end', () => {
    const g = new Guest('hlt');
    g.halt();
    assert.deepEqual(g.exits, { EPT_VIOLATION: START, HLT: 1 });
    const { guest, nested } = g.machine.references;
    assert.equal(guest + nested, 24);
    assert.deepEqual(g.stepsOfExit('EPT_VIOLATION'), [
      'vmx_handle_exit',
      'handle_ept_violation',
      'kvm_mmu_page_fault',
      'kvm_tdp_page_fault',
      'gfn_to_memslot',
      'gup_fast',
      'host_pfn_mapping_level',
      'kvm_tdp_mmu_map',
      'tdp_mmu_link_sp',
      'tdp_mmu_link_sp',
      'tdp_mmu_link_sp',
      'make_spte',
      'VMRESUME',
    ]);
  });

  it('of a page nobody touched go on to the host: its fault, its zeroed page, then the entry', () => {
    const g = new Guest('mov rax, [0x200000]\n mov rbx, [0x200008]\n mov [0x200010], rax\n hlt');
    const r = g.halt();
    // the page table of the second 2 MiB, and the page
    assert.deepEqual([r[RAX], g.exits['EPT_VIOLATION']], [0n, START + 2]);
    assert.deepEqual(g.stepsOfExit('EPT_VIOLATION', START + 1).slice(4, 9), [
      'gfn_to_memslot',
      'gup_fast',
      'hva_to_pfn_slow',
      'handle_mm_fault',
      'do_anonymous_page',
    ]);
    assert.equal(
      g.epte(0x20_0000n) & 0xfffn,
      0xb77n,
      'readable, writable, executable, write-back: rights come from slot and host, not from the access',
    );
    assert.equal(g.stats.pf_fixed, START + 2);
  });

  it('map 2 MiB where slot, alignment and host page allow', () => {
    const source = 'mov al, [0x200000]\n mov al, [0x3ff000]\n mov al, [0x400000]\n hlt';
    const large = new Guest(source, 'flat64', { hostPages: 'thp' });
    large.halt();
    assert.equal(large.epte(0x20_0000n) & 0x80n, 0x80n);
    const small = new Guest(source);
    small.halt();
    // tables and code are two violations instead of five; then one per 2 MiB, instead of one per page and page table
    assert.deepEqual([large.exits['EPT_VIOLATION'], small.exits['EPT_VIOLATION']], [4, START + 5]);
    const crooked = new Guest(source, 'flat64', { hostPages: 'thp', hvaBase: 0x7f5a_0000_1000n });
    crooked.halt();
    assert.equal(crooked.epte(0x20_0000n) & 0x80n, 0n, 'the host has large pages, but GPA and HVA disagree');
  });

  it('happen in the middle of an exception, which is then delivered again', () => {
    // the IDT, the handler and its stack lie in pages of their own, all unmapped in the EPT when #UD comes
    const g = new Guest(`
      mov rdi, 0x300000 + 6*16
      mov rax, 0x400000
      mov [rdi], ax
      mov word [rdi+2], 8
      mov word [rdi+4], 0x8e00
      shr rax, 16
      mov [rdi+6], ax
      lidt [idtr]
      mov rsp, 0x500000
      mov byte [0x400000], 0xf4
      ud2
      idtr: dw 0xfff
      dq 0x300000`);
    const end = g.end();
    assert.equal(end.kind, 'halt', end.why);
    assert.equal(end.rip, 0x40_0001n);
    assert.ok(g.stepsOfExit('EXCEPTION_NMI').includes('vmx_inject_exception'));
    assert.ok(
      g.steps.some((s) => s.fn === 'vmx_complete_interrupts'),
      'the violation on the new stack interrupted the delivery',
    );
    assert.equal(
      g.qword(0x50_0000n - 40n),
      g.machine.vcpu.registers().rip - 1n === 0x40_0000n ? (g.symbols.get('idtr') ?? 0n) - 2n : -1n,
      'the frame holds the RIP of UD2',
    );
  });

  it('of exhausted host memory end the run and say so', () => {
    const g = new Guest('mov rdi, 0x200000\nl: mov [rdi], rdi\n add rdi, 4096\n jmp l', 'flat64', {
      hostMemory: 2 << 20,
      hostSwap: 0n,
    });
    const end = g.end();
    assert.equal(end.kind, 'internal-error');
    assert.match(end.why, /KVM_RUN\) fails with EFAULT for GPA 0x[0-9a-f]+: host memory is exhausted/);
  });
});

describe('MMIO', () => {
  it('in a hole: the first access marks the entry, later ones misconfigure, and each goes out to user space', () => {
    const g = new Guest(
      `mov rbx, ${HOLE}\n mov eax, [rbx]\n movzx ecx, byte [rbx+5]\n mov dword [rbx], 7\n hlt`,
      'flat64',
      WITH_HOLE,
    );
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RCX]], [M32, 0xffn]);
    assert.deepEqual(g.exits, { EPT_VIOLATION: START + 1, EPT_MISCONFIG: 2, HLT: 1 });
    const { mmio_exits, pf_emulate, pf_mmio_spte_created, insn_emulation } = g.stats;
    assert.deepEqual([mmio_exits, pf_emulate, pf_mmio_spte_created, insn_emulation], [3, 3, 1, 3]);
    assert.deepEqual(g.stepsOfExit('EPT_MISCONFIG'), [
      'vmx_handle_exit',
      'handle_ept_misconfig',
      'kvm_mmu_page_fault',
      'handle_mmio_page_fault',
      'walk_addr',
      'x86_decode_emulated_instruction',
      'walk_addr',
      'emulator_read_write_onepage',
      'kvm_cpu_exec',
      'unassigned_mem_read',
      'complete_emulated_mmio',
      'writeback_registers',
      'VMRESUME',
    ]);
  });

  it('a read-modify-write reads and writes the device, and flags come out right', () => {
    const g = new Guest(`mov rbx, ${HOLE}\n add dword [rbx], 1\n setc cl\n setz dl\n hlt`, 'flat64', WITH_HOLE);
    const r = g.halt();
    assert.deepEqual([(r[RCX] ?? 0n) & 0xffn, (r[RDX] ?? 0n) & 0xffn], [1n, 1n], '0xffffffff + 1');
    assert.deepEqual(
      g.steps.filter((s) => s.fn.startsWith('unassigned_mem')).map((s) => s.fn),
      ['unassigned_mem_read', 'unassigned_mem_write'],
    );
  });

  it('string instructions move between device and RAM, element by element', () => {
    const g = new Guest(
      `mov rsi, ${HOLE}\n mov rdi, 0x110000\n mov ecx, 3\n rep movsd\n mov rax, [0x110000]\n mov edx, [0x110008]\n mov r8, [0x11000c]\n hlt`,
      'flat64',
      WITH_HOLE,
    );
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RDX], r[R8], r[RCX]], [0xffff_ffff_ffff_ffffn, M32, 0n, 0n]);
    assert.equal(g.stats.mmio_exits, 3);
    assert.equal(g.stats.insn_emulation, 1);
  });

  it('an access across the end of RAM is half RAM, half device', () => {
    const g = new Guest(
      'mov dword [0x13fffe], 0x11223344\n mov eax, [0x13fffe]\n movzx ecx, word [0x13fffe]\n hlt',
      'flat64',
      WITH_HOLE,
    );
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RCX]], [0xffff_3344n, 0x3344n]);
  });

  it('a write to a read-only slot goes out, reads stay mapped', () => {
    const slots = [
      { gpa: 0n, size: 0x20_0000n, readonly: false },
      { gpa: 0x20_0000n, size: 0x1000n, readonly: true },
    ];
    const g = new Guest(
      'mov rbx, 0x200000\n mov rax, [rbx]\n mov dword [rbx], 7\n mov rcx, [rbx]\n mov dword [rbx], 8\n hlt',
      'flat64',
      { slots },
    );
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RCX]], [0n, 0n]);
    // a page table, the read, and two writes
    assert.deepEqual(g.exits, { EPT_VIOLATION: START + 4, HLT: 1 });
    assert.equal(g.stats.mmio_exits, 2);
    assert.equal(g.epte(0x20_0000n) & 7n, 5n);
  });

  it('a slot that appears in a hole makes the mark stale', () => {
    const g = new Guest(`mov rbx, ${HOLE}\n mov eax, [rbx]\n out 0x80, al\n mov ecx, [rbx]\n hlt`, 'flat64', WITH_HOLE);
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    assert.equal(g.stop().kind, 'exit-pending');
    const { vm, host } = g.machine;
    const vma = host.mmap(0x1_0000n, { hint: hva(0x7f5b_0000_0000n), name: 'late' });
    assert.ok(vma.ok);
    const set = drain(
      vm.setUserMemoryRegion({
        slot: 2,
        readonly: false,
        guestPhysAddr: gpa(HOLE),
        memorySize: 0x1_0000n,
        userspaceAddr: vma.value.start,
      }),
    );
    assert.ok(set.ok);
    const r = g.halt();
    assert.deepEqual([r[RAX], r[RCX]], [M32, 0n]);
    assert.deepEqual(g.exits, { EPT_VIOLATION: START + 1, IO_INSTRUCTION: 1, EPT_MISCONFIG: 1, HLT: 1 });
  });

  it('running into a hole is an instruction that cannot be fetched', () => {
    const end = new Guest(`mov eax, ${HOLE}\n jmp rax`, 'flat64', WITH_HOLE).end();
    assert.equal(end.kind, 'internal-error');
    assert.equal(end.rip, HOLE);
    assert.match(end.why, /cannot emulate the instruction at RIP 0x150000: its code at GPA 0x150000 is in no memslot/);
  });

  it('an exception frame that would go to a device ends the run and names the event', () => {
    const end = new Guest(
      `mov rdi, 0x130000 + 6*16
      mov rax, handler
      mov [rdi], ax
      mov word [rdi+2], 8
      mov word [rdi+4], 0x8e00
      shr rax, 16
      mov [rdi+6], ax
      lidt [idtr]
      mov rsp, ${HOLE + 0x1000n}
      ud2
      handler: hlt
      idtr: dw 0xfff
      dq 0x130000`,
      'flat64',
      WITH_HOLE,
    ).end();
    assert.equal(end.kind, 'internal-error');
    assert.match(end.why, /DELIVERY_EV.*delivering #UD/);
  });
});

describe('other exits', () => {
  it('port input and output, every size, with and without a device', () => {
    const g =
      new Guest(`mov dx, 0x3fd\n in al, dx\n mov r8, rax\n mov rax, -1\n in eax, 0x80\n mov r9, rax\n mov rax, 0x1122334455667788\n in ax, 0x80\n mov r10, rax\n
      mov al, 'x'\n out 0xe9, al\n in al, 0xe9\n mov rbx, rax\n mov dx, 0x3f8\n mov al, 'y'\n out dx, al\n hlt`);
    const r = g.halt();
    assert.deepEqual([r[R8], r[R9], r[R10]], [0x60n, M32, 0x1122_3344_5566_ffffn]);
    assert.equal((r[RBX] ?? 0n) & 0xffn, 0xe9n);
    assert.deepEqual([g.debugcon, g.serial], ['x', 'y']);
    assert.equal(g.stats.io_exits, 6);
  });

  it('REP OUTSB and INSB use the emulator', () => {
    const g = new Guest(
      'mov rsi, msg\n mov ecx, 5\n mov dx, 0xe9\n rep outsb\n mov rdi, 0x110000\n mov ecx, 2\n rep insb\n mov rax, [0x110000]\n hlt\n msg: db "hello"',
    );
    assert.equal(g.halt()[RAX], 0xe9e9n);
    assert.equal(g.debugcon, 'hello');
    assert.deepEqual(g.exits, { EPT_VIOLATION: START + 1, IO_INSTRUCTION: 2, HLT: 1 });
  });

  it('CPUID shows a hypervisor and no VMX', () => {
    const g = new Guest('mov eax, 1\n cpuid\n mov r8, rcx\n mov eax, 0x40000000\n cpuid\n hlt');
    const r = g.halt();
    assert.deepEqual([((r[R8] ?? 0n) >> 31n) & 1n, ((r[R8] ?? 0n) >> 5n) & 1n], [1n, 0n]);
    const text = [r[RBX], r[RCX], r[RDX]]
      .map((x) => String.fromCharCode(...[0n, 8n, 16n, 24n].map((s) => Number(((x ?? 0n) >> s) & 0xffn))))
      .join('');
    assert.equal(text, 'KVMKVMKVM\0\0\0');
    assert.equal(g.exits['CPUID'], 2);
  });

  it('MSRs: pass-through ones do not exit, others do, unknown ones are #GP', () => {
    const g = new Guest(`mov ecx, 0xc0000100\n mov eax, 0x1234\n xor edx, edx\n wrmsr\n rdmsr\n mov r8, rax\n
      mov ecx, 0xc0000082\n mov eax, 0x5678\n wrmsr\n rdmsr\n mov r9, rax\n mov ecx, 0xc0000080\n rdmsr\n mov r10, rax\n hlt`);
    const r = g.halt();
    assert.deepEqual([r[R8], r[R9], r[R10]], [0x1234n, 0x5678n, 0xd00n]);
    assert.deepEqual([g.exits['MSR_WRITE'], g.exits['MSR_READ']], [1, 2]);
    const counters = new Guest(
      'mov ecx, 0xc0010000\n mov eax, 1\n wrmsr\n rdmsr\n mov r8, rax\n mov ecx, 0x186\n rdmsr\n hlt',
    );
    assert.equal(counters.halt()[R8], 0n, 'old performance counters answer without a PMU');
    const bad = new Guest('mov ecx, 0x1234567\n rdmsr\n hlt').end();
    assert.equal(bad.kind, 'triple-fault', 'there is no IDT to take the #GP');
  });

  it('control registers: guest-owned bits and CR3 do not exit, PAE, SMEP and CR8 do', () => {
    const g =
      new Guest(`mov rax, cr0\n or eax, 0x10000\n mov cr0, rax\n mov rbx, cr0\n mov rax, cr3\n mov cr3, rax\n mov rax, cr4\n or eax, 0x80\n mov cr4, rax\n
      bts rax, 20\n mov cr4, rax\n mov rcx, cr4\n mov eax, 5\n mov cr8, rax\n mov rdx, cr8\n invlpg [0x200000]\n hlt`);
    const r = g.halt();
    assert.deepEqual([r[RBX], r[RCX], r[RDX]], [0x8001_0031n, 0x10_00a0n, 5n]);
    assert.equal(g.exits['CR_ACCESS'], 3);
    assert.equal(g.exits['INVLPG'], undefined);
    assert.equal(
      new Guest('mov rax, cr4\n bts rax, 13\n mov cr4, rax\n hlt').end().kind,
      'triple-fault',
      "VMXE is not the guest's: #GP",
    );
  });

  it('real mode to protected mode to long mode', () => {
    const g = new Guest(
      `cli
      mov dword [0x1000], 0x2003
      mov dword [0x2000], 0x3003
      mov dword [0x3000], 0x83
      lgdt [gdtr]
      mov eax, 0x20
      mov cr4, eax
      mov eax, 0x1000
      mov cr3, eax
      mov ecx, 0xc0000080
      rdmsr
      or eax, 0x100
      wrmsr
      mov eax, cr0
      or eax, 0x80000001
      mov cr0, eax
      jmp 8:lm
      bits 64
      lm: mov rax, 0x1122334455667788
      mov ecx, 0xc0000080
      mov rbx, rax
      rdmsr
      hlt
      gdt: dq 0, 0x00af9a000000ffff
      gdtr: dw 15
      dd gdt`,
      'flat16',
    );
    const r = g.halt();
    assert.deepEqual([r[RBX], r[RAX]], [0x1122_3344_5566_7788n, 0x500n]);
    assert.equal(g.exits['CR_ACCESS'], 2);
  });

  it('PAE paging takes its PDPTEs through KVM', () => {
    const g = new Guest(
      `cli
      mov dword [0x1000], 0x2001
      mov dword [0x2000], 0x83
      lgdt [gdtr]
      mov eax, 0x20
      mov cr4, eax
      mov eax, 0x1000
      mov cr3, eax
      mov eax, cr0
      or eax, 0x80000001
      mov cr0, eax
      jmp 8:pm
      bits 32
      pm: mov ax, 16
      mov ds, ax
      mov ebx, [0x2000]
      hlt
      gdt: dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
      gdtr: dw 23
      dd gdt`,
      'flat16',
    );
    assert.equal((g.halt()[RBX] ?? 0n) & 0x83n, 0x83n);
  });

  it('hypercalls answer that there are none, debug registers are lent, VMX is #UD', () => {
    const g = new Guest(
      'mov eax, 5\n vmcall\n mov r8, rax\n mov eax, 0x1000\n mov dr0, rax\n mov rbx, dr0\n cpuid\n mov rcx, dr0\n hlt',
    );
    const r = g.halt();
    assert.deepEqual([BigInt.asIntN(64, r[R8] ?? 0n), r[RCX]], [-1000n, 0x1000n]);
    assert.equal(g.exits['DR_ACCESS'], 2, 'once, and once more after the CPUID took them back');
    assert.equal(g.stats.hypercalls, 1);
    assert.equal(new Guest('vmxoff').end().kind, 'triple-fault');
  });

  it('HLT ends as halt or idle, by the interrupt flag', () => {
    assert.equal(new Guest('hlt').end().kind, 'halt');
    const idle = new Guest('sti\n hlt').end();
    assert.deepEqual([idle.kind, idle.code], ['idle', 0]);
  });

  it('an interrupt from user space waits for STI and is injected', () => {
    const g = new Guest(`
      mov rdi, 0x300000 + 0x21*16
      mov rax, handler
      mov [rdi], ax
      mov word [rdi+2], 8
      mov word [rdi+4], 0x8e00
      shr rax, 16
      mov [rdi+6], ax
      lidt [idtr]
      out 0x80, al
      mov ebx, 1
      sti
      nop
      mov ebx, 2
      hlt
      handler: mov ecx, ebx
      cli
      hlt
      idtr: dw 0xfff
      dq 0x300000`);
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    assert.equal(g.stop().kind, 'exit-pending');
    g.machine.vcpu.events.queueInterrupt(0x21);
    assert.equal(g.halt()[RCX], 1n, 'after the shadow of STI, before the next MOV');
    assert.equal(g.exits['INTERRUPT_WINDOW'], 1);
    assert.equal(g.stats.irq_injections, 1);
  });

  it('a VM entry that hardware refuses names the fields', () => {
    const g = new Guest('out 0x80, al\n hlt');
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    g.stop();
    g.machine.vcpu.regs.rflags = 0n;
    const end = g.end();
    assert.deepEqual([end.kind, end.code], ['entry-failure', 8]);
    assert.match(end.why, /GUEST_RFLAGS/);
    assert.ok(end.unmet.length > 0);
  });
});

/** A 64-bit interrupt gate for `vector` in an IDT at 0x300000, to `label`; uses RAX and RDI. */
const gate = (vector: number, label: string): string => `
  mov rdi, 0x300000 + ${vector}*16
  mov rax, ${label}
  mov [rdi], ax
  mov word [rdi+2], 8
  mov word [rdi+4], 0x8e00
  shr rax, 16
  mov [rdi+6], ax
  lidt [idtr]`;
const IDTR = 'idtr: dw 0xfff\n dq 0x300000';

describe('exceptions that KVM makes or hands back', () => {
  it('an emulated instruction that faults on RAM gives the guest its #PF', () => {
    // MOVSD from the device to an address that the guest has not mapped
    const g = new Guest(
      `${gate(14, 'fault')}\n mov rsi, ${HOLE}\n mov rdi, 0x40000000\n movsd\n hlt\n fault: pop rbx\n mov rcx, cr2\n mov rdx, [rsp]\n hlt\n ${IDTR}`,
      'flat64',
      {
        slots: [...WITH_HOLE.slots],
      },
    );
    const r = g.halt();
    assert.deepEqual([r[RBX], r[RCX]], [2n, 0x4000_0000n], 'a write of a page that is not present');
    assert.equal(g.stats.pf_guest, 1);
    assert.equal(g.stats.mmio_exits, 1);
  });

  it("the emulator sets the accessed and dirty bits of the guest's tables", () => {
    const g = new Guest(`mov rsi, ${HOLE}\n mov rdi, 0x110000\n movsd\n hlt`, 'flat64', WITH_HOLE);
    g.halt();
    const walks = g.steps.filter((s) => s.fn === 'walk_addr');
    const data = walks.find((s) => s.addresses.gva === 0x11_0000n);
    assert.ok(data);
    assert.equal(data.reads.length, 4);
    assert.deepEqual(
      data.writes.map((w) => [w.level, w.value & 0x60n]),
      [[1, 0x60n]],
    );
  });

  it('#UD and a single-step trap come back to the guest; RF keeps a fault from repeating its trap', () => {
    const g = new Guest(`
      ${gate(6, 'undefined')}
      ${gate(1, 'trap')}
      ud2
      after: pushfq
      or qword [rsp], 0x100
      popfq
      cpuid
      nop
      and r14, r14
      hlt
      undefined: mov r8, [rsp+16]
      add qword [rsp], 2
      iretq
      trap: inc r9
      mov r10, [rsp]
      cmp r9, 2
      jb back
      and qword [rsp+16], -1-0x100
      back: iretq
      ${IDTR}`);
    const r = g.halt();
    assert.equal(((r[R8] ?? 0n) >> 16n) & 1n, 1n, 'RF in the pushed image of a fault');
    assert.equal(r[R9], 2n, 'after CPUID, which KVM completed, and after NOP, which hardware did');
  });
});

describe('memory that changes under the guest', () => {
  it('munmap on the host takes the EPT entries, flushes, and the next access ends as the host says', () => {
    const g = new Guest('mov qword [0x200000], 7\n out 0x80, al\n mov rax, [0x200000]\n hlt');
    g.machine.pauseAtExits = (e) => e.name === 'IO_INSTRUCTION';
    g.stop();
    const { host } = g.machine;
    const at = g.machine.options.hvaBase + 0x20_0000n;
    assert.ok(drain(host.munmap(hva(at), hva(at + 0x1000n))).ok);
    assert.equal(g.epte(0x20_0000n), 0n);
    assert.ok(host.mmap(0x1000n, { at: hva(at), name: 'again' }).ok);
    assert.equal(g.halt()[RAX], 0n, 'a fresh page: the cached translation did not survive');
    assert.equal(g.stats.tlb_flush, 1);
    assert.ok(g.steps.some((s) => s.fn === 'vmx_flush_tlb_current'));
  });

  it('A/D bits and VPIDs can be off without the guest noticing', () => {
    const source = 'mov rcx, 100\nl: mov [0x200000+rcx*8], rcx\n cpuid\n mov ecx, [0x200000+8]\n sub ecx, 1\n hlt';
    const on = new Guest(source);
    const off = new Guest(source, 'flat64', { eptAd: false, vpid: false });
    assert.deepEqual(off.halt(), on.halt());
    assert.equal(off.machine.vcpu.vpid, 0);
    assert.equal((off.epte(0x20_0000n) >> 8n) & 3n, 0n);
    // with A/D off, guest tables are only read by the walk, so that their A bits are the only writes
    assert.equal(on.machine.vcpu.registers().get(SLOT.CR3), off.machine.vcpu.registers().get(SLOT.CR3));
  });
});
