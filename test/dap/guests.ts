/** The guests of the transcripts: small, and not to be improved, since every address in a transcript follows from them. */

/** Two letters over the serial port, with the line status polled as a driver does. */
export const HELLO = `; @guest start=flat64
bits 64
start:
        lea     rsi, [rel message]
next:
        lodsb
        test    al, al
        jz      done
        mov     bl, al
        mov     dx, 0x3fd
        in      al, dx
        mov     al, bl
        mov     dx, 0x3f8
        out     dx, al
        jmp     next
done:
        hlt
message db "Hey", 10, 0
`;

/** A page that nobody has touched is read twice and then written. */
export const FIRST_TOUCH = `; @guest start=flat64
bits 64
page    equ 0x200000
start:
        mov     rbx, page
first:
        mov     rax, [rbx]
second:
        mov     rcx, [rbx + 8]
third:
        mov     [rbx], rbx
        hlt
`;

/** GVA 0x7f8a3b2a0100 → GPA 0x12345100 → HVA 0x7f5a12345100 → HPA 0x1a2b3100, by tables of the guest's own making. */
export const FOUR_SPACES = `; @guest start=flat64 memory=512M host-base=0x10000000 host-memory=256M
; @host place 0x7f5a12345000 0x1a2b3000
bits 64
target_gva  equ 0x7f8a3b2a0100
target_gpa  equ 0x12345100
start:
        mov     rdi, target_gpa
        mov     byte [rdi], 'P'
        mov     rax, cr3
        mov     qword [rax + 255 * 8], 0x201007
        mov     qword [0x201000 + 40 * 8], 0x202007
        mov     qword [0x202000 + 473 * 8], 0x203007
        mov     qword [0x203000 + 160 * 8], (target_gpa & ~0xfff) | 7
        mov     rbx, target_gva
        mov     al, [rbx]
        invlpg  [rbx]
again:
        mov     al, [rbx]
        hlt
`;

/** GVA 1 GiB is mapped writable to the first page of a read-only memslot, read, and written. */
export const READ_ONLY_SLOT = `; @guest start=flat64 slot=0x0+4M slot=0x800000+64K,ro
bits 64
start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 1 * 8], 0x202003
        mov     qword [0x202000], 0x201003
        mov     qword [0x201000], 0x800003
        mov     rbx, 0x40000000
        mov     eax, [rbx]
attempt:
        mov     dword [rbx], 0xbad
        mov     ecx, [rbx]
        hlt
`;

/** Clears the present bit of one of its pages, touches the page, and sets the bit again in its #PF handler. */
export const PAGE_FAULT = `; @guest start=flat64
bits 64
idt     equ 0x110000
start:
        lea     rax, [rel page_fault]
        mov     rdi, idt + 14 * 16
        mov     [rdi], ax
        mov     dword [rdi + 2], 0x8e000008
        shr     rax, 16
        mov     [rdi + 6], ax
        lidt    [rel idtr]
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rax, [rax + 1 * 8]
        and     rax, ~0xfff
        mov     rsi, rax
        and     qword [rsi], ~1
        invlpg  [0x200000]
        mov     rbx, 0x200000
touch:
        mov     dword [rbx], 0x600d
        mov     al, 'k'
        out     0xe9, al
        hlt
page_fault:
        or      qword [rsi], 1
        add     rsp, 8
        iretq
        align   8
idtr    dw      256 * 16 - 1
        dq      idt
`;

export const JUMP_INTO_HOLE = `; @guest start=flat64
bits 64
start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 8], 0x40000083     ; GVA 1 GiB: a 1 GiB page over GPAs that no memslot holds
        mov     rax, 0x40000000
        jmp     rax
`;

export const GARBAGE_TABLES = `; @guest start=flat64
bits 64
start:
        mov     rdi, cr3
        mov     rcx, 512
        mov     rax, 0xdeadbeefdeadbeef
        rep     stosq
        mov     rax, cr3
        mov     cr3, rax
        nop
`;
