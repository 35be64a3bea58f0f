import { TASKS32 } from './tasks';

/** Guests whose debug console must read the same under QEMU and under `pagewalk run`. Each ends by writing to port 0xf4. */
export interface Guest {
  readonly name: string;
  readonly start: 'boot' | 'flat32' | 'flat64';
  readonly source: string;
  /** What the manual leaves undefined here, so that registers may differ although nothing that is printed does: no lock-step. */
  readonly undefinedState?: string;
}

/** rax (or eax) in hex and a space; keeps every register. */
const HEX64 = `
puthex:
  push rax
  push rcx
  push rdx
  mov ecx, 16
  mov rdx, rax
.next:
  rol rdx, 4
  mov eax, edx
  and eax, 15
  add al, '0'
  cmp al, '9'
  jbe .digit
  add al, 'a' - '0' - 10
.digit:
  out 0xe9, al
  dec ecx
  jnz .next
  mov al, ' '
  out 0xe9, al
  pop rdx
  pop rcx
  pop rax
  ret
`;
const HEX32 = HEX64.replace(/\br(ax|cx|dx)\b/g, 'e$1').replace('ecx, 16', 'ecx, 8');
const END = '  mov al, 0x2a\n  out 0xf4, al\n  hlt\n';

/** An IDT of 256 long-mode gates to 32 generic stubs, which print vector, error code, the offset in RIP, and CR2, then jump to [resume]. */
const IDT64 = `
setup_idt:
  lea rdi, [rel idt]
  lea rax, [rel stubs]
  mov ecx, 32
.gate:
  mov [rdi], ax
  mov word [rdi + 2], 8
  mov word [rdi + 4], 0xee00
  mov rdx, rax
  shr rdx, 16
  mov [rdi + 6], dx
  shr rdx, 16
  mov [rdi + 8], edx
  mov dword [rdi + 12], 0
  add rdi, 16
  add rax, 16
  dec ecx
  jnz .gate
  lidt [rel idtr]
  ret
align 16
stubs:
${Array.from({ length: 32 }, (_, v) => `${[8, 10, 11, 12, 13, 14, 17].includes(v) ? '' : '  push qword 0\n'}  push qword ${v}\n  jmp near caught\n  align 16`).join('\n')}
caught:
  mov rax, [rsp]        ; vector
  call puthex
  mov rax, [rsp + 8]    ; error code
  call puthex
  mov rax, [rsp + 16]   ; rip
  call puthex
  mov rax, [rsp + 24]   ; cs
  call puthex
  mov rax, cr2
  call puthex
  mov al, 10
  out 0xe9, al
  mov rsp, [rel saved_rsp]
  jmp [rel resume]
align 16
idtr: dw 32 * 16 - 1
  dq idt
resume: dq 0
saved_rsp: dq 0
align 16
idt: times 32 * 16 db 0
`;
/** Runs instructions that fault, and goes on behind them. */
const tries = (all: readonly string[]): string =>
  all
    .map(
      (code, i) =>
        `  lea rax, [rel after${i}]\n  mov [rel resume], rax\n  mov [rel saved_rsp], rsp\n${code}\nafter${i}:`,
    )
    .join('\n');

const PAGING64 = `
  call setup_idt
  mov rax, cr0
  or eax, 0x10000
  mov cr0, rax
  ; the page table entry of a linear address below 2 MiB: the tables lie in a row behind CR3
  mov rbx, cr3
  lea rbx, [rbx + 0x3000]
  mov qword [rbx + 0x180 * 8], 0x180001        ; read-only
  mov qword [rbx + 0x181 * 8], 0               ; not present
  mov rax, 0x8000000000182003
  mov [rbx + 0x182 * 8], rax                   ; no execute
  mov rax, 0x0008000000183003
  mov [rbx + 0x184 * 8], rax                   ; another frame below, for A and D
  mov qword [rbx + 0x184 * 8], 0x183003
  mov rax, cr3
  mov cr3, rax
${tries([
  '  mov byte [0x180010], 1',
  '  mov al, [0x181123]',
  '  mov rax, 0x182000\n  mov byte [rax], 0xc3\n  call rax',
  '  mov rax, 0x8000000000000000\n  mov rcx, [rax]',
  '  ud2',
  '  xor edx, edx\n  xor ecx, ecx\n  div ecx',
  '  int3',
  '  mov ax, 0x1234\n  mov ds, ax',
])}
  mov byte [0x184020], 0x77
  mov al, [0x183020]
  movzx eax, al
  call puthex
  mov rax, [rbx + 0x184 * 8]
  call puthex
  mov rax, [rbx + 0x183 * 8]
  call puthex
  mov rax, [rbx + 0x180 * 8]
  call puthex
  ; a 2 MiB page over the third and fourth megabyte
  mov rcx, cr3
  mov qword [rcx + 0x2000 + 8 * 8], 0x400083
  invlpg [0x1000000]
  mov rax, 0x1122334455667788
  mov [0x1123458], rax
  mov rax, [0x523458]
  call puthex
  mov rax, [rcx + 0x2000 + 8 * 8]
  call puthex
`;

