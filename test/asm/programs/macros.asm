%define PORT 0x3f8
%define ADD(a,b) ((a)+(b))
%define CAT(a,b) a %+ b
%xdefine X PORT
%assign n 3
%assign n n+1
%macro outc 1
  mov dx, PORT
  mov al, %1
  out dx, al
%endmacro
%macro pushall 1-*
 %rep %0
  push %1
  %rotate 1
 %endrep
%endmacro
%macro loopn 2
  mov cx, %1
%%top:
  %2
  loop %%top
%endmacro
%macro str 2+
%1: db %2
%endmacro
%macro def 1-2 7
 dw %1, %2
%endmacro
org 0x100
start: outc 'a'
lbl: outc "b"
 pushall ax, bx, cx
 loopn 5, nop
 loopn 6, {add ax, 1}
 str hello, "hi", 10, 0
 def 1
 def 1, 2
 dw ADD(1,2*3), n
 CAT(mo,v) ax, 1
%if n == 4 && PORT > 3
 dw 1
%elif n
 dw 2
%else
 dw 3
%endif
%ifdef FOO
 bad bad
%elifdef X
 dw X
%endif
%ifidn ax, ax
 db 1
%endif
%ifnum 5
 db 5
%endif
%rep 3
 db n
 %assign n n+1
%endrep
%strlen len "hello"
 db len
 mov ax, 7 % 4
 mov ax, -7 %% 4
%rep 100
 %if n > 9
  %exitrep
 %endif
 db n
 %assign n n+1
%endrep
dw $-start
%macro retz 1
 j%-1 %%skip
 ret
%%skip:
%endmacro
 retz z
 retz ne
