import { bit } from '../../base/bits';
import { CR0, EFER, RFLAGS } from '../../isa/flags';
import { VINTR, type VmcbFieldName } from '../../isa/vmcb-fields';
import { INTERRUPTIBILITY } from '../../isa/vmcs-controls';
import type { CpuState } from '../state/cpu-state';
import { SEG, SLOT } from '../state/layout';
import type { SvmControls } from './controls';
import { readSegment, writeSegment } from './segments';
import type { Vmcb } from './vmcb';

const RAX = 0;
const RSP = 4;
const LMA = 1n << BigInt(EFER.LMA);
/** What VMRUN and #VMEXIT move themselves, with no rule of its own. */
const PLAIN: readonly (readonly [slot: number, field: VmcbFieldName])[] = [
  [RAX, 'RAX'],
  [RSP, 'RSP'],
  [SLOT.RIP, 'RIP'],
  [SLOT.CR0, 'CR0'],
  [SLOT.CR3, 'CR3'],
  [SLOT.CR4, 'CR4'],
  [SLOT.GDTR_BASE, 'GDTR_BASE'],
  [SLOT.GDTR_LIMIT, 'GDTR_LIMIT'],
  [SLOT.IDTR_BASE, 'IDTR_BASE'],
  [SLOT.IDTR_LIMIT, 'IDTR_LIMIT'],
];
/** … and for the guest alone. */
const GUEST: readonly (readonly [slot: number, field: VmcbFieldName])[] = [
  [SLOT.CR2, 'CR2'],
  [SLOT.DR6, 'DR6'],
  [SLOT.DR7, 'DR7'],
];
/** What VMLOAD and VMSAVE move, beside FS, GS, TR and LDTR (15.5.2). */
const LOADED: readonly (readonly [slot: number, field: VmcbFieldName])[] = [
  [SLOT.KERNEL_GS_BASE, 'KERNEL_GS_BASE'],
  [SLOT.STAR, 'STAR'],
  [SLOT.LSTAR, 'LSTAR'],
  [SLOT.CSTAR, 'CSTAR'],
  [SLOT.SFMASK, 'SFMASK'],
  [SLOT.SYSENTER_CS, 'SYSENTER_CS'],
  [SLOT.SYSENTER_ESP, 'SYSENTER_ESP'],
  [SLOT.SYSENTER_EIP, 'SYSENTER_EIP'],
];
const LOADED_SEGMENTS = [SEG.FS, SEG.GS, SEG.LDTR, SEG.TR];
const RUN_SEGMENTS = [SEG.ES, SEG.CS, SEG.SS, SEG.DS];
const SHADOW = INTERRUPTIBILITY.STI | INTERRUPTIBILITY.MOV_SS;

/** VMLOAD. */
export function vmload(state: CpuState, vmcb: Vmcb): void {
  for (const i of LOADED_SEGMENTS) state.setSegment(i, readSegment(vmcb, i));
  for (const [slot, field] of LOADED) state.set(slot, vmcb.read(field));
}
/** VMSAVE. */
export function vmsave(state: CpuState, vmcb: Vmcb): void {
  for (const i of LOADED_SEGMENTS) writeSegment(vmcb, i, state.segment(i));
  for (const [slot, field] of LOADED) vmcb.write(field, state.get(slot));
}

