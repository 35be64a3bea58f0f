; Jumps that grow when their neighbours do.
bits 32
a: jmp f
b: jz f
   times 60 nop
c: jmp a
   call e
   times 55 nop
d: jmp b
e: jnz a
   loop e
   times 3 jmp g
f: jmp c
   jecxz f
   mov eax, f - a
   add eax, g - f
   push g - f
   push f - a
   push g
   mov ecx, [ebx + g - f]
   mov ecx, [ebx + f - a]
size equ g - a
   mov eax, [ebp + size]
   cmp eax, size
g: ret
bits 16
h: jmp i
   times 124 nop
   jmp h
i: call h
   jmp near i
   jmp short i
bits 64
j: jmp k
   times 127 nop
k: jmp j
   mov rax, k - j
   mov rax, k
   mov rbx, [k]
   mov rbx, [rel k]
