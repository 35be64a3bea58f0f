import { gpa } from '../../base/address';
import { bit, isCanonical } from '../../base/bits';
import { FIELD } from '../../isa/vmcs-fields';
import { CR0, CR4, EFER } from '../../isa/flags';
import { RIGHTS, SEG, SLOT } from '../../hw/state/layout';
import type { VcpuContext } from '../vcpu-context';
import {
  CR0_ALWAYS_OFF,
  CR0_ALWAYS_ON,
  CR0_ALWAYS_ON_SHADOW,
  CR4_ALWAYS_ON,
  CR4_ALWAYS_ON_SHADOW,
  CR4_PAGING_ONLY,
} from '../vmx/setup';

const on = (n: number): bigint => 1n << BigInt(n);
const BUSY_64_TSS = 0xb;

/** A new value that the architecture refuses: the guest gets #GP(0). */
export type Accepted = boolean;

// ---- writing the VMCS (vmx_set_cr0, vmx_set_cr4, vmx_set_efer)

/** The hardware's CR0 has NE and not NW or CD whatever the guest believes; the shadow shows the guest its own value. */
export function vmxSetCr0(v: VcpuContext, cr0: bigint): void {
  const { vmcs, regs } = v;
  const long = bit(regs.efer, EFER.LME);
  const paging = bit(cr0, CR0.PG);
  if (long && paging && !bit(regs.efer, EFER.LMA)) enterLongMode(v);
  if (!paging && bit(regs.efer, EFER.LMA)) vmxSetEfer(v, regs.efer & ~on(EFER.LMA));
  vmcs.write('CR0_READ_SHADOW', cr0);
  vmcs.write('GUEST_CR0', (cr0 & ~CR0_ALWAYS_OFF) | (v.vm.shadow ? CR0_ALWAYS_ON_SHADOW : CR0_ALWAYS_ON));
  if (v.vm.shadow) vmxSetCr4(v, regs.cr4);
}

export function vmxSetCr4(v: VcpuContext, cr4: bigint): void {
  v.vmcs.write('CR4_READ_SHADOW', cr4);
  const paging = bit(v.regs.cr0, CR0.PG);
  v.vmcs.write(
    'GUEST_CR4',
    v.vm.shadow ? (paging ? cr4 : cr4 & ~CR4_PAGING_ONLY) | CR4_ALWAYS_ON_SHADOW : cr4 | CR4_ALWAYS_ON,
  );
}

export function vmxSetEfer(v: VcpuContext, efer: bigint): void {
  v.regs.saved.set(SLOT.EFER, efer);
  v.vmcs.write('GUEST_IA32_EFER', v.vm.shadow ? shadowEfer(efer) : efer);
  v.regs.setLongModeControl(bit(efer, EFER.LMA));
}

/** Shadow entries need NX for what SMEP and CR0.WP = 0 ask; and with paging always on, hardware knows LME only together with LMA. */
const shadowEfer = (efer: bigint): bigint => (bit(efer, EFER.LMA) ? efer : efer & ~on(EFER.LME)) | on(EFER.NXE);

/** enter_lmode: VM entry wants a busy 64-bit TSS, which a guest that never loaded TR has not. */
function enterLongMode(v: VcpuContext): void {
  const tr = v.regs.segment(SEG.TR);
  if ((tr.rights & RIGHTS.TYPE_MASK) !== BUSY_64_TSS)
    v.regs.setSegment(SEG.TR, { ...tr, rights: (tr.rights & ~RIGHTS.TYPE_MASK) | BUSY_64_TSS });
  vmxSetEfer(v, v.regs.efer | on(EFER.LMA));
}

// ---- the guest's MOV to CRn (kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_cr8): checks of SDM vol. 2, "MOV—Move to/from Control Registers"

export function kvmSetCr0(v: VcpuContext, value: bigint): Accepted {
  const { regs } = v;
  const old = regs.cr0;
  const cr0 = value | on(CR0.ET);
  if (cr0 >> 32n !== 0n) return false;
  if (bit(cr0, CR0.NW) && !bit(cr0, CR0.CD)) return false;
  if (bit(cr0, CR0.PG) && !bit(cr0, CR0.PE)) return false;
  const turningOn = bit(cr0, CR0.PG) && !bit(old, CR0.PG);
  if (bit(regs.efer, EFER.LME) && turningOn) {
    if (!bit(regs.cr4, CR4.PAE)) return false;
    if ((regs.segment(SEG.CS).rights & RIGHTS.L) !== 0) return false;
  } else if (
    !bit(regs.efer, EFER.LME) &&
    bit(cr0, CR0.PG) &&
    bit(regs.cr4, CR4.PAE) &&
    (turningOn || (cr0 ^ old) & PDPTR_BITS)
  ) {
    if (!loadPdptrs(v, regs.cr3)) return false;
  }
  if (!bit(cr0, CR0.PG) && (regs.mode64 || bit(regs.cr4, CR4.PCIDE))) return false;
  vmxSetCr0(v, cr0 & CR0_DEFINED);
  // clearing PG flushes the TLB
  if (bit(old, CR0.PG) && !bit(cr0, CR0.PG)) v.flushGuest = true;
  return true;
}
const PDPTR_BITS = on(CR0.CD) | on(CR0.NW) | on(CR0.PG);
const CR0_DEFINED = [CR0.PE, CR0.MP, CR0.EM, CR0.TS, CR0.ET, CR0.NE, CR0.WP, CR0.AM, CR0.NW, CR0.CD, CR0.PG].reduce(
  (m, n) => m | on(n),
  0n,
);

