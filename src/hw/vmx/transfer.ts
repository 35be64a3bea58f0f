import { CR0, CR4, EFER } from '../../isa/flags';
import { bit } from '../../base/bits';
import { ENTRY_CTL, EXIT_CTL, SECONDARY } from '../../isa/vmcs-controls';
import { FIELD } from '../../isa/vmcs-fields';
import type { CpuState } from '../state/cpu-state';
import { RIGHTS, SEG, SLOT } from '../state/layout';
import type { VmxControls } from './controls';
import type { Vmcs } from './vmcs';

/** CR0 bits that neither VM entry nor VM exit changes: ET, 15:6, 17, 28:19, NW, CD (SDM vol. 3, 26.3.2.1 and 27.5.1). */
const CR0_KEPT = 0x7ffa_ffd0n;
const EFER_LME = 1n << BigInt(EFER.LME);
const EFER_LMA = 1n << BigInt(EFER.LMA);
/** DR7: bits 12, 15:14 are 0, bit 10 is 1. */
const dr7 = (v: bigint): bigint => (v & ~0xd000n) | 0x400n;
const DR7_INITIAL = 0x400n;

const RSP = 4;
/** Field of segment index i: the fields of a kind lie in the order of SEG. */
const seg = (first: number, i: number): number => first + 2 * i;
const baseSlot = (i: number): number =>
  i === SEG.LDTR ? SLOT.LDTR_BASE : i === SEG.TR ? SLOT.TR_BASE : SLOT.SEG_BASE + i;

/** What moves between register slots and guest-state fields with no rule of its own. */
const PLAIN: readonly (readonly [slot: number, encoding: number])[] = [
  [SLOT.RIP, FIELD.GUEST_RIP],
  [RSP, FIELD.GUEST_RSP],
  [SLOT.CR3, FIELD.GUEST_CR3],
  [SLOT.CR4, FIELD.GUEST_CR4],
  [SLOT.GDTR_BASE, FIELD.GUEST_GDTR_BASE],
  [SLOT.GDTR_LIMIT, FIELD.GUEST_GDTR_LIMIT],
  [SLOT.IDTR_BASE, FIELD.GUEST_IDTR_BASE],
  [SLOT.IDTR_LIMIT, FIELD.GUEST_IDTR_LIMIT],
  [SLOT.SYSENTER_CS, FIELD.GUEST_SYSENTER_CS],
  [SLOT.SYSENTER_ESP, FIELD.GUEST_SYSENTER_ESP],
  [SLOT.SYSENTER_EIP, FIELD.GUEST_SYSENTER_EIP],
  [SLOT.INTERRUPTIBILITY, FIELD.GUEST_INTERRUPTIBILITY_INFO],
  [SLOT.ACTIVITY, FIELD.GUEST_ACTIVITY_STATE],
  ...Object.values(SEG).flatMap((i): [number, number][] => [
    [SLOT.SELECTOR + i, seg(FIELD.GUEST_ES_SELECTOR, i)],
    [baseSlot(i), seg(FIELD.GUEST_ES_BASE, i)],
    [SLOT.LIMIT + i, seg(FIELD.GUEST_ES_LIMIT, i)],
    [SLOT.RIGHTS + i, seg(FIELD.GUEST_ES_AR_BYTES, i)],
  ]),
];

/** Whether the PDPTE registers mean something: paging on, PAE, not IA-32e mode. */
export const usesPdptes = (cr0: bigint, cr4: bigint, efer: bigint): boolean =>
  bit(cr0, CR0.PG) && bit(cr4, CR4.PAE) && (efer & EFER_LMA) === 0n;

