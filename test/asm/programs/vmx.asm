; The instructions of a guest hypervisor, flat 64-bit code with its data in sections.
bits 64
org 0x100000
section .text
_start:
        mov ecx, 0x3a
        rdmsr
        test al, 1
        jnz .locked
        or al, 5
        wrmsr
.locked:
        mov rax, cr4
        or rax, 1 << 13
        mov cr4, rax
        mov ecx, 0x480
        rdmsr
        mov [vmxon_region], eax
        mov [vmcs_region], eax
        vmxon [vmxon_pointer]
        jbe fail
        vmclear [vmcs_pointer]
        vmptrld [vmcs_pointer]
        mov rdx, 0x6800
        mov rax, cr0
        vmwrite rdx, rax
        vmwrite rdx, [guest_cr0]
        mov rcx, 0x4402
        vmread rbx, rcx
        vmread [exit_reason], rcx
        mov rax, 1
        invept rax, [descriptor]
        invvpid rax, [rel descriptor]
        vmlaunch
        vmresume
fail:   pushfq
        pop rax
        vmxoff
        vmcall
        vmfunc
        vmrun
        vmload
        vmsave
        vmmcall
        stgi
        clgi
        invlpga
        xsetbv
        rdtscp
        clac
        stac
        hlt
        jmp fail
section .data align=16
vmxon_pointer: dq vmxon_region
vmcs_pointer: dq vmcs_region
guest_cr0: dq 0x80000031
descriptor: dq 0, 0
section .bss align=4096
alignb 4096
vmxon_region: resb 4096
vmcs_region: resb 4096
exit_reason: resq 1
