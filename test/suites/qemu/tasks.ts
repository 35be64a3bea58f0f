/**
 * Hardware task switches: far CALL and JMP to a TSS and through a task gate, IRET back by the back link, a 16-bit TSS (where NARROW is defined), task gates in the IDT for an INT n and for a
 * #GP with its error code, and a task with page tables of its own. Each task prints TR, back link, NT and CR0.TS. For flat32, behind HEX32's `puthex`.
 */
export const TASKS32 = `
  lgdt [task_gdtr]
  lidt [task_idtr]
  mov edi, task_gdt
${['a', 'b', 'c', 'd'].map((t, i) => `  mov eax, tss_${t}\n  mov [edi + ${0x18 + 8 * i} + 2], ax\n  shr eax, 16\n  mov [edi + ${0x18 + 8 * i} + 4], al`).join('\n')}
  mov ax, 0x18
  ltr ax
  mov eax, cr3
  mov [tss_a + 0x1c], eax
  mov [tss_b + 0x1c], eax
  ; page tables for task D: another directory, where 4 MiB..8 MiB is a page of 4 MiB at 8 MiB
  mov [tss_d + 0x1c], dword 0x30000
  mov esi, eax
  mov edi, 0x30000
  mov ecx, 1024
  cld
  rep movsd
  mov eax, cr4
  or eax, 0x10
  mov cr4, eax
  mov dword [0x30000 + 4], 0x00800083
  mov dword [0x412340], 0x11111111
  mov dword [0x812340], 0x22222222
  mov ebx, 0x1234
  mov ebp, 0x5678
  ; a CALL to a TSS, and again: the task goes on behind its IRET
  call 0x20:0
  call tell
  call 0x20:0
  call tell
  ; through a task gate in the GDT
  call 0x38:0
  call tell
  ; a JMP there and back
  mov byte [jump_back], 1
  jmp 0x20:0
  call tell
  mov byte [jump_back], 0
%ifdef NARROW
  ; a 16-bit TSS
  call 0x28:0
  call tell
%endif
  ; task gates in the IDT
  int 0x30
  call tell
  mov byte [pop_code], 1
  mov ax, 0x1230
  mov gs, ax
  call tell
  mov byte [pop_code], 0
  ; page tables of its own
  call 0x30:0
  mov eax, [0x412340]
  call puthex
  call tell
  jmp tasks_done

; what task this is
tell:
  pushfd
  pop eax
  and eax, 0x4000
  call puthex
  str eax
  call puthex
  mov eax, cr0
  and eax, 8
  call puthex
  mov eax, ebx
  call puthex
  mov eax, ebp
  call puthex
  mov al, 10
  out 0xe9, al
  clts
  ret

task_b:
  mov ebx, 0xb0b0
.again:
  cmp byte [pop_code], 0
  je .no_code
  pop eax
  call puthex
  ; the outgoing task is to go on behind the instruction that faulted
  add dword [tss_a + 0x20], 2
.no_code:
  mov eax, [tss_b]
  call puthex
  call tell
  add ebx, 1
  cmp byte [jump_back], 0
  jne .jump
  iretd
  jmp .again
.jump:
  jmp 0x18:0
  jmp .again

bits 16
task_c:
  mov ax, 0x7777
  iret
  jmp task_c
bits 32

task_d:
  mov eax, [0x412340]
  call puthex
  mov eax, cr3
  call puthex
  call tell
  iretd
  jmp task_d

jump_back: db 0
pop_code: db 0
align 8
task_gdt:
  dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
  dq 0x0000890000000067, 0x0000890000000067, 0x000081000000002b, 0x0000890000000067
  dq 0x0000850000200000
  dq 0x00009a100000ffff   ; 16-bit code at 1 MiB
task_gdtr: dw 9 * 8 - 1
  dd task_gdt
task_idtr: dw 0x31 * 8 - 1
  dd task_idt
align 8
task_idt: times 13 dq 0
  dq 0x0000850000200000
  times 0x30 - 14 dq 0
  dq 0x0000850000200000
align 16
tss_a: times 26 dd 0
tss_b: dd 0
  times 7 dd 0
  dd task_b, 2
  dd 0, 0, 0, 0, stack_b, 0, 0, 0
  dd 0x10, 8, 0x10, 0x10, 0x10, 0x10
  dd 0, 0
tss_c: times 7 dw 0
  dw task_c - 0x100000, 2
  dw 0x1111, 0x2222, 0x3333, 0x4444, 0x5000, 0x6666, 0x7777, 0x8888
  dw 0x10, 0x40, 0x10, 0x10
  dw 0
align 4
tss_d: times 8 dd 0
  dd task_d, 2
  dd 0, 0, 0, 0, stack_d, 0, 0, 0
  dd 0x10, 8, 0x10, 0x10, 0x10, 0x10
  dd 0, 0
  times 64 dd 0
stack_b:
  times 64 dd 0
stack_d:
tasks_done:
`;
