; First touch and second touch of a page.
;
; The guest's own tables map the page from the start, but the hypervisor has given no memory for it yet. So the first touch is a
; VM exit, EPT_VIOLATION: KVM looks up the memslot, the host kernel supplies a zeroed frame, KVM writes the EPT entry, and the very
; same instruction runs again. The second touch finds everything in place: no exit, and not even a walk, because the TLB has it.
;
; Watch: put breakpoints on the three labels. At `first`, the Translation view of `page` ends in a failure of the EPT stage; at
; `second` it is whole. The EPT tree has one leaf more. Or step into `first` (F11) to see who does what, in which mode.
;
; @guest start=flat64

bits 64

page    equ 0x180000            ; not touched yet; its PTE is in the same table as that of the code

start:
        mov     rbx, page
first:
        mov     rax, [rbx]      ; EPT violation: read, not present
second:
        mov     rcx, [rbx + 8]  ; a TLB hit
third:
        mov     [rbx], rbx      ; KVM has mapped the page writable at once: no exit, only the D bits are set
        hlt
