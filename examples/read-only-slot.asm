; A write to a read-only memslot.
;
; The second memslot has KVM_MEM_READONLY: reads are RAM, as of a ROM; a write is an EPT violation that KVM hands to the VMM as
; KVM_EXIT_MMIO, and no entry changes. The guest cannot tell from its own tables: they say writable, and the rights of an access
; are the AND of all stages.
;
; Watch: at `attempt` the Translation view shows W in the guest's entry and not in the EPT's. The exception filter "EPT violation"
; with `write && slot == 1` stops there, each time the guest tries.
;
; @guest start=flat64 slot=0x0+4M slot=0x800000+64K,ro

bits 64

rom     equ 0x800000
pt      equ 0x201000
window  equ 0x40000000

start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 1 * 8], (pt + 0x1000) | 3
        mov     qword [pt + 0x1000], pt | 3
        mov     qword [pt], rom | 3             ; present and writable, says the guest

        mov     rbx, window
look:
        mov     eax, [rbx]                      ; first touch: mapped read-only
attempt:
        mov     dword [rbx], 0xbad              ; EPT violation; the VMM drops the write
        mov     ecx, [rbx]                      ; still what it was
        hlt
