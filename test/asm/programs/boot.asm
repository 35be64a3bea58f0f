; A boot sector that prints through the BIOS, loads more sectors, and says when it cannot.
bits 16
org 0x7c00
STACK equ 0x7c00
LOAD_SEGMENT equ 0x1000
jmp short start
nop
oem: db 'PAGEWALK'
times 36-($-$$) db 0
start:
        cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, STACK
        sti
        cld
        mov [drive], dl
        mov si, hello
        call print
        mov ax, LOAD_SEGMENT
        mov es, ax
        xor bx, bx
        mov cx, 5
.retry:
        push cx
        mov ax, 0x0200 | 17
        mov cx, 0x0002
        xor dh, dh
        mov dl, [drive]
        int 0x13
        pop cx
        jnc .loaded
        xor ah, ah
        int 13h
        loop .retry
        mov si, failed
        call print
.halt:  hlt
        jmp .halt
.loaded:
        mov al, [es:0]
        cmp al, 'P'
        jne start.halt
        cmp word [es:bx+510], 0xaa55
        jz .halt
        jmp LOAD_SEGMENT:0
print:
        lodsb
        or al, al
        jz .done
        mov ah, 0x0e
        mov bx, 7
        int 0x10
        jmp print
.done:  ret
drive:  db 0
hello:  db 'Hello', 13, 10, 0
failed: db "Disk error ", `\r\n`, 0
%if $-$$ > 510
 %error the boot sector is full
%endif
times 510-($-$$) db 0
dw 0xaa55
