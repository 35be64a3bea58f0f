; A new page-directory entry: the guest maps 2 MiB more, by a page table that it writes first.
;
; Memory is prepared (a page table, then its directory entry), then used. What that costs is a matter of who watches the guest's tables:
;   EPT, NPT   nobody. The guest writes its tables like any memory; the walk of the new address finds them. What exits are first touches of guest
;              pages that no nested entry maps yet: the new table, the new page.
;   shadow     KVM made its shadow from these tables, and has them write-protected where it has shadowed them: the store into the directory traps
;              (a tracing fault), KVM carries it out and drops what it shadowed of the entry. The new page table is not a table yet when it is
;              written, so KVM does not watch it. The first access is a hidden fault: KVM walks the guest's tables and fills the shadow.
;   software   nobody. There is no entry of the software TLB for an address that was never mapped, so nothing need be flushed.
;
; Watch: `pagewalk compare examples/new-pde.asm`; or break on `exit:EXCEPTION_NMI` with mmu=shadow and read why each #PF exits.
;
; @guest start=flat64 memory=16M

bits 64

table   equ 0x300000            ; free guest RAM: the new page table
page    equ 0x400000            ; what it maps
target  equ 64 * 0x200000       ; 128 MiB: beyond the 16 MiB that the prepared tables map

start:
        ; the page directory: CR3, then entry 0, then entry 0
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     rbx, [rax]
        and     rbx, ~0xfff

        mov     qword [table], page | 3         ; the PTE: present, writable
new_pde:
        mov     qword [rbx + 64 * 8], table | 3 ; the PDE
first:
        mov     rdi, target
        mov     qword [rdi], 0x600d             ; walks both
        mov     rcx, [page]                     ; the same page by the identity map
        hlt
