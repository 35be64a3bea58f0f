; From read-only to writable, without a flush: more rights may be given silently, for the worst that a stale entry can do is one #PF too many.
;
; The guest makes its page read-only before it ever uses it, reads it, gives W, and writes at once.
;   EPT, NPT   no exit but first touches. The TLB's entry lacks W: the CPU walks again and finds the new entry.
;   shadow     the store into the table traps where the table is shadowed. The write then is a #PF of the hardware that the guest must not see:
;              KVM finds that the guest's tables allow it, sets A and D in the guest's entry, and makes the shadow entry writable.
;   software   the entry of the software TLB lacks W: the VMM walks again.
;
; Watch: the guest's handler counts its #PFs, and must count none under any method.
;
; @guest start=flat64 memory=16M

bits 64

page    equ 0x200000
idt     equ 0x110000

start:
        call    set_handler
        call    find_entry
        and     qword [rbx], ~2
        invlpg  [page]
        mov     rax, [page]                     ; used, read-only
to_rw:
        or      qword [rbx], 2                  ; W comes, and no flush
write:
        mov     qword [page], 0x600d
        mov     ecx, [rel faults]               ; 0
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

handle:
        inc     dword [rel faults]
        ret
