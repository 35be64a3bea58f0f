bits 64
default rel
s: mov rax, 1
 mov rax, -1
 mov rax, 0x80000000
 mov rax, 0xffffffff
 mov rax, 0x7fffffff
 mov rax, -0x80000000
 mov rax, 0x123456789
 mov rax, strict dword 5
 mov rax, strict qword 5
 mov rax, qword 5
 mov rax, dword 5
 mov eax, strict dword 5
 add eax, strict byte 5
 add rax, byte 5
 add eax, dword 5
 push strict dword 5
 push strict byte 5
 push byte -1
 push word 5
 push qword 5
 push 0x7fffffff
 imul eax, ecx, strict dword 5
 imul eax, 5
 imul rax, rcx, 500
 jmp strict near n
 jmp short n
n: jz near n
 jz n
 call n
 mov rax, [n]
 mov rax, [abs n]
 mov rax, [rel n]
 mov rax, [fs:n]
 mov al, [qword 0x1122334455667788]
 mov [dword 0x11223344], al
 mov eax, [0x1000]
 mov rax, [rax+n]
 mov rax, [byte rax+5]
 mov rax, [dword rax+5]
 mov rax, [byte rax]
 mov rax, [rax*2]
 mov rax, [nosplit rax*2]
 mov rax, [rax*3]
 mov rax, [rax+rax]
 mov rax, [rax*1+rbx]
 mov rax, [rbx+rax*1]
 mov rax, [rsp+rax]
 mov rax, [rax+rsp]
 mov rax, [rbp+r13]
 mov rax, [r13+rbp]
 mov rax, [r12]
 mov rax, [r13]
 mov rax, [eax]
 mov rax, [eax+ebx*4]
 mov rax, [rax+rcx*4-0x80]
 mov rax, [rax+rcx*4+0x80]
 mov [rax], byte 5
 mov word [rax], 5
 mov qword [rax], 5
 mov qword [rax], -1
 mov qword [rax], strict dword 5
 add [rax], dword 5
 add [rax], byte 5
 test [rax], byte 5
 cmp qword [rax], 5
 inc qword [rax]
 lea rax, [n]
 lea eax, [rax+4]
 lock inc dword [rax]
 rep movsb
 repne scasd
 lock rep nop
 o16 mov eax, ebx
 a32 lodsb
 o64 sysret
 es mov al, [rax]
 mov al, [es:rax]
 mov al, [gs:0x60]
 mov rax, [gs:abs 0x60]
 xchg rax, rax
 xchg eax, eax
 xchg eax, r8d
 xchg [rax], ebx
 xchg ebx, [rax]
 movzx eax, byte [rax]
 movsx rax, word [rax]
 movsxd rax, dword [rax]
 movsxd rax, ecx
 bt dword [rax], 5
 shl rax, 1
 shl rax, 5
 shl rax, cl
 shl dword [rax], 1
 shld eax, ebx, 5
 enter 16, 0
 ret 8
 retf
 iretq
 iret
 int 0x80
 int3
 syscall
 in al, 0x60
 out dx, eax
 mov cr3, rax
 mov rax, cr8
 mov dr7, rax
 lgdt [n]
 lidt [rax]
 invlpg [rax]
 invept rax, [rbx]
 invvpid rax, [rbx]
 vmread rax, rbx
 vmread [rax], rbx
 vmwrite rax, [rbx]
 vmptrld [rax]
 vmxon [rax]
 vmlaunch
 vmcall
 vmrun
 vmload
 clgi
 wrmsr
 rdtscp
 xgetbv
 cpuid
 swapgs
 mov ds, ax
 mov ds, eax
 mov rax, ds
 mov eax, ds
 mov ax, ds
 mov [rax], ds
 mov ds, [rax]
 push fs
 pop gs
 ltr ax
 lldt [rax]
 str eax
 sldt rax
 verr ax
 lar eax, ecx
 bswap rax
 cmpxchg [rax], ebx
 cmpxchg16b [rax]
 xadd [rax], eax
 jrcxz $+5
 jecxz $+5
 loop $+5
 loop $+5, ecx
 call [rax]
 call qword [rax]
 jmp far [rax]
 jmp far dword [rax]
 jmp [n]
 jmp rax
 fld dword [rax]
 fstp qword [rax]
 fadd st1
 fadd to st1
 faddp
 faddp st1
 fxch
 fxch st2
 fnstcw [rax]
 fxsave [rax]
 movaps xmm0, xmm1
 movups [rax], xmm9
 movd xmm0, eax
 movq xmm0, rax
 movq xmm0, [rax]
 paddd xmm1, [rax]
 vaddps ymm0, ymm1, [rax]
 vaddps zmm0{k1}{z}, zmm1, [rax]{1to16}
 vaddps zmm0, zmm1, zmm2, {rn-sae}
 times 100 nop
 jmp s
 jc s
