; One page under way: GPA 0xa000 -> HVA 0xb000 -> HPA 0xc000.
;
; A memslot says that guest physical 0xa000 is the VMM's virtual 0xb000; the host's page tables say that this is host physical 0xc000; KVM puts
; both together into one EPT entry, 0xa000 -> 0xc000. Then the host moves the page to HPA 0xd000: an MMU notifier tells KVM, which takes
; the EPT entry away before the host changes its own. Then the VMM gives the slot other memory, at HVA 0xe000: KVM takes the entry away again,
; and the guest finds a fresh page. The guest can notice either change only by what it reads: each time its next access is an EPT violation, which
; makes the entry again.
;
; Watch: break on EPT violations and step into them; `gpa2hva 0xa000` and `gpa2hpa 0xa000` in the Debug Console at each label; the EPT and
; Memslots trees. EXTERNAL_INTERRUPT exits are KVM's kicks: the VCPU must leave the guest and flush before the host may use the old frame.
;
; @guest start=flat16 slot=0xa000+4K slot=0x0+40K slot=0xb000+980K hva-base=0xb000 host-base=0x0
; @host place 0xb000 0xc000
; @host place 0xe000 0xf000

bits 16

page    equ 0xa000

start:
        mov     dword [page], 0xcafe    ; EPT violation: memslot, host fault, EPT entry
first:
        mov     eax, [page]             ; HPA 0xc000

; @host migrate 0xa000 0xd000
moved:
        mov     ebx, [page]             ; EPT violation: HPA 0xd000, the same content
again:
        nop

; @host memslot remap 0 0xe000
remapped:
        mov     ecx, [page]             ; EPT violation: HVA 0xe000, HPA 0xf000, another page
done:
        hlt
