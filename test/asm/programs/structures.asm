struc point
 .x: resd 1
 .y: resd 1
 .name: resb 8
endstruc
struc big, 0x10
 .a resw 1
endstruc
p: istruc point
 at point.x, dd 5
 at .y, dd 6
 at point.name, db "ab"
iend
dw point_size, point.y, big.a, big_size
absolute 0x500
v1: resw 1
v2: resb 10
section .text
 mov ax, [v2]
 dw v1, v2
