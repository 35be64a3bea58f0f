org 0x7c00
[bits 16]
 jmp 0:go
go: jmp word 8:go
 jmp dword 8:pm
 call 8:go
 call far [go]
 jmp far [bx]
 mov eax, [dword 0x12345]
 mov al, [0x1234]
 mov [0x1234], ax
 mov ax, [es:bx+si-2]
 mov ax, [bp]
 mov ax, [bp+di+300]
 mov eax, [ebx+esi*2]
 o32 ret
 o32 iret
 iretd
 retd
 pushad
 pusha
 pushf
 pushfd
 push dword 5
 push word 5
 push 5
 push eax
 push 0x1234
 call dword pm
 jmp dword pm
 lgdt [go]
 o32 lgdt [go]
 rep stosd
 a32 rep movsb
 lea ax, [bx+1]
 loop go
 loop go, ecx
 jcxz go
 jecxz go
 int 13h
 in al, dx
 xlatb
 cs lodsb
 mov ax, cs
 mov word [go], cs
 les di, [bx]
 bound ax, [bx]
 mov [go], word 5
 mov byte [go+1], 'x'
 cmp word [go+510], 0xaa55
bits 32
pm: mov ax, [bx]
 mov eax, [bx+si]
 jmp word 8:go
 jmp 8:go
 call 8:pm
 jmp near pm
 jmp word pm
 iret
 iretw
 o16 iret