const USER64 = `
  call setup_idt
  ; pages 0x190 (code), 0x191 (stack) for user mode; the levels above too
  mov rbx, cr3
  or qword [rbx], 4
  or qword [rbx + 0x1000], 4
  or qword [rbx + 0x2000], 4
  or qword [rbx + 0x3000 + 0x190 * 8], 4
  or qword [rbx + 0x3000 + 0x191 * 8], 4
  mov rax, cr3
  mov cr3, rax
  sgdt [rel gdtr]
  mov rdi, [rel gdtr + 2]
  lea rax, [rdi + 0x100]
  mov qword [rax + 4], 0x70000                 ; RSP0
  lea rsi, [rel user]
  mov edi, 0x190000
  mov ecx, user_end - user
  rep movsb
  lea rax, [rel back]
  mov [rel resume], rax
  mov [rel saved_rsp], rsp
  mov eax, 0x20 + 3
  push rax
  mov eax, 0x191800
  push rax
  push qword 2
  push qword 0x18 + 3
  mov eax, 0x190000
  push rax
  iretq
back:
  mov rax, [rbx + 0x3000 + 0x191 * 8]
  call puthex
  jmp done
gdtr: dw 0
  dq 0
user:
  mov eax, 0x55
  push rax
  mov rax, [rsp]
  mov [0x100000], rax                          ; a supervisor page
user_end:
done:
`;

const ARITH64 = `
  mov rbx, 0x0123456789abcdef
  mov rcx, 0xfedcba9876543210
  mov r12d, 40
.round:
  mov rax, rbx
  mul rcx
  xor rbx, rdx
  add rcx, rax
  adc rbx, 0
  imul r8, rbx, -77
  rol r8, 13
  sbb rcx, r8
  bswap rcx
  mov rax, rbx
  cqo
  or rcx, 1
  mov r9, rcx
  shr r9, 40
  or r9, 3
  idiv r9
  add rbx, rdx
  shld rbx, rcx, 5
  bt rbx, 7
  adc r10, r8
  bsf r11, rbx
  add r10, r11
  cmp rbx, rcx
  setl al
  movzx eax, al
  cmovae rcx, r10
  lea r10, [r10 + rax * 4 + 3]
  push r10
  and dword [rsp], 0x0ff0ff0f
  pop r10
  sar r10, 1
  xchg cl, ch
  neg r10
  mov rax, r10
  call puthex
  dec r12d
  jnz .round
`;

const STRINGS64 = `
  lea rsi, [rel text]
  mov edi, 0x20000
  mov ecx, textlen
  cld
  rep movsb
  mov edi, 0x20000
  mov al, 'q'
  mov ecx, 100
  repne scasb
  mov rax, rdi
  call puthex
  lea rsi, [rel text]
  mov edi, 0x20000
  mov byte [0x20000 + 20], '!'
  mov ecx, textlen
  repe cmpsb
  mov rax, rcx
  call puthex
  std
  mov esi, 0x20000 + textlen - 1
  mov edi, 0x20000 + textlen + 6
  mov ecx, textlen
  rep movsb
  cld
  mov esi, 0x20000 + 7
  mov ecx, textlen
.out:
  lodsb
  out 0xe9, al
  loop .out
  mov edi, 0x30000
  mov rax, 0x1122334455667788
  mov ecx, 600
  rep stosq
  xor eax, eax
  mov esi, 0x30000
  mov ecx, 600
.sum:
  add rax, [rsi]
  ror rax, 7
  add rsi, 8
  loop .sum
  call puthex
  jmp over
text: db 'the quick brown fox jumps over the lazy dog', 10
textlen equ $ - text
over:
`;

const FLAT32 = `
  mov ebx, cr3
  ; 4 MiB pages: PSE, a PDE that maps 8 MiB..12 MiB onto 4 MiB..8 MiB
  mov eax, cr4
  or eax, 0x10
  mov cr4, eax
  mov dword [ebx + 2 * 4], 0x00400083
  mov eax, cr3
  mov cr3, eax
  mov dword [0x912344], 0xcafebabe
  mov eax, [0x512344]
  call puthex
  mov eax, [ebx + 2 * 4]
  call puthex
  mov eax, [ebx]
  call puthex
  ; segments: a data segment of 16 bytes at 0x20000
  sgdt [gdtr]
  mov edi, [gdtr + 2]
  mov dword [edi + 0x30], 0x0000000f
  mov dword [edi + 0x34], 0x00409202
  add word [gdtr], 8
  lgdt [gdtr]
  mov ax, 0x30
  mov fs, ax
  mov dword [0x20008], 0x13572468
  mov eax, [fs:8]
  call puthex
  lsl eax, ax
  mov ax, 0x30
  lsl eax, eax
  call puthex
  mov ax, 0x30
  lar eax, ax
  call puthex
  ; #GP through a 32-bit IDT
  mov dword [idt + 13 * 8], handler - $$ + 0x80000
  mov eax, handler
  mov [idt + 13 * 8], ax
  mov word [idt + 13 * 8 + 2], 8
  shr eax, 16
  mov word [idt + 13 * 8 + 4], 0x8e00
  mov [idt + 13 * 8 + 6], ax
  lidt [idtr]
  ; a selector beyond the table: QEMU's TCG checks those, but no segment limits
  mov ax, 0x1230
  mov gs, ax
  jmp after
handler:
  pop eax
  call puthex
  mov dword [esp], resumed
  iretd
resumed:
  mov eax, 0x600d
  call puthex
after:
  call gate
  jmp finish
gate:
  pusha
  enter 16, 0
  mov dword [ebp - 4], 0x1234
  mov eax, [ebp - 4]
  call puthex
  leave
  popa
  ret
gdtr: dw 0
  dd 0
idtr: dw 14 * 8 - 1
  dd idt
idt: times 14 * 8 db 0
finish:
`;

