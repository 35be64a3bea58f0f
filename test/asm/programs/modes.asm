; Real mode to protected mode to long mode, with the tables built by the program.
; @guest memory=16M start=boot
org 0x7c00
bits 16
PML4 equ 0x1000
PDPT equ PML4 + 0x1000
PD   equ PDPT + 0x1000
%define SELECTOR(label) (label - gdt)
entry:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7000
        in al, 0x92
        or al, 2
        out 0x92, al
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword SELECTOR(gdt.code32):protected
bits 32
protected:
        mov ax, SELECTOR(gdt.data)
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov esp, 0x7000
        mov edi, PML4
        mov cr3, edi
        xor eax, eax
        mov ecx, 3 * 4096 / 4
        rep stosd
        mov dword [PML4], PDPT | 3
        mov dword [PDPT], PD | 3
        mov edi, PD
        mov eax, 0x83
        mov ecx, 8
.map:   mov [edi], eax
        add edi, 8
        add eax, 1 << 21
        dec ecx
        jnz .map
        mov eax, cr4
        bts eax, 5
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 1 << 8 | 1 << 11
        wrmsr
        mov eax, cr0
        or eax, 1 << 31 | 1 << 16
        mov cr0, eax
        jmp SELECTOR(gdt.code64):long_mode
bits 64
default rel
long_mode:
        mov ax, SELECTOR(gdt.data)
        mov ss, ax
        mov rsp, 0x7000
        lea rsi, [message]
        mov dx, 0xe9
.next:  lodsb
        test al, al
        jz .end
        out dx, al
        jmp .next
.end:   lidt [idt_pointer]
        mov rax, 0x123456789abcdef0
        mov [rel scratch], rax
        mov eax, [abs 0x500]
        invlpg [rax]
        mov rax, cr3
        mov cr3, rax
        swapgs
        cpuid
        xor eax, eax
        mov al, 0x10
        out 0xf4, al
        hlt
        jmp $-1
align 8
gdt:    dq 0
.code32: dq 0x00cf9a000000ffff
.data:  dq 0x00cf92000000ffff
.code64: dq 0x00af9a000000ffff
gdt_end:
gdt_pointer:
        dw gdt_end - gdt - 1
        dd gdt
idt_pointer:
        dw 0
        dq 0
message: db "long", 10, 0
times 510-($-$$) db 0
dw 0xaa55
scratch: dq 0