export function kvmSetCr4(v: VcpuContext, value: bigint): Accepted {
  const { regs } = v;
  const old = regs.cr4;
  if ((value & ~v.model.cr4Mask) !== 0n) return false;
  if (regs.longMode) {
    if (!bit(value, CR4.PAE)) return false;
    if ((value ^ old) & on(CR4.LA57)) return false;
  } else if (
    bit(regs.cr0, CR0.PG) &&
    bit(value, CR4.PAE) &&
    (value ^ old) & (on(CR4.PAE) | on(CR4.PGE) | on(CR4.PSE) | on(CR4.SMEP))
  ) {
    if (!loadPdptrs(v, regs.cr3)) return false;
  }
  if (bit(value, CR4.PCIDE) && !bit(old, CR4.PCIDE)) {
    if (!regs.longMode || (regs.cr3 & 0xfffn) !== 0n) return false;
  }
  vmxSetCr4(v, value);
  const changed = value ^ old;
  const dropsGlobals = (changed & (on(CR4.PGE) | on(CR4.PAE) | on(CR4.PSE))) !== 0n;
  const dropsPcids = bit(old, CR4.PCIDE) && !bit(value, CR4.PCIDE);
  const gainsSmep = bit(value, CR4.SMEP) && !bit(old, CR4.SMEP);
  if (dropsGlobals || dropsPcids || gainsSmep) v.flushGuest = true;
  // kept roots could be taken for those of other PCIDs
  if (bit(value, CR4.PCIDE) && !bit(old, CR4.PCIDE)) v.vm.shadow?.unload();
  return true;
}

export function kvmSetCr3(v: VcpuContext, value: bigint): Accepted {
  const { regs } = v;
  const pcide = bit(regs.cr4, CR4.PCIDE);
  const keep = pcide && bit(value, 63);
  const cr3 = pcide ? value & ~(1n << 63n) : value;
  if (regs.longMode && cr3 >> BigInt(v.model.physicalBits) !== 0n) return false;
  if (!regs.longMode && bit(regs.cr0, CR0.PG) && bit(regs.cr4, CR4.PAE) && !loadPdptrs(v, cr3)) return false;
  v.regs.cr3 = cr3;
  if (!keep) invalidatePcid(v, pcide ? cr3 & PCID_MASK : 0n);
  return true;
}
/** kvm_get_active_pcid. */
export const activePcid = (v: VcpuContext): bigint => (bit(v.regs.cr4, CR4.PCIDE) ? v.regs.cr3 & PCID_MASK : 0n);

/**
 * kvm_invalidate_pcid: what a load of CR3, or INVPCID, drops of a PCID. Under shadow paging the root in use is synchronised, and kept ones of that PCID go: they are
 * synchronised when they are made anew.
 */
export function invalidatePcid(v: VcpuContext, pcid: bigint): void {
  const { shadow } = v.vm;
  if (!shadow) {
    v.flushGuest = true;
    return;
  }
  if (activePcid(v) === pcid) {
    v.syncRoots = true;
    v.flushCurrent = true;
  }
  if (bit(v.regs.cr4, CR4.PCIDE)) shadow.roots.freePrevious((r) => (r.paging.cr3 & PCID_MASK) === pcid);
}
const PCID_MASK = 0xfffn;

/** Bits 63:4 are reserved; the others are the local APIC's task priority 7:4, which is where CR8 is read from. */
export function kvmSetCr8(v: VcpuContext, value: bigint): Accepted {
  if (value > 0xfn) return false;
  v.lapic.setTaskPriority(Number(value) << 4);
  return true;
}

/** load_pdptrs: the four PDPTEs of PAE paging, read through the memslots and put into the VMCS, whence EPT guests take them. */
export function loadPdptrs(v: VcpuContext, cr3: bigint): boolean {
  const bytes = v.readGuest(gpa(cr3 & 0xffff_ffe0n), 32);
  if (!bytes) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
  const reserved = 0x1e6n | ~((1n << BigInt(v.model.physicalBits)) - 1n);
  const entries = [0, 1, 2, 3].map((i) => view.getBigUint64(i * 8, true));
  if (entries.some((e) => bit(e, 0) && (e & BigInt.asUintN(64, reserved)) !== 0n)) return false;
  entries.forEach((e, i) => v.vmcs.writeEncoding(FIELD.GUEST_PDPTR0 + 2 * i, e));
  return true;
}

/** set_efer, for WRMSR: reserved bits, and LME while paging is on, are refused; LMA is not the guest's to write. */
export function kvmSetEfer(v: VcpuContext, value: bigint): Accepted {
  const old = v.regs.efer;
  if ((value & ~v.model.eferMask) !== 0n) return false;
  if (bit(v.regs.cr0, CR0.PG) && (value ^ old) & on(EFER.LME)) return false;
  vmxSetEfer(v, (value & ~on(EFER.LMA)) | (old & on(EFER.LMA)));
  if ((value ^ old) & on(EFER.NXE)) v.flushGuest = true;
  return true;
}

export const isCanonicalFor = (v: VcpuContext, address: bigint): boolean => isCanonical(address, v.model.linearBits);
