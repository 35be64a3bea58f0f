/** For a flat64 guest: rdi becomes the prepared page table that maps 2 MiB from 0x200000, rcx that address; rbx masks an entry's frame. */
export const FIND_PTE = `
  mov rax, cr3
  mov rbx, 0x000ffffffffff000
  mov rax, [rax]
  and rax, rbx
  mov rax, [rax]
  and rax, rbx
  mov rdi, [rax + 8]
  and rdi, rbx
  mov rcx, 0x200000
`;
