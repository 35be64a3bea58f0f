/** A guest that edits a table and flushes late: under shadow paging as it became, what the hardware walks drifts from what the guest wrote. */
export const DRIFT_GUEST = `; @guest start=flat64 memory=16M mmu=shadow shadow=modern
bits 64
start:  mov     rbx, 0x300000
        mov     rax, [rbx]              ; KVM makes a shadow of the mapping
        mov     rdi, cr3
        mov     rdi, [rdi]
        and     rdi, ~0xfff
        mov     rdi, [rdi]
        and     rdi, ~0xfff
        mov     rdi, [rdi + 8]
        and     rdi, ~0xfff             ; the table of the second 2 MiB
before: mov     qword [rdi + 0x100 * 8], 0x400003
edited: nop                             ; no INVLPG yet: the shadow still leads to the old page
        invlpg  [rbx]
flushed:
        hlt
`;
