; As after fork: two mappings of one page, both read-only, and a copy on the first write, made by the guest's own #PF handler.
;
; The parent's page is at 0x200000, the child's at 0x201000: the same frame at first. The child writes; the handler copies the page and gives the child a frame
; of its own. Then the parent writes, finds itself alone, and gets its right back without a copy.
;   EPT, NPT   two #PFs that do not exit, four entries edited without an exit.
;   shadow     each edit of an entry traps or makes the table unsync; each #PF exits and is injected; each write afterwards fills the shadow again. This is what
;              made fork expensive before nested paging.
;   software   the VMM's walk finds the read-only entry; the same two #PFs.
;
; Watch: break at `copy_page` and compare GPA and HPA of both addresses in the Translation view.
;
; @guest start=flat64 memory=16M

bits 64

page    equ 0x200000            ; the parent's; the child's is the next one
child   equ page + 0x1000
free    equ 0x400000            ; the frame for the copy
idt     equ 0x110000

start:
        call    set_handler
        call    find_entry
        mov     qword [page], 0x1234            ; the parent's data
fork:
        and     qword [rbx], ~2                 ; the parent's entry: read-only
        mov     rax, [rbx]
        mov     [rbx + 8], rax                  ; the child's: the same frame, read-only
        invlpg  [page]
        invlpg  [child]
        mov     rsi, [child]                    ; 0x1234, by the shared frame
child_writes:
        mov     qword [child], 0x5678           ; #PF: copied
parent_writes:
        mov     qword [page], 0x9abc            ; #PF: alone by now
        mov     rcx, [child]
        mov     rdx, [page]
        mov     rsi, [rel faults]               ; 2
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

; RAX = where
handle:
        inc     dword [rel faults]
        push    rcx
        push    rsi
        push    rdi
        and     rax, ~0xfff
        cmp     rax, child
        jne     alone
copy_page:
        mov     rsi, page                       ; the frame that both have
        mov     rdi, free
        mov     ecx, 512
        cld
        rep     movsq
        mov     qword [rbx + 8], free | 3
        jmp     flush
alone:
        or      qword [rbx], 2
flush:
        invlpg  [rax]
        pop     rdi
        pop     rsi
        pop     rcx
        ret