/** VM entry: guest state from the VMCS into the registers (26.3.2). `pdptes`: read from memory by the checks where EPT does not supply them. */
export function loadGuestState(
  state: CpuState,
  vmcs: Vmcs,
  controls: VmxControls,
  pdptes: readonly bigint[] | undefined,
): void {
  const cr0 = (vmcs.read(FIELD.GUEST_CR0) & ~CR0_KEPT) | (state.get(SLOT.CR0) & CR0_KEPT);
  state.set(SLOT.CR0, cr0);
  for (const [slot, encoding] of PLAIN) vmcs.copyOut(encoding, state.r32, slot * 2);
  state.rflags = vmcs.read(FIELD.GUEST_RFLAGS);
  if ((controls.entry & ENTRY_CTL.LOAD_DEBUG_CONTROLS) !== 0) state.set(SLOT.DR7, dr7(vmcs.read(FIELD.GUEST_DR7)));
  if ((controls.entry & ENTRY_CTL.LOAD_IA32_EFER) !== 0) state.set(SLOT.EFER, vmcs.read(FIELD.GUEST_IA32_EFER));
  else {
    // LMA follows the control; LME does too unless paging is off
    const long = (controls.entry & ENTRY_CTL.IA32E_MODE) !== 0;
    const affected = bit(cr0, CR0.PG) ? EFER_LMA | EFER_LME : EFER_LMA;
    state.set(SLOT.EFER, (state.get(SLOT.EFER) & ~affected) | (long ? affected : 0n));
  }
  if ((controls.entry & ENTRY_CTL.LOAD_IA32_PAT) !== 0) state.set(SLOT.PAT, vmcs.read(FIELD.GUEST_IA32_PAT));
  state.cpl = (vmcs.read32(FIELD.GUEST_SS_AR_BYTES) >>> RIGHTS.DPL_SHIFT) & 3;
  if (usesPdptes(cr0, state.get(SLOT.CR4), state.get(SLOT.EFER))) {
    for (let i = 0; i < 4; i++) state.set(SLOT.PDPTE0 + i, pdptes?.[i] ?? vmcs.read(FIELD.GUEST_PDPTR0 + 2 * i));
  }
  state.set(SLOT.FETCH_CONTINUES, 0n);
}

/** VM exit: the registers into the guest-state area (27.3). `rflags`: the image to save, where the exit sets RF in it. */
export function saveGuestState(
  state: CpuState,
  vmcs: Vmcs,
  controls: VmxControls,
  rflags: bigint,
  pendingDebug: bigint,
): void {
  vmcs.write(FIELD.GUEST_CR0, state.get(SLOT.CR0));
  for (const [slot, encoding] of PLAIN) vmcs.copyIn(encoding, state.r32, slot * 2);
  vmcs.write(FIELD.GUEST_RFLAGS, rflags);
  vmcs.write(FIELD.GUEST_PENDING_DBG_EXCEPTIONS, pendingDebug);
  if ((controls.exit & EXIT_CTL.SAVE_DEBUG_CONTROLS) !== 0) {
    vmcs.write(FIELD.GUEST_DR7, state.get(SLOT.DR7));
    vmcs.write(FIELD.GUEST_IA32_DEBUGCTL, 0n);
  }
  if ((controls.exit & EXIT_CTL.SAVE_IA32_EFER) !== 0) vmcs.write(FIELD.GUEST_IA32_EFER, state.get(SLOT.EFER));
  if ((controls.exit & EXIT_CTL.SAVE_IA32_PAT) !== 0) vmcs.write(FIELD.GUEST_IA32_PAT, state.get(SLOT.PAT));
  if (
    (controls.secondary & SECONDARY.ENABLE_EPT) !== 0 &&
    usesPdptes(state.get(SLOT.CR0), state.get(SLOT.CR4), state.get(SLOT.EFER))
  ) {
    for (let i = 0; i < 4; i++) vmcs.write(FIELD.GUEST_PDPTR0 + 2 * i, state.get(SLOT.PDPTE0 + i));
  }
}

