org 0x1000
section .data
d1: dd 1, 2
section .text
start: mov eax, [d1]
 mov ebx, buf
 mov cx, section..data.start
 mov dx, section..bss.vstart
 jmp near start
section .rodata align=16
r: db "ro", 0
section .bss
buf: resb 100
b2: resd 4
section .data
d2: dw d2, r, start, b2-buf
section .foo follows=.text align=8
f: dq f
section .late vstart=0x5000
l: dw l, $$
section .text
 dw $-$$
