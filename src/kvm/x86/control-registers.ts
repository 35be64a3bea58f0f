import { because, type FaultReason } from '../../isa/reasons/index';
import { gpa } from '../../base/address';
import { bit, isCanonical } from '../../base/bits';
import { CR0, CR4, EFER } from '../../isa/flags';
import { RIGHTS, SEG } from '../../hw/state/layout';
import type { Vcpu } from '../vcpu';

const on = (n: number): bigint => 1n << BigInt(n);

/** True, or why the architecture rejects the new value: the guest gets #GP(0). */
export type Accepted = true | FaultReason;

// ---- the guest's MOV to CRn (kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_cr8): checks of SDM vol. 2, "MOV—Move to/from Control Registers"

export function kvmSetCr0(v: Vcpu, value: bigint): Accepted {
  const { regs } = v;
  const old = regs.cr0;
  const cr0 = value | on(CR0.ET);
  if (cr0 >> 32n !== 0n) return because('cr0-upper', cr0);
  if (bit(cr0, CR0.NW) && !bit(cr0, CR0.CD)) return because('cr0-nw-cd');
  if (bit(cr0, CR0.PG) && !bit(cr0, CR0.PE)) return because('cr0-pg-pe');
  const turningOn = bit(cr0, CR0.PG) && !bit(old, CR0.PG);
  if (bit(regs.efer, EFER.LME) && turningOn) {
    if (!bit(regs.cr4, CR4.PAE)) return because('cr0-pg-pae');
    if ((regs.segment(SEG.CS).rights & RIGHTS.L) !== 0) return because('cr0-pg-cs-l');
  } else if (
    !bit(regs.efer, EFER.LME) &&
    bit(cr0, CR0.PG) &&
    bit(regs.cr4, CR4.PAE) &&
    (turningOn || (cr0 ^ old) & PDPTR_BITS)
  ) {
    const loaded = loadPdptrs(v, regs.cr3);
    if (loaded !== true) return loaded;
  }
  if (!bit(cr0, CR0.PG) && regs.mode64) return because('cr0-pg-long');
  if (!bit(cr0, CR0.PG) && bit(regs.cr4, CR4.PCIDE)) return because('cr0-pg-pcide');
  v.ops.setCr0(cr0 & CR0_DEFINED);
  postSetCr0(v, old, cr0 & CR0_DEFINED);
  return true;
}
/** kvm_post_set_cr0. */
function postSetCr0(v: Vcpu, old: bigint, cr0: bigint): void {
  const changed = old ^ cr0;
  // EPT and NPT entries do not depend on WP
  if (!v.vm.shadow && changed === on(CR0.WP)) return;
  // clearing PG flushes the guest's TLB
  if (bit(old, CR0.PG) && !bit(cr0, CR0.PG)) v.flushGuest = true;
  if ((changed & ROLE_BITS.cr0) !== 0n) resetMmuContext(v, 'CR0.PG or CR0.WP changed');
}

/**
 * KVM_MMU_CR0_ROLE_BITS, KVM_MMU_CR4_ROLE_BITS and KVM_MMU_EFER_ROLE_BITS: the bits that affect tables and KVM's own
 * walks of them (arch/x86/kvm/mmu.h).
 */
const ROLE_BITS = {
  cr0: on(CR0.PG) | on(CR0.WP),
  cr4: on(CR4.PSE) | on(CR4.PAE) | on(CR4.LA57) | on(CR4.SMEP) | on(CR4.SMAP) | on(CR4.PKE),
  efer: on(EFER.LME) | on(EFER.NXE),
} as const;

/**
 * kvm_mmu_reset_context: releases the root; kvm_mmu_load loads one for the new role before the next entry. It flushes
 * what is cached under that root, since its provenance is unknown, and synchronises a shadow root. EPT and NPT have
 * one root for all roles; shadow paging finds the role's own (mmu/shadow/load-root.ts).
 */
function resetMmuContext(v: Vcpu, why: string): void {
  if (v.vm.shadow) v.flushGuest = true;
  else v.requestFlush(`${why}: kvm_mmu_reset_context`);
}
const PDPTR_BITS = on(CR0.CD) | on(CR0.NW) | on(CR0.PG);
const CR0_DEFINED = [CR0.PE, CR0.MP, CR0.EM, CR0.TS, CR0.ET, CR0.NE, CR0.WP, CR0.AM, CR0.NW, CR0.CD, CR0.PG].reduce(
  (m, n) => m | on(n),
  0n,
);

