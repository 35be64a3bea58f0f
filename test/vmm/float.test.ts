/** A guest that turns x87, SSE and XSAVE on by itself under KVM, and keeps its registers across exits. */
import * as assert from 'node:assert/strict';
import { Guest } from './support/guest';

const RAX = 0;
const RDI = 7;

describe('floating point under KVM', () => {
  it('CR4.OSXSAVE shows in CPUID, XSETBV exits and takes what CPUID lists, registers survive exits', () => {
    const g = new Guest(`
      mov rax, cr4
      or rax, 0x40600
      mov cr4, rax
      mov eax, 1
      cpuid
      mov edi, ecx
      xor ecx, ecx
      xor edx, edx
      mov eax, 3
      xsetbv
      mov eax, 7
      cvtsi2sd xmm0, eax
      sqrtsd xmm0, xmm0
      fldpi
      mov eax, 0xd
      xor ecx, ecx
      cpuid
      mulsd xmm0, xmm0
      fistp dword [0x200000]
      cvtsd2si eax, xmm0
      shl eax, 8
      or eax, [0x200000]
      hlt`);
    const r = g.halt();
    assert.equal(r[RAX], 0x703n);
    assert.equal(((r[RDI] as bigint) >> 27n) & 1n, 1n, 'OSXSAVE');
    assert.equal(g.exits['XSETBV'], 1);
  });
  it('XSETBV of a component that is not there is #GP', () => {
    const g = new Guest(`
      lidt [table]
      mov rax, cr4
      or rax, 0x40000
      mov cr4, rax
      xor ecx, ecx
      xor edx, edx
      mov eax, 7
      xsetbv
      hlt
      align 8
table: dw 0
      dq 0`);
    const end = g.end();
    assert.notEqual(end.kind, 'halt', 'without an IDT a #GP is a triple fault');
    assert.ok(g.stepsOfExit('XSETBV').includes('kvm_emulate_xsetbv'));
  });
});
