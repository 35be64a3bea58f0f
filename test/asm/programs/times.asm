bits 32
 nop
 times 4 dw $
 times 3 dd $-$$, $
 times 3 jmp $
 times 2 call x
 times 2 mov eax, [$+4]
x:
foo: times 2 db $-foo
 times 3 db 'ab', 1
