; As munmap does it: entries go, and then the translations of them must go too, by INVLPG. And what may happen where that is forgotten.
;
; Eight pages are mapped and used. Four entries are cleared with INVLPG each; an access then is a #PF under every method. The other four are
; cleared without: the processor may go on using what it has cached until something flushes. Here a CR3 load does before anyone looks, so that the guest's result is the same
; everywhere; what each method does in between is what to watch.
;   EPT, NPT   INVLPG does not exit. A translation without it stays in the TLB, marked stale in the TLB view.
;   shadow, classic  the store traps, and KVM takes its shadow entry and flushes: no stale entry survives, whether the guest asked or not. INVLPG need
;              not even be intercepted.
;   shadow, modern   the table is unsync after the first store, and the shadow keeps stale entries as a TLB would, until INVLPG (which exits) or
;              the CR3 load brings it in step.
;   software   as a hardware TLB: INVLPG drops one entry, the CR3 load all.
;
; @guest start=flat64 memory=16M

bits 64

page    equ 0x200000
idt     equ 0x110000

start:
        call    set_handler
        call    find_entry
        mov     rdi, page
        mov     ecx, 8
.use:
        mov     [rdi], rcx
        add     rdi, 4096
        loop    .use

        xor     ecx, ecx
        mov     rdi, page
with_invlpg:
        mov     qword [rbx + rcx * 8], 0
        invlpg  [rdi]
        add     rdi, 4096
        inc     ecx
        cmp     ecx, 4
        jne     with_invlpg
without:
        mov     qword [rbx + rcx * 8], 0
        inc     ecx
        cmp     ecx, 8
        jne     without
stale:
        mov     rax, cr3                        ; the flush, late
        mov     cr3, rax

        mov     rsi, [page]                     ; #PF: the handler maps it again
        mov     rdx, [page + 7 * 4096]          ; #PF
        mov     rcx, [rel faults]               ; 2
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

; RAX = where: the entry comes back
handle:
        inc     dword [rel faults]
        push    rcx
        and     rax, ~0xfff
        mov     rcx, rax
        sub     rcx, page
        shr     rcx, 12
        or      rax, 3
        mov     [rbx + rcx * 8], rax
        pop     rcx
        ret
