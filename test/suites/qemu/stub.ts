/**
 * A Multiboot kernel for QEMU that builds, with code of its own, the state in which Pagewalk starts flat32 and flat64 guests, and jumps to the guest, which QEMU hands over as
 * a module. It shares nothing with src/vmm/start but what the command line's documentation promises.
 */
const LOAD = 0x200_0000;
/** Where it is loaded: at 32 MiB, or in the middle of less RAM than that needs. QEMU starts a kernel that lies beyond the end of RAM without a word. */
const loadAddress = (top: number): number => Math.min(LOAD, top / 2);

/** NASM source. `top`: end of guest RAM, below 4 GiB and a multiple of 4 MiB. */
export function stubSource(kind: 'flat32' | 'flat64', entry: bigint, top: number): string {
  const long = kind === 'flat64';
  const load = loadAddress(top);
  const tables = top - (long ? 3 + top / 0x20_0000 : 1 + top / 0x40_0000) * 4096;
  const descriptors = tables - 4096;
  return `
bits 32
org ${load}
  dd 0x1badb002, 0x10001, -(0x1badb002 + 0x10001)
  dd ${load}, ${load}, 0, 0, entry
entry:
  cli
  cld
  mov esp, ${load}
  ; the guest is the first module
  mov eax, [ebx + 24]
  mov esi, [eax]
  mov ecx, [eax + 4]
  sub ecx, esi
  mov edi, 0x100000
  rep movsb
  ; descriptors: GDT at the frame's start, TSS at 0x100
  mov edi, ${descriptors}
  mov ecx, 1024 + ${(top - tables) / 4}
  xor eax, eax
  rep stosd
  mov esi, gdt
  mov edi, ${descriptors}
  mov ecx, gdt_end - gdt
  rep movsb
  mov word [${descriptors} + 0x100 + 0x66], 0x68
${long ? tables64(tables, top) : tables32(tables, top)}
  lgdt [gdtr]
  lidt [idtr]
  mov eax, ${tables}
  mov cr3, eax
  ${long ? 'mov eax, 0x20\n  mov cr4, eax\n  mov ecx, 0xc0000080\n  mov eax, 0x900\n  xor edx, edx\n  wrmsr' : ''}
  mov eax, 0x80000031
  mov cr0, eax
  jmp 8:ready
bits ${long ? 64 : 32}
ready:
  mov ax, 0x10
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov fs, ax
  mov gs, ax
  mov ax, 0x28
  ltr ax
  xor eax, eax
  lldt ax
  push ${long ? 'qword' : 'dword'} 2
  popf${long ? 'q' : 'd'}
  mov esp, 0x80000
  xor ebx, ebx
  xor ecx, ecx
  xor edx, edx
  xor esi, esi
  xor edi, edi
  xor ebp, ebp
  ${long ? ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'].map((r) => `xor ${r}, ${r}`).join('\n  ') : ''}
  mov eax, 0
  ${long ? `jmp [rel target]\ntarget: dq ${entry}` : `jmp [target]\ntarget: dd ${entry}`}
bits 32
align 8
gdt:
  dq 0, ${long ? '0x00af9b000000ffff, 0x00cf93000000ffff, 0x00affb000000ffff' : '0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff'}, 0x00cff3000000ffff
  dw 0x67, ${(descriptors + 0x100) & 0xffff}
  db ${((descriptors + 0x100) >> 16) & 0xff}, 0x89, 0, ${(descriptors + 0x100) >>> 24}
  ${long ? 'dq 0' : ''}
gdt_end:
gdtr: dw gdt_end - gdt - 1
  dd ${descriptors}
idtr: dw 0
  dd 0
`;
}

/** PML4, PDPT, PD, then the page tables, all in a row; every entry present and writable. */
function tables64(tables: number, top: number): string {
  return `
  mov dword [${tables}], ${tables + 0x1003}
  mov dword [${tables + 0x1000}], ${tables + 0x2003}
  mov edi, ${tables + 0x2000}
  mov eax, ${tables + 0x3003}
  mov ecx, ${top / 0x20_0000}
.pd:
  mov [edi], eax
  add edi, 8
  add eax, 0x1000
  dec ecx
  jnz .pd
  mov edi, ${tables + 0x3000}
  mov eax, 3
  mov ecx, ${top / 0x1000}
.pt:
  mov [edi], eax
  add edi, 8
  add eax, 0x1000
  dec ecx
  jnz .pt`;
}
function tables32(tables: number, top: number): string {
  return `
  mov edi, ${tables}
  mov eax, ${tables + 0x1003}
  mov ecx, ${top / 0x40_0000}
.pd:
  mov [edi], eax
  add edi, 4
  add eax, 0x1000
  dec ecx
  jnz .pd
  mov edi, ${tables + 0x1000}
  mov eax, 3
  mov ecx, ${top / 0x1000}
.pt:
  mov [edi], eax
  add edi, 4
  add eax, 0x1000
  dec ecx
  jnz .pt`;
}
