; Hello over the serial port.
;
; Five lines would do; this one polls the line status register as a driver does. Nothing is set up: `start=flat64` enters here in
; long mode, with paging on and an identity map of guest RAM.
;
; Watch: each IN and OUT is a VM exit (IO_INSTRUCTION) that goes out to the VMM and back. Set the exception filter "VM exit" with
; the condition `reason == IO_INSTRUCTION && write` and press F5: the guest stops once a letter. Then step in (F11): the exit is
; handled step by step, and its frames stand above the guest's in the call stack.
;
; @guest start=flat64

bits 64

COM1        equ 0x3f8
LINE_STATUS equ COM1 + 5
THR_EMPTY   equ 1 << 5          ; transmitter holding register empty

start:
        lea     rsi, [rel message]
next:
        lodsb
        test    al, al
        jz      done
        mov     bl, al
wait_ready:
        mov     dx, LINE_STATUS
        in      al, dx
        test    al, THR_EMPTY
        jz      wait_ready
        mov     al, bl
        mov     dx, COM1
        out     dx, al
        jmp     next
done:
        hlt                     ; interrupts are off: the run ends here

message db "Hello, guest", 10, 0