const CODE_RIGHTS = 0xb | RIGHTS.S | RIGHTS.P | RIGHTS.G;
const DATA_RIGHTS = 0x3 | RIGHTS.S | RIGHTS.P | RIGHTS.DB | RIGHTS.G;
const TSS_RIGHTS = 0xb | RIGHTS.P;
const FLAT_LIMIT = 0xffff_ffff;

/** VM exit: host state from the VMCS into the registers (27.5). General registers but RSP keep the guest's values. */
export function loadHostState(state: CpuState, vmcs: Vmcs, controls: VmxControls): void {
  const long = (controls.exit & EXIT_CTL.HOST_ADDR_SPACE_SIZE) !== 0;
  state.set(SLOT.CR0, (vmcs.read(FIELD.HOST_CR0) & ~CR0_KEPT) | (state.get(SLOT.CR0) & CR0_KEPT));
  state.set(SLOT.CR3, vmcs.read(FIELD.HOST_CR3));
  const cr4 = vmcs.read(FIELD.HOST_CR4);
  state.set(SLOT.CR4, long ? cr4 | (1n << BigInt(CR4.PAE)) : cr4 & ~(1n << BigInt(CR4.PCIDE)));
  state.set(SLOT.DR7, DR7_INITIAL);
  state.set(SLOT.SYSENTER_CS, vmcs.read(FIELD.HOST_IA32_SYSENTER_CS));
  state.set(SLOT.SYSENTER_ESP, vmcs.read(FIELD.HOST_IA32_SYSENTER_ESP));
  state.set(SLOT.SYSENTER_EIP, vmcs.read(FIELD.HOST_IA32_SYSENTER_EIP));
  const longBits = EFER_LMA | EFER_LME;
  if ((controls.exit & EXIT_CTL.LOAD_IA32_EFER) !== 0) state.set(SLOT.EFER, vmcs.read(FIELD.HOST_IA32_EFER));
  else state.set(SLOT.EFER, (state.get(SLOT.EFER) & ~longBits) | (long ? longBits : 0n));
  if ((controls.exit & EXIT_CTL.LOAD_IA32_PAT) !== 0) state.set(SLOT.PAT, vmcs.read(FIELD.HOST_IA32_PAT));

  for (let i: number = SEG.ES; i <= SEG.GS; i++) {
    const selector = vmcs.read32(seg(FIELD.HOST_ES_SELECTOR, i));
    const base = i === SEG.FS ? vmcs.read(FIELD.HOST_FS_BASE) : i === SEG.GS ? vmcs.read(FIELD.HOST_GS_BASE) : 0n;
    const rights =
      i === SEG.CS ? CODE_RIGHTS | (long ? RIGHTS.L : RIGHTS.DB) : selector === 0 ? RIGHTS.UNUSABLE : DATA_RIGHTS;
    state.setSegment(i, { selector, base, limit: FLAT_LIMIT, rights });
  }
  state.setSegment(SEG.TR, {
    selector: vmcs.read32(FIELD.HOST_TR_SELECTOR),
    base: vmcs.read(FIELD.HOST_TR_BASE),
    limit: 0x67,
    rights: TSS_RIGHTS,
  });
  state.setSegment(SEG.LDTR, { selector: 0, base: 0n, limit: 0, rights: RIGHTS.UNUSABLE });
  state.set(SLOT.GDTR_BASE, vmcs.read(FIELD.HOST_GDTR_BASE));
  state.set(SLOT.IDTR_BASE, vmcs.read(FIELD.HOST_IDTR_BASE));
  state.set(SLOT.GDTR_LIMIT, 0xffffn);
  state.set(SLOT.IDTR_LIMIT, 0xffffn);
  state.rip = vmcs.read(FIELD.HOST_RIP);
  state.set(RSP, vmcs.read(FIELD.HOST_RSP));
  state.rflags = 2n;
  state.cpl = 0;
  state.set(SLOT.ACTIVITY, 0n);
  state.set(SLOT.FETCH_CONTINUES, 0n);
}
