; A 2 MiB mapping, in the guest and in the EPT.
;
; The guest maps GVA 1 GiB to GPA 4 MiB by one PDE with PS set, so its walk ends a level early. The host backs guest RAM with 2 MiB
; pages (`host-pages=2m`), and GPA and HVA are aligned alike, so KVM's EPT entries are 2 MiB ones too. A cold walk is then
; 3 x 3 + 3 + 3 = 15 references instead of 24, and one EPT violation brings in 512 pages.
;
; Watch: the EPT tree at 0x400000, one entry at level 2 with PS; the TLB's entry and its page size; the reference count in the
; Translation view. `far_away` lies nearly 2 MiB on and exits no more; it is walked once, since this TLB caches a large page in
; fragments of 4 KiB.
;
; @guest start=flat64 host-pages=2m

bits 64

large   equ 0x400000
pd      equ 0x201000
window  equ 0x40000000
PS      equ 1 << 7

start:
        mov     rax, cr3
        mov     rax, [rax]
        and     rax, ~0xfff
        mov     qword [rax + 1 * 8], pd | 3
        mov     qword [pd], large | PS | 3

        mov     rbx, window
near_by:
        mov     qword [rbx], 1
far_away:
        mov     qword [rbx + 0x1ffff8], 2
        hlt
