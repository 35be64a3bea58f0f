/** The guests that are timed. How much work each does is known from its source, so that a rate is work over time. */

export interface BenchGuest {
  readonly source: string;
  /** Guest instructions, walks or exits, as the name says. */
  readonly work: number;
}

/** An integer loop of ten instructions, of them one load and one store: what kernels and interpreters mostly do. */
export function integerLoop(iterations: number): BenchGuest {
  const source = `
; @guest start=flat64 memory=16M
bits 64
        mov     ecx, ${iterations}
        mov     rbx, 0x200000
again:
        mov     rax, [rbx]
        add     rax, rcx
        mov     rdx, rax
        shl     rdx, 3
        xor     rax, rdx
        lea     rsi, [rax + rdx*2 + 5]
        and     esi, 0xfff8
        mov     [rbx], rax
        dec     ecx
        jnz     again
        hlt
`;
  return { source, work: iterations * 10 };
}

/** Loads from a page whose translation is dropped each time: INVLPG does not exit under EPT, and each load walks 4×4 tables cold. */
export function coldWalks(iterations: number): BenchGuest {
  const source = `
; @guest start=flat64 memory=16M
bits 64
        mov     ecx, ${iterations}
        mov     rbx, 0x200000
        mov     rax, [rbx]
again:
        invlpg  [rbx]
        mov     rax, [rbx]
        dec     ecx
        jnz     again
        hlt
`;
  return { source, work: iterations };
}

/** The first touch of each of so many pages: an EPT violation each, with a host fault behind it. */
export const firstTouches = (pages: number): BenchGuest => touches(pages, Math.ceil(pages / 256) + 8);

/** Each of so many pages from 2 MiB on is written once, in a guest of so many MiB. */
export function touches(pages: number, megabytes: number): BenchGuest {
  const source = `
; @guest start=flat64 memory=${megabytes}M
bits 64
        mov     ecx, ${pages}
        mov     rbx, 0x200000
again:
        mov     [rbx], rbx
        add     rbx, 0x1000
        dec     ecx
        jnz     again
        hlt
`;
  return { source, work: pages };
}

/** CPUID always exits, and needs nothing of memory: the bare price of an exit. */
export function exits(iterations: number): BenchGuest {
  const source = `
; @guest start=flat64 memory=16M
bits 64
        mov     esi, ${iterations}
again:
        xor     eax, eax
        cpuid
        dec     esi
        jnz     again
        hlt
`;
  return { source, work: iterations };
}
