; New page-table entries in a table that is in use: eight pages, one entry after the other, each used at once.
;
; The usual life of a heap: the kernel has a page table, and fills its entries as the program asks for memory.
;   EPT, NPT   no exit for any entry; only first touches of pages by the guest exit, once each.
;   shadow, classic  the page table is shadowed since its first use and write-protected: each store into it is a #PF that KVM emulates. After three
;              in a row KVM takes the flood for the end of a table's life and drops its shadow; the next access rebuilds it.
;   shadow, modern   the first store makes the table unsync: it is no longer write-protected, and later stores do not trap. An entry that was not
;              present may be used without a flush, so the next access is a hidden fault that fills it.
;   software   nobody watches; absent translations are in no TLB.
;
; Watch: `pagewalk compare examples/new-pt.asm`; with mmu=shadow the statistics mmu_pte_write, mmu_flooded and mmu_unsync.
;
; @guest start=flat64 memory=16M

bits 64

table   equ 0x300000
pages   equ 0x400000
target  equ 64 * 0x200000

start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rbx, [rax]
        and     rbx, ~0xfff
        mov     qword [rbx + 64 * 8], table | 3
        mov     qword [table], pages | 3
        mov     rdi, target
        mov     qword [rdi], 1                  ; the table is in use from here on

        xor     ecx, ecx
next:
        inc     ecx
        lea     rax, [rcx * 8 + table]
        mov     rdx, rcx
        shl     rdx, 12
        lea     rsi, [rdx + pages + 3]
new_pte:
        mov     [rax], rsi                      ; one more entry
use:
        mov     [rdi + rdx], rcx                ; and its page
        cmp     ecx, 8
        jne     next
        mov     rax, [pages + 8 * 4096]
        hlt
