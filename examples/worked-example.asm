; One address through all four spaces, with the numbers that documents on memory virtualization like to use.
;
;   GVA 0x7f8a3b2a0100   guest indices 255 / 40 / 473 / 160, offset 0x100
;   GPA 0x12345100       EPT indices     0 /  0 / 145 / 325
;   HVA 0x7f5a12345100   one memslot: GPA + 0x7f5a00000000
;   HPA 0x1a2b3100       where `@host place` makes the host kernel put that page
;
; The guest builds the four levels itself and reads one byte. Watch: break on `access`, hover `[rbx]` or open the Translation view.
; A cold walk loads 24 entries: each of the 4 guest entries is found through 4 EPT entries (4 x 4 + 4 = 20), and the final GPA
; goes through 4 more. After the access, INVLPG drops the translation and the second access walks again: 24 references to see.
;
; @guest start=flat64 memory=512M host-base=0x10000000 host-memory=256M
; @host place 0x7f5a12345000 0x1a2b3000

bits 64

target_gva  equ 0x7f8a3b2a0100
target_gpa  equ 0x12345100

pdpt    equ 0x201000            ; free guest RAM for three tables
pd      equ 0x202000
pt      equ 0x203000
P_RW_US equ 7                   ; present, writable, user

start:
        ; give the target a value, through the identity map
        mov     rdi, target_gpa
        mov     byte [rdi], 'P'

        mov     rax, cr3
        mov     qword [rax + 255 * 8], pdpt | P_RW_US
        mov     qword [pdpt + 40 * 8], pd | P_RW_US
        mov     qword [pd + 473 * 8], pt | P_RW_US
        mov     qword [pt + 160 * 8], (target_gpa & ~0xfff) | P_RW_US

        mov     rbx, target_gva
access:
        mov     al, [rbx]       ; the first walk: no EPT violation, every page has been touched before
        invlpg  [rbx]
again:
        mov     al, [rbx]       ; cold again: 24 references
        mov     dx, 0xe9        ; debug console
        out     dx, al
        hlt
