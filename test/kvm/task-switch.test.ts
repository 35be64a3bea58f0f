/** Task switches under KVM: every one exits, and KVM does it. What the guest sees is compared with QEMU in test/suites/qemu/tasks.ts; here is what KVM does about it. */
import assert from 'node:assert/strict';
import { Guest } from '../vmm/support/guest';

const RAX = 0;
const RBX = 3;
const RCX = 1;
const METHODS = [{ mmu: 'ept' }, { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n }] as const;

/** Task A runs `main`; task B, behind selector 0x20, runs `other`. #TS, #DB and #GP go to handlers that store the error code or DR6 in EBX and halt. */
const tasks = (main: string, other: string, trap = 0): string => `
  lgdt [gdtr]
  lidt [idtr]
  mov edi, gdt
${['a', 'b'].map((t, i) => `  mov eax, tss_${t}\n  mov [edi + ${0x18 + 8 * i} + 2], ax\n  shr eax, 16\n  mov [edi + ${0x18 + 8 * i} + 4], al`).join('\n')}
  mov eax, cr3
  mov [tss_a + 0x1c], eax
  mov [tss_b + 0x1c], eax
  mov ax, 0x18
  ltr ax
${['ts', 'db', 'gp'].map((h) => `  mov eax, ${h}\n  mov [idt + ${h}_at * 8], ax\n  mov word [idt + ${h}_at * 8 + 2], 8\n  mov word [idt + ${h}_at * 8 + 4], 0x8e00\n  shr eax, 16\n  mov [idt + ${h}_at * 8 + 6], ax`).join('\n')}
${main}
  hlt
task_b:
${other}
ts_at equ 10
db_at equ 1
gp_at equ 13
ts: pop ebx
  str ecx
  mov eax, 0x7575
  hlt
db: mov ebx, dr6
  str ecx
  mov eax, 0xdb
  hlt
gp: pop ebx
  str ecx
  mov eax, 0x9999
  hlt
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x0000890000000067, 0x0000890000000067
gdtr: dw 5 * 8 - 1
  dd gdt
idtr: dw 0x31 * 8 - 1
  dd idt
align 8
idt: times 0x30 dq 0
  dq 0x0000850000200000
align 16
tss_a: times 26 dd 0
tss_b: times 8 dd 0
  dd task_b, 2, 0, 0, 0, 0, stack_b, 0, 0, 0
  dd 0x10, 8, 0x10, 0x10, 0x10, 0x10, 0, ${trap}
  times 64 dd 0
stack_b:
`;

describe('task switches under KVM', () => {
  for (const method of METHODS) {
    const name = method.mmu;
    const guest = (source: string): Guest => new Guest(source, 'flat32', method);

    it(`CALL to a TSS exits with its selector, and KVM saves and loads (${name})`, () => {
      const g = guest(tasks('  mov ebx, 5\n  call 0x20:0\n  mov ecx, [tss_b]', '  mov ebx, 6\n  iretd'));
      const r = g.halt();
      assert.deepEqual([r[RBX], r[RCX], g.exits['TASK_SWITCH']], [5n, 0x18n, 2]);
      assert.ok(g.stepsOfExit('TASK_SWITCH').includes('kvm_task_switch'));
    });

    it(`the T flag of the new TSS is #DB with DR6.BT in it (${name})`, () => {
      const r = guest(tasks('  call 0x20:0', '  hlt', 1)).halt();
      assert.deepEqual([r[RAX], (r[RBX] ?? 0n) & 0xe00fn, r[RCX]], [0xdbn, 0x8000n, 0x20n]);
    });

    it(`clears the local breakpoints of DR7 and leaves the global ones (${name})`, () => {
      const r = guest(
        tasks('  mov eax, 0x333\n  mov dr7, eax\n  call 0x20:0', '  mov ebx, dr7\n  and ebx, 0x3ff\n  hlt'),
      ).halt();
      assert.equal(r[RBX], 0x222n);
    });

    it(`a selector of the new task that is none is #TS in it (${name})`, () => {
      const r = guest(tasks('  mov word [tss_b + 0x54], 0x1230\n  call 0x20:0', '  hlt')).halt();
      assert.deepEqual([r[RAX], r[RBX], r[RCX]], [0x7575n, 0x1230n, 0x20n]);
    });

    it(`a TSS that is too short is #TS in the old task, and no exit (${name})`, () => {
      const g = guest(tasks('  mov byte [gdt + 0x20], 0x66\n  int 0x30', '  hlt'));
      const r = g.halt();
      assert.deepEqual([r[RAX], r[RBX], r[RCX], g.exits['TASK_SWITCH']], [0x7575n, 0x20n, 0x18n, undefined]);
    });

    it(`a task whose TSS links to itself comes back to itself (${name})`, () => {
      // busy, and NT set: IRET switches from A to A
      const r = guest(
        tasks(
          '  mov word [tss_a], 0x18\n  pushfd\n  or dword [esp], 0x4000\n  popfd\n  mov ebx, 77\n  iretd\n  inc ebx',
          '  hlt',
        ),
      ).halt();
      assert.equal(r[RBX], 78n);
    });
  }
});
