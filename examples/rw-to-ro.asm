; From writable to read-only: what a kernel does before it shares a page, and the flush that it must not forget.
;
; The guest takes W from an entry, flushes the page, and writes: its own #PF, whose handler gives W back.
;   EPT, NPT   the entry is the guest's affair: no exit for the store, for INVLPG, or for the #PF, which goes through the guest's IDT.
;   shadow     the store into the page table traps (classic: every time; modern: the first time, then the table is unsync and INVLPG, which is
;              intercepted, brings the shadow in step). The write's #PF exits too: KVM walks the guest's tables, sees that they refuse it, and
;              injects the fault into the guest. So does the store of the handler, and the write after it is a hidden or dirty fault.
;   software   INVLPG drops the entry of the software TLB; the #PF comes from the VMM's own walk.
;
; Watch: the exception filter "Guest #PF" under each method; `pagewalk compare examples/rw-to-ro.asm`.
;
; @guest start=flat64 memory=16M

bits 64

page    equ 0x200000
idt     equ 0x110000

start:
        call    set_handler
        call    find_entry                      ; RBX = address of the PTE of `page`
        mov     qword [page], 1                 ; the entry is used, and dirty
to_ro:
        and     qword [rbx], ~2                 ; W goes
        invlpg  [page]
faulting:
        mov     qword [page], 2         
        mov     rcx, [page]
        hlt

; Builds the gate of vector 14 and sets CR0.WP, so that read-only binds the kernel as well.
set_handler:
        lea     rax, [rel page_fault]
        mov     rdi, idt + 14 * 16
        mov     [rdi], ax
        mov     word [rdi + 2], 0x08            ; the flat code segment
        mov     word [rdi + 4], 0x8e00          ; present, DPL 0, 64-bit interrupt gate
        shr     rax, 16
        mov     [rdi + 6], ax
        shr     rax, 16
        mov     [rdi + 8], eax
        lidt    [rel idtr]
        mov     rax, cr0
        or      rax, 1 << 16
        mov     cr0, rax
        ret

; RBX = where the PTE of `page` lies: CR3, then the indices of `page`, level by level.
find_entry:
        mov     rbx, cr3
        and     rbx, ~0xfff
        mov     rbx, [rbx + ((page >> 39) & 0x1ff) * 8]
        and     rbx, ~0xfff
        mov     rbx, [rbx + ((page >> 30) & 0x1ff) * 8]
        and     rbx, ~0xfff
        mov     rbx, [rbx + ((page >> 21) & 0x1ff) * 8]
        and     rbx, ~0xfff
        add     rbx, ((page >> 12) & 0x1ff) * 8
        ret

page_fault:
        push    rax
        push    rdx
        mov     rdx, [rsp + 16]
        mov     rax, cr2
        call    handle
        pop     rdx
        pop     rax
        add     rsp, 8                          ; the error code
        iretq

        align   8
faults  dq      0
idtr    dw      256 * 16 - 1
        dq      idt

        ; the handler of #PF: gives W back and returns to the store
handle:
        inc     dword [rel faults]
        or      qword [rbx], 2                  ; more rights need no flush: a stale entry costs at most one more fault
        ret
