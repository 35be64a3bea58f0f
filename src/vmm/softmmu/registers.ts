import { bit } from '../../base/bits';
import { invariant } from '../../base/assert';
import { CR0, CR4, EFER } from '../../isa/flags';
import type { Cpu } from '../../hw/cpu/cpu';
import { SEG, SLOT } from '../../hw/state/layout';
import type { Sregs } from '../../kvm/x86/sregs';

/**
 * Loads a start's registers into the CPU. Registers that the start does not set are as after reset, the x87 and SSE
 * state as after FNINIT.
 */
export function loadRegisters(cpu: Cpu, sregs: Sregs, apicBase: bigint): void {
  const s = cpu.state;
  cpu.reset();
  for (let i = 0; i < 16; i++) s.set(i, sregs.gprs[i] ?? 0n);
  s.rip = sregs.rip;
  s.rflags = sregs.rflags | 2n;
  s.set(SLOT.CR0, sregs.cr0);
  s.set(SLOT.CR3, sregs.cr3);
  s.set(SLOT.CR4, sregs.cr4);
  s.set(SLOT.EFER, sregs.efer);
  s.setSegment(SEG.CS, sregs.cs);
  s.setSegment(SEG.SS, sregs.ss);
  for (const i of [SEG.ES, SEG.DS, SEG.FS, SEG.GS]) s.setSegment(i, sregs.data);
  s.setSegment(SEG.LDTR, sregs.ldtr);
  s.setSegment(SEG.TR, sregs.tr);
  s.set(SLOT.GDTR_BASE, sregs.gdtr.base);
  s.set32(SLOT.GDTR_LIMIT, sregs.gdtr.limit);
  s.set(SLOT.IDTR_BASE, sregs.idtr.base);
  s.set32(SLOT.IDTR_LIMIT, sregs.idtr.limit);
  s.set(SLOT.FCW, 0x37fn);
  s.set(SLOT.FTW, 0n);
  s.set(SLOT.MXCSR, 0x1f80n);
  s.set(SLOT.APIC_BASE, apicBase);
  // SS.DPL is the CPL, except in real mode, where it is 0
  s.cpl = bit(sregs.cr0, CR0.PE) ? (sregs.ss.rights >> 5) & 3 : 0;
  cpu.mmu.controlsChanged();
  if (bit(sregs.cr0, CR0.PG) && bit(sregs.cr4, CR4.PAE) && !bit(sregs.efer, EFER.LMA)) {
    for (let i = 0; i < 4; i++) {
      const entry = cpu.mmu.readPhysical(cpu, (sregs.cr3 & 0xffff_ffe0n) + BigInt(8 * i));
      invariant(entry !== undefined, 'a start that pages with PAE has its table in guest RAM');
      s.set(SLOT.PDPTE0 + i, entry);
    }
  }
}
