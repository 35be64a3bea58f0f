; Five MOVs, and what each is to the memory system.
;
;   1  register to register                no access
;   2  load of a page that is cached       a TLB hit
;   3  load of a page never touched        TLB miss, walk; under a hypervisor a violation that brings the page
;   4  store to a page only read so far    the D flag is to be set: in the guest's tables by hardware, under shadow paging by a fault of KVM's
;   5  store where no RAM is               a device: the access leaves the guest, whatever the method
;
; Watch: step over each with the Translation and TLB views open, under each method. `pagewalk compare examples/five-movs.asm` counts them.
;
; @guest start=flat64 memory=16M slot=0x0+8M slot=0x900000+7M

bits 64

page    equ 0x200000
hole    equ 0x800000            ; 1 MiB without a memslot
table   equ 0x300000

start:
        ; the prepared tables map RAM alone: a page table for the hole
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rbx, [rax]
        and     rbx, ~0xfff
        mov     qword [table], hole | 3
        mov     qword [rbx + 64 * 8], table | 3
        mov     rdi, 64 * 0x200000

one:    mov     rcx, rax
two:    mov     rcx, [rel start]
three:  mov     rcx, [page]
four:   mov     [page], rdi
five:   mov     [rdi], rcx
        xor     eax, eax
        xor     ecx, ecx
        hlt
