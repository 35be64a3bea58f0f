bits 64
n: nop
mov rax,[fs:rel n]
mov rax,[rel fs:n]
mov rax,[rel n]
mov eax,[gs:rel n]
fs mov eax,[rel n]
lock inc dword [rel n]
mov [rel n],ax
add dword [rel n], 0x12345678
