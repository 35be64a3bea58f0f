; Five levels of paging: the guest leaves 32-bit paging, and enters long mode with CR4.LA57 set.
; The processor has 52 physical address bits, so KVM gives it an EPT of five levels too:
; a walk is 5·5 + 5 + 5 = 35 loads. In the Translation view, `wide` has an index of level 5.
; @guest start=flat32 memory=16M cpu=pagewalk-x64-la57
bits 32
PML5    equ 0x200000
start:
        mov dword [PML5], 0x201003              ; linear 0: PML4, PDPT, and a PD of one 2 MiB page
        mov dword [PML5 + 8], 0x204003          ; linear 2^48, which four levels do not reach
        mov dword [0x201000], 0x202003
        mov dword [0x202000], 0x203003
        mov dword [0x203000], 0x83
        mov dword [0x204000], 0x205003          ; the way to `wide`: a page of its own, at GPA 0x300000
        mov dword [0x205000], 0x206003
        mov dword [0x206000], 0x207003
        mov dword [0x207000], 0x300003
        mov dword [0x300000], 0x600d

        mov eax, cr0                            ; paging off
        and eax, 0x7fffffff
        mov cr0, eax
        mov eax, cr4                            ; PAE and LA57
        or eax, 0x1020
        mov cr4, eax
        mov ecx, 0xc0000080                     ; EFER.LME
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, PML5
        mov cr3, eax
        mov eax, cr0                            ; paging on
        or eax, 0x80000000
        mov cr0, eax
        lgdt [gdtr]
        jmp 8:in_long_mode
align 8
gdt:    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:   dw 23
        dd gdt
bits 64
in_long_mode:
        mov rbx, 1 << 48
wide:   mov rdx, [rbx]
        hlt