/** The host's state into the host save area (15.5.1), whose format the manual leaves to the processor: here a VMCB's save area. */
export function saveHost(state: CpuState, area: Vmcb, returnRip: bigint): void {
  for (const [slot, field] of PLAIN) area.write(field, state.get(slot));
  area.write('RIP', returnRip);
  area.write('RFLAGS', state.rflags);
  area.write('EFER', state.get(SLOT.EFER));
  area.write('G_PAT', state.get(SLOT.PAT));
  for (const i of RUN_SEGMENTS) writeSegment(area, i, state.segment(i));
}
/** #VMEXIT's second half (15.6): CR0.PE is forced, DR7 disables all breakpoints, CPL is 0, RFLAGS.VM cleared. */
export function loadHost(state: CpuState, area: Vmcb): void {
  for (const [slot, field] of PLAIN) state.set(slot, area.read(field));
  state.set(SLOT.CR0, area.read('CR0') | (1n << BigInt(CR0.PE)));
  state.rflags = area.read('RFLAGS') & ~(1n << BigInt(RFLAGS.VM));
  state.set(SLOT.EFER, area.read('EFER'));
  state.set(SLOT.PAT, area.read('G_PAT'));
  state.set(SLOT.DR7, 0x400n);
  for (const i of RUN_SEGMENTS) state.setSegment(i, readSegment(area, i));
  state.cpl = 0;
  state.set(SLOT.INTERRUPTIBILITY, 0n);
  state.set(SLOT.ACTIVITY, 0n);
  state.set(SLOT.FETCH_CONTINUES, 0n);
}

/** VMRUN: the guest's state from the VMCB (15.5.1). LMA follows LME and paging. */
export function loadGuest(state: CpuState, vmcb: Vmcb, c: SvmControls): void {
  for (const [slot, field] of [...PLAIN, ...GUEST]) state.set(slot, vmcb.read(field));
  const efer = vmcb.read('EFER') & ~LMA;
  const long = bit(efer, EFER.LME) && bit(state.get(SLOT.CR0), CR0.PG);
  state.set(SLOT.EFER, long ? efer | LMA : efer);
  state.rflags = vmcb.read('RFLAGS');
  for (const i of RUN_SEGMENTS) state.setSegment(i, readSegment(vmcb, i));
  // in real mode CPL is 0, in virtual-8086 mode 3, whatever the field says (15.5.1)
  const real = !bit(state.get(SLOT.CR0), CR0.PE);
  state.cpl = real ? 0 : state.systemFlag(RFLAGS.VM) ? 3 : vmcb.read32('CPL') & 3;
  if (c.nestedPaging) state.set(SLOT.PAT, vmcb.read('G_PAT'));
  const vintr = vmcb.read('VINTR');
  if (c.virtualMasking) state.set(SLOT.CR8, vintr & VINTR.TPR & 0xfn);
  const shadow = (vmcb.read('INTERRUPT_SHADOW') & 1n) !== 0n ? INTERRUPTIBILITY.STI : 0;
  const nmi = c.virtualNmi && (vintr & VINTR.NMI_MASK) !== 0n ? INTERRUPTIBILITY.NMI : 0;
  state.set32(SLOT.INTERRUPTIBILITY, shadow | nmi);
  state.set(SLOT.ACTIVITY, 0n);
  state.set(SLOT.FETCH_CONTINUES, 0n);
}

/** #VMEXIT's first half (15.6): the guest's state into the VMCB. */
export function saveGuest(state: CpuState, vmcb: Vmcb, c: SvmControls): void {
  for (const [slot, field] of [...PLAIN, ...GUEST]) vmcb.write(field, state.get(slot));
  vmcb.write('RFLAGS', state.rflags);
  vmcb.write('EFER', state.get(SLOT.EFER));
  for (const i of RUN_SEGMENTS) writeSegment(vmcb, i, state.segment(i));
  vmcb.write('CPL', BigInt(state.cpl));
  if (c.nestedPaging) vmcb.write('G_PAT', state.get(SLOT.PAT));
  const blocking = state.get32(SLOT.INTERRUPTIBILITY);
  let vintr = vmcb.read('VINTR');
  if (c.virtualMasking) vintr = (vintr & ~VINTR.TPR) | (state.get(SLOT.CR8) & 0xfn);
  if (c.virtualNmi) vintr = (blocking & INTERRUPTIBILITY.NMI) !== 0 ? vintr | VINTR.NMI_MASK : vintr & ~VINTR.NMI_MASK;
  vmcb.write('VINTR', vintr);
  vmcb.write('INTERRUPT_SHADOW', ((blocking & SHADOW) !== 0 ? 1n : 0n) | (state.systemFlag(RFLAGS.IF) ? 2n : 0n));
}
