; A page fault of the guest's own, and the guest's handler.
;
; The guest marks one of its pages not present and touches it. Under EPT that fault is the guest's affair alone: the CPU delivers #PF
; through the guest's IDT, and there is no VM exit. The handler makes the entry present again and returns; the instruction is restarted.
;
; Watch: set the exception filter "Guest #PF". It stops at the delivery, and exceptionInfo decodes the error code (here: not present,
; a write, supervisor), yet the count of EXCEPTION_NMI exits stays zero: looking does not change what exits. CR2 holds the address.
;
; @guest start=flat64

bits 64

page    equ 0x200000
idt     equ 0x110000            ; 256 gates of 16 bytes, zero: free guest RAM

; 64-bit interrupt gate (SDM vol. 3, 6.14.1):  offset 15:0 | selector | IST, type | offset 31:16 | offset 63:32 | 0
start:
        lea     rax, [rel page_fault]
        mov     rdi, idt + 14 * 16
        mov     [rdi], ax
        mov     word [rdi + 2], 0x08            ; the flat code segment
        mov     word [rdi + 4], 0x8e00          ; present, DPL 0, 64-bit interrupt gate, no IST
        shr     rax, 16
        mov     [rdi + 6], ax
        shr     rax, 16
        mov     [rdi + 8], eax
        lidt    [rel idtr]

        ; find the PTE of `page`: CR3, then indices 0, 0, 1, 0
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rax, [rax + 1 * 8]
        and     rax, ~0xfff
        mov     [rel entry_address], rax

        and     qword [rax], ~1                 ; not present
        invlpg  [page]

        mov     rbx, page
touch:
        mov     dword [rbx], 0x600d             ; #PF, then the same instruction again
        mov     eax, [rbx]
        cmp     eax, 0x600d
        jne     failed
        mov     al, 'k'
        out     0xe9, al
        hlt

failed:
        mov     al, 1
        out     0xf4, al                        ; exit code (1 << 1) | 1
        hlt

page_fault:
        push    rax
        mov     al, 'o'
        out     0xe9, al
        mov     rax, [rel entry_address]
        or      qword [rax], 1                  ; present; a not-present entry is in no TLB, so nothing need be invalidated
        pop     rax
        add     rsp, 8                          ; the error code
        iretq

        align   8
entry_address dq 0
idtr    dw      256 * 16 - 1
        dq      idt
