; A context switch: two address spaces, each with its own page at the same address, and four loads of CR3 between them.
;
;   EPT, NPT   a CR3 load does not exit; it drops the translations of the old address space (those of the VPID or ASID, and PCID 0), so that each switch
;              costs walks, and no exits.
;   shadow, classic  every CR3 load exits (CR_ACCESS): KVM takes another root, shadowing the new top table on its first use, and flushes.
;   shadow, modern   likewise, but kept roots make a switch back cheap; unsync tables are brought in step first.
;   software   the software TLB is flushed whole: QEMU knows no PCID.
;
; The second half uses process-context identifiers, where the processor offers them (CPUID.1:ECX.17; under shadow paging KVM does not): CR3 with bit 63
; set keeps what is cached, and the switch costs no walk either.
;
; Watch: the TLB view before and after each load: PCID, and what is dropped.
;
; @guest start=flat64 memory=16M

bits 64

shared  equ 0x500000            ; where both address spaces have a page of their own
pml4    equ 0x300000            ; of the second address space
pdpt    equ 0x301000
pd      equ 0x302000
pt      equ 0x303000
other   equ 0x400000            ; its page

start:
        ; a copy of the prepared tables down to the page table of 0x400000–0x5fffff, in which one entry differs
        mov     rsi, cr3
        mov     r8, rsi                         ; the first address space
        mov     rdi, pml4
        call    copy
        mov     rsi, [pml4]
        mov     qword [pml4], pdpt | 3
        mov     rdi, pdpt
        call    copy
        mov     rsi, [pdpt]
        mov     qword [pdpt], pd | 3
        mov     rdi, pd
        call    copy
        mov     rsi, [pd + (shared >> 21) * 8]
        mov     qword [pd + (shared >> 21) * 8], pt | 3
        mov     rdi, pt
        call    copy
        mov     qword [pt + ((shared >> 12) & 0x1ff) * 8], other | 3
        mov     r9, pml4                        ; the second

        mov     qword [shared], 1
switch:
        mov     cr3, r9
        mov     qword [shared], 2
        mov     cr3, r8
        mov     rbx, [shared]                   ; 1
        mov     cr3, r9
        mov     rcx, [shared]                   ; 2
        mov     cr3, r8
        mov     rdx, [shared]                   ; 1

        mov     r10, rbx
        mov     r11, rcx
        mov     eax, 1
        cpuid
        bt      ecx, 17
        jnc     done
        mov     rax, cr4
        bts     rax, 17                         ; CR4.PCIDE
        mov     cr4, rax
        bts     r9, 0                           ; PCID 1
        mov     rax, r9
        mov     cr3, rax                        ; its first load
        mov     rcx, [shared]
        bts     r8, 63                          ; do not flush
        bts     rax, 63
pcid:
        mov     cr3, r8
        mov     rbx, [shared]
        mov     cr3, rax
        mov     rcx, [shared]
        mov     cr3, r8
        btr     r8, 63
        mov     rax, cr4
        btr     rax, 17
        mov     cr4, rax
done:
        ; discard what CPUID and PCIDs left in registers
        xor     eax, eax
        xor     edx, edx
        mov     rbx, r10
        mov     rcx, r11
        xor     r9d, r9d
        cmp     rax, rax
        hlt

; 4 KiB from the table that RSI names (flags in its low bits) to RDI
copy:
        and     rsi, ~0xfff
        mov     ecx, 512
        cld
        rep     movsq
        ret