export function kvmSetCr4(v: Vcpu, value: bigint): Accepted {
  const { regs } = v;
  const old = regs.cr4;
  const reserved = ~v.model.cr4Mask;
  if ((value & reserved) !== 0n) return because('cr4-reserved', value, reserved);
  if (regs.longMode) {
    if (!bit(value, CR4.PAE)) return because('cr4-pae');
    if ((value ^ old) & on(CR4.LA57)) return because('cr4-la57');
  } else if (
    bit(regs.cr0, CR0.PG) &&
    bit(value, CR4.PAE) &&
    (value ^ old) & (on(CR4.PAE) | on(CR4.PGE) | on(CR4.PSE) | on(CR4.SMEP))
  ) {
    const loaded = loadPdptrs(v, regs.cr3);
    if (loaded !== true) return loaded;
  }
  if (bit(value, CR4.PCIDE) && !bit(old, CR4.PCIDE)) {
    if (!regs.longMode) return because('cr4-pcide-mode');
    if ((regs.cr3 & 0xfffn) !== 0n) return because('cr4-pcide-cr3', regs.cr3);
  }
  v.ops.setCr4(value);
  postSetCr4(v, old, value);
  return true;
}
/** kvm_post_set_cr4. */
function postSetCr4(v: Vcpu, old: bigint, cr4: bigint): void {
  const changed = cr4 ^ old;
  if ((changed & ROLE_BITS.cr4) !== 0n) resetMmuContext(v, 'a role bit of CR4 changed');
  // kept roots could be mistaken for those of other PCIDs
  if (bit(cr4, CR4.PCIDE) && !bit(old, CR4.PCIDE)) v.vm.shadow?.unload();
  if ((changed & on(CR4.PGE)) !== 0n || (bit(old, CR4.PCIDE) && !bit(cr4, CR4.PCIDE))) v.flushGuest = true;
  else if ((changed & on(CR4.PAE)) !== 0n || (bit(cr4, CR4.SMEP) && !bit(old, CR4.SMEP)))
    v.requestFlush('CR4.PAE changed or CR4.SMEP was set');
}

export function kvmSetCr3(v: Vcpu, value: bigint): Accepted {
  const { regs } = v;
  const pcide = bit(regs.cr4, CR4.PCIDE);
  const keep = pcide && bit(value, 63);
  const cr3 = pcide ? value & ~(1n << 63n) : value;
  const { physicalBits } = v.model;
  if (regs.longMode && cr3 >> BigInt(physicalBits) !== 0n) return because('cr3-reserved', cr3, physicalBits);
  if (!regs.longMode && bit(regs.cr0, CR0.PG) && bit(regs.cr4, CR4.PAE)) {
    const loaded = loadPdptrs(v, cr3);
    if (loaded !== true) return loaded;
  }
  // 2.6.20 rejects an address without memory ("prevent the guest's loading of a corrupt cr3"); later versions load
  // such a root as one without entries
  if (v.vm.shadow?.generation === 'classic' && !v.vm.memslots.find(gpa(cr3 & ~0xfffn)))
    return because('cr3-no-memory', cr3);
  v.regs.cr3 = cr3;
  if (!keep) invalidatePcid(v, pcide ? cr3 & PCID_MASK : 0n);
  return true;
}
/** kvm_get_active_pcid. */
export const activePcid = (v: Vcpu): bigint => (bit(v.regs.cr4, CR4.PCIDE) ? v.regs.cr3 & PCID_MASK : 0n);

/**
 * kvm_invalidate_pcid: what a load of CR3, or INVPCID, drops of a PCID. Under shadow paging the root in use is
 * synchronised, and kept ones of that PCID are dropped: they are synchronised when they are made again.
 */
export function invalidatePcid(v: Vcpu, pcid: bigint): void {
  const { shadow } = v.vm;
  if (!shadow) {
    v.flushGuest = true;
    return;
  }
  if (activePcid(v) === pcid) {
    v.syncRoots = true;
    v.requestFlush('a load of CR3');
  }
  if (bit(v.regs.cr4, CR4.PCIDE)) shadow.roots.freePrevious((r) => (r.paging.cr3 & PCID_MASK) === pcid);
}
const PCID_MASK = 0xfffn;

/** Bits 63:4 are reserved; the others are bits 7:4 of the local APIC's task priority, which CR8 is read from. */
export function kvmSetCr8(v: Vcpu, value: bigint): Accepted {
  if (value > 0xfn) return because('cr8-reserved', value);
  v.lapic.setTaskPriority(Number(value) << 4);
  return true;
}

/**
 * load_pdptrs: reads the four PDPTEs of PAE paging through the memslots and stores them where the hardware takes them
 * from.
 */
export function loadPdptrs(v: Vcpu, cr3: bigint): Accepted {
  const table = gpa(cr3 & 0xffff_ffe0n);
  const bytes = v.readGuest(table, 32);
  if (!bytes) return because('physical-memory', table);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
  const reserved = BigInt.asUintN(64, 0x1e6n | ~((1n << BigInt(v.model.physicalBits)) - 1n));
  const entries = [0, 1, 2, 3].map((i) => view.getBigUint64(i * 8, true));
  const bad = entries.findIndex((e) => bit(e, 0) && (e & reserved) !== 0n);
  if (bad >= 0) return because('pdpte', bad, entries[bad] as bigint, reserved);
  v.regs.pdptes = entries;
  return true;
}

/** set_efer, for WRMSR: rejects reserved bits, and LME while paging is on; the guest cannot write LMA. */
export function kvmSetEfer(v: Vcpu, value: bigint): Accepted {
  const old = v.regs.efer;
  const reserved = ~v.model.eferMask;
  if ((value & reserved) !== 0n) return because('efer-reserved', value, reserved);
  if (bit(v.regs.cr0, CR0.PG) && (value ^ old) & on(EFER.LME)) return because('efer-lme');
  v.ops.setEfer((value & ~on(EFER.LMA)) | (old & on(EFER.LMA)));
  if (((value ^ old) & ROLE_BITS.efer) !== 0n) resetMmuContext(v, 'EFER.LME or EFER.NXE changed');
  return true;
}

export const isCanonicalFor = (v: Vcpu, address: bigint): boolean => isCanonical(address, v.model.linearBits);