/** Real → protected → long, printing a letter from each. */
const MODES = `
bits 16
org 0x7c00
  jmp 0:start
start:
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov sp, 0x7c00
  mov al, 'R'
  out 0xe9, al
  ; an interrupt of our own through the IVT
  mov word [0x80 * 4], isr
  mov word [0x80 * 4 + 2], 0
  mov cx, 3
.again:
  int 0x80
  loop .again
  cli
  lgdt [gdtr]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  jmp dword 8:protected
isr:
  mov al, 'i'
  out 0xe9, al
  iret
bits 32
protected:
  mov ax, 0x10
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, 0x7c00
  mov al, 'P'
  out 0xe9, al
  mov edi, 0x10000
  xor eax, eax
  mov ecx, 0x3000 / 4
  cld
  rep stosd
  mov dword [0x10000], 0x11003
  mov dword [0x11000], 0x12003
  mov dword [0x12000], 0x00083
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, 0x10000
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x100
  wrmsr
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp 0x18:long64
bits 64
long64:
  mov al, 'L'
  out 0xe9, al
  mov rax, 0x123456789abcdef0
  mov [0x20000], rax
  mov rcx, [abs 0x20000]
  shr rcx, 60
  add cl, '0'
  mov al, cl
  out 0xe9, al
  mov al, 5
  out 0xf4, al
  hlt
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr: dw 31
  dd gdt
times 510 - ($ - $$) db 0
dw 0xaa55
`;

const REAL = `
bits 16
org 0x7c00
  cli
  xor ax, ax
  mov ds, ax
  mov ss, ax
  mov sp, 0x7000
  cld
  ; segments that wrap into each other
  mov ax, 0x2000
  mov es, ax
  mov word [es:0x10], 0xbeef
  mov ax, 0x1fff
  mov fs, ax
  mov ax, [fs:0x20]
  call hex
  ; BCD
  mov al, 0x58
  add al, 0x67
  daa
  call hex
  mov ax, 0x0407
  aad
  call hex
  aam
  call hex
  ; divide error through the IVT
  mov word [0], divide
  mov word [2], 0
  mov ax, 100
  xor bl, bl
  div bl
back:
  push word 0x1234
  pushf
  pop ax
  and ax, 0x0fff
  call hex
  pop ax
  call hex
  mov cx, 5
  mov si, text
.l: lodsb
  xor al, 0x20
  out 0xe9, al
  loop .l
  call 0:far_one
  mov al, 9
  out 0xf4, al
  hlt
far_one:
  mov al, 'F'
  out 0xe9, al
  retf
divide:
  add sp, 6
  mov al, 'D'
  out 0xe9, al
  jmp back
hex:
  push ax
  push cx
  mov cx, 4
.n: rol ax, 4
  push ax
  and al, 15
  cmp al, 10
  sbb al, 0x69
  das
  out 0xe9, al
  pop ax
  loop .n
  mov al, ' '
  out 0xe9, al
  pop cx
  pop ax
  ret
text: db 'HELLO'
times 510 - ($ - $$) db 0
dw 0xaa55
`;

export const GUESTS: readonly Guest[] = [
  { name: 'integer arithmetic in 64 bits', start: 'flat64', source: `bits 64\n${ARITH64}${END}${HEX64}` },
  { name: 'string instructions', start: 'flat64', source: `bits 64\n${STRINGS64}${END}${HEX64}` },
  {
    name: 'faults, NX, write protection, A and D, a 2 MiB page',
    start: 'flat64',
    source: `bits 64\n${PAGING64}${END}${HEX64}${IDT64}`,
  },
  { name: 'user mode and a #PF from it', start: 'flat64', source: `bits 64\n${USER64}${END}${HEX64}${IDT64}` },
  { name: '32-bit paging, segments, exceptions', start: 'flat32', source: `bits 32\n${FLAT32}${END}${HEX32}` },
  { name: 'hardware task switches', start: 'flat32', source: `bits 32\n${TASKS32}${END}${HEX32}` },
  {
    name: 'hardware task switches with a 16-bit TSS',
    start: 'flat32',
    source: `bits 32\n%define NARROW\n${TASKS32}${END}${HEX32}`,
    undefinedState: 'the upper halves of general registers loaded from a 16-bit TSS',
  },
  { name: 'real, protected and long mode', start: 'boot', source: MODES },
  { name: 'real mode: segments, BCD, divide error, far call', start: 'boot', source: REAL },
];
