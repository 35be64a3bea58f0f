; A page in swap, and a guest that has something better to do than to wait for it: asynchronous page faults (Linux, Documentation/virt/kvm/x86/msr.rst).
;
; The host has taken a page of the guest to swap. Task A touches it: an EPT violation, and the read from the disk takes as long as 240,000 instructions here. A guest that
; has asked for it (MSR_KVM_ASYNC_PF_EN) is not kept waiting: KVM gives it a #PF whose CR2 is not an address but a token, says so in the 32 bits at `shared`, and lets a worker
; of the host read the page. The guest runs task B meanwhile. When the page is there KVM writes the token after those bits and raises the interrupt that the guest
; named (MSR_KVM_ASYNC_PF_INT); the guest acknowledges it (MSR_KVM_ASYNC_PF_ACK) and continues with task A, whose access now succeeds.
;
; Watch: break on `page_fault` and look at CR2 and `dword [shared]`; break on EPT violations and step into the one of task A; break on `page_ready`. R15 counts what task B
; got done. Without `send always` (bit 1) a guest at CPL 0 would sleep instead: clear it and see the step `kvm_vcpu_block`.
;
; @guest start=flat64 memory=16M

bits 64

MSR_APIC_BASE   equ 0x1b
X2APIC_EOI      equ 0x80b
X2APIC_SVR      equ 0x80f
MSR_ASYNC_PF_EN equ 0x4b564d02          ; bit 0 on, bit 1 send always, bit 3 page ready by interrupt
MSR_ASYNC_PF_INT equ 0x4b564d06
MSR_ASYNC_PF_ACK equ 0x4b564d07
VECTOR          equ 0x50

%macro gate 2                           ; vector, handler: a 64-bit interrupt gate
        mov     rax, %2
        mov     [idt + 16 * %1], ax
        mov     dword [idt + 16 * %1 + 2], 0x8e000008 ; 64-bit code segment, present, DPL 0
        shr     rax, 16
        mov     [idt + 16 * %1 + 6], ax
        shr     rax, 16
        mov     [idt + 16 * %1 + 8], eax
%endmacro
%macro write_msr 2                      ; number, value of 32 bits
        mov     ecx, %1
        mov     eax, %2
        xor     edx, edx
        wrmsr
%endmacro

start:
        gate    14, page_fault
        gate    VECTOR, page_ready
        lidt    [idtr]
        mov     ecx, MSR_APIC_BASE      ; x2APIC mode: registers are MSRs
        rdmsr
        or      eax, 1 << 10
        wrmsr
        write_msr X2APIC_SVR, 0x1ff
        mov     eax, 0x40000001         ; KVM_FEATURE_ASYNC_PF is bit 4, KVM_FEATURE_ASYNC_PF_INT bit 14
        cpuid
        and     eax, 1 << 4 | 1 << 14
        cmp     eax, 1 << 4 | 1 << 14
        jne     done
        write_msr MSR_ASYNC_PF_INT, VECTOR
        write_msr MSR_ASYNC_PF_EN, shared + 0xb
        xor     r15, r15
        mov     qword [page], 0xcafe
; @host swap-out page
        sti
        nop                             ; here comes "every page is ready", with token 0xffffffff
task_a:
        mov     rbx, [page]             ; EPT violation; then #PF with a token; at last 0xcafe
finished:
        cli
done:
        hlt

task_b:
        inc     r15
        jmp     task_b

page_fault:
        cmp     dword [shared], 1       ; "page not present" rather than a fault of our own
        jne     done
        mov     dword [shared], 0
        mov     rax, cr2
        mov     [token], rax
        add     rsp, 8                  ; the error code
        mov     [stack_a], rsp          ; task A's registers for IRETQ
        mov     rsp, stack_b
        sti
        jmp     task_b

page_ready:
        mov     edi, [shared + 4]
        mov     dword [shared + 4], 0
        write_msr MSR_ASYNC_PF_ACK, 1
        write_msr X2APIC_EOI, 0
        cmp     rdi, [token]
        jne     other
        mov     rsp, [stack_a]          ; task B is left where it is
other:
        iretq

        align   64
shared: times 64 db 0
token:  dq      0
stack_a: dq     0
idtr:   dw      16 * 256 - 1
        dq      idt
        align   4096
idt:    times 16 * 256 db 0
        times   4096 db 0
stack_b:
        align   4096
page:   times 4096 db 0
