; Two memslots and a hole.
;
; Guest RAM is 4 MiB at GPA 0 and 4 MiB at GPA 8 MiB. Between them there is no memslot: that is what a hole is. To KVM an access to a
; hole is device memory. It stores an EPT entry that misconfigures on purpose (write and execute without read) and emulates the
; instruction: the value goes out to the VMM as KVM_EXIT_MMIO. No device answers here, so the write is swallowed and the read is all ones.
; The second access misconfigures (EPT_MISCONFIG) and takes the short way: no memslot is looked up again.
;
; Watch: the Memslots tree with the hole in it; break on `exit:EPT_VIOLATION` with the condition `slot == -1`; step into `hole_write`.
;
; @guest start=flat64 slot=0x0+4M slot=0x800000+4M

bits 64

second_slot equ 0x810000
hole        equ 0x510000
pt          equ 0x201000        ; a table of our own: the prepared map need not cover the hole
window      equ 0x40000000      ; GVA 1 GiB, where we map both

start:
        ; a page table path for GVA 1 GiB: PML4[0] is there, PDPT[1] -> pd, PD[0] -> pt
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 1 * 8], (pt + 0x1000) | 3
        mov     qword [pt + 0x1000], pt | 3
        mov     qword [pt + 0 * 8], second_slot | 3
        mov     qword [pt + 1 * 8], hole | 3

        mov     rbx, window
in_slot:
        mov     dword [rbx], 0x5107             ; memslot 1: RAM
hole_write:
        mov     dword [rbx + 0x1000], 0xdead    ; hole: EPT violation, MMIO
hole_read:
        mov     eax, [rbx + 0x1000]             ; hole: EPT misconfiguration, MMIO
        mov     ecx, [rbx]
        hlt                                     ; eax = 0xffffffff, ecx = 0x5107
