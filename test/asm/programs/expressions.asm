bits 32
a equ 10
b equ a*3 - 4/2
c equ (1<<4) | 3 ^ 5 & 6
dd a, b, c, -7 // 2, -7 %% 3, 7 / 2, 7 % 3, ~0, !5, !0, -(-5), 1 == 1, 2 < 1, 3 <> 4, 5 >= 5, 1 && 0, 1 || 0, 1 ^^ 1
dd 0xffffffff >> 4, 1 << 31, -8 >>> 1 & 0xff, 'abcd', "ab", `\n\t\x41`, 1 ? 2 : 3
dd 0b1010, 1010b, 0o17, 17q, 0x1f, 1fh, $1f, 0d10, 10d, 1_000
dq 0x123456789abcdef0, 'abcdefgh', -1
dw 'abc', "x", 0x12345 & 0xffff
db "dq", `a\u263a\\`, 255, -128, 'a'+1
dt 1.0, -2.5, 3.14159265358979
dd 1.0, -0.1, 1e10, 1.5e-5, __Infinity__, __NaN__, 1e-45, 3.4028235e38
dq 1.0, 0.1, 1e300, 2.2250738585072014e-308, 5e-324, 1e400
dw 1.0, 65504.0, 0.1
.loc: dd .loc, $, $$, $-$$
lab: dd lab.sub, lab.sub - lab
.sub: nop
other:
.sub: nop
 jmp lab.sub
 jmp .sub
times 3 db 1,2
times a-8 dw $
align 16
alignb 32
align 8, db 0xcc
db 3 dup (1, 2), 2 dup (?)
x: resb 5
resw 2
