import type { Gpa, Hpa } from '../../../base/address';
import { gpa } from '../../../base/address';
import { bits } from '../../../base/bits';
import { FRAME_MASK, PTE_A, PTE_D, PTE_P, PTE_PS, PTE_RW, PTE_US, PTE_XD } from '../../../isa/entries';
import { GENERATION_MASK } from '../spte';
import { ACC, type ShadowGeneration } from './role';

/**
 * Shadow page-table entries: ordinary entries of the 64-bit format (isa/entries), which hardware walks, with KVM's marks in bits that hardware ignores.
 *
 * Classic (Linux 2.6.20, drivers/kvm/mmu.c): bits 10 and 11 keep the guest's own R/W and U/S, bit 9 with P clear marks MMIO:
 *
 *    63   51..12         11      10       9        7  6  5  2   1   0
 *   |XD | frame        |guest U|guest W|MMIO mark|PS|D |A |US |RW |P |
 *
 * Modern (arch/x86/kvm/mmu/spte.h): bit 11 says that KVM mapped something, 9 and 10 why it may be written. MMIO is present with bit 51 set, which is reserved
 * below 52 physical address bits, so that the #PF's RSVD bit names it at once; the memslot generation stands in the other ignored bits:
 *
 *    63   62..52     51  50..12    11      10           9             7  6  5  2   1   0
 *   |XD | (gen 18..8)|0 | frame  |mapped|MMU-writable|host-writable|PS|D |A |US |RW |P |
 *    0    gen 18..8   1   GPA      0     gen 7..0 in bits 10..3                0  0   1
 */
export const CLASSIC_IO_MARK = 1n << 9n;
const CLASSIC_GUEST_WRITABLE = 1n << 10n;
const CLASSIC_GUEST_USER = 1n << 11n;
const HOST_WRITABLE = 1n << 9n;
const MMU_WRITABLE = 1n << 10n;
const MMU_PRESENT = 1n << 11n;
const MODERN_MMIO = 1n << 51n;

export interface LeafRights {
  /** ACC_* that the guest gives this translation now. */
  readonly access: number;
  /** ACC_* of which the entry has WRITE only if nothing of KVM's own (write protection, a clean guest entry, the host) speaks against it. */
  readonly granted: number;
  readonly hostWritable: boolean;
}

/** set_pte of 2.6.20, make_spte since. Accessed and dirty are set ahead: KVM has set the guest's own. */
export function makeShadowLeaf(generation: ShadowGeneration, frame: Hpa, level: number, r: LeafRights): bigint {
  let spte = frame | PTE_P | PTE_A;
  if (level > 1) spte |= PTE_PS;
  if ((r.granted & ACC.WRITE) !== 0) spte |= PTE_RW | PTE_D;
  if ((r.granted & ACC.USER) !== 0) spte |= PTE_US;
  if ((r.granted & ACC.EXEC) === 0) spte |= PTE_XD;
  if (generation === 'classic') {
    if ((r.access & ACC.WRITE) !== 0) spte |= CLASSIC_GUEST_WRITABLE;
    if ((r.access & ACC.USER) !== 0) spte |= CLASSIC_GUEST_USER;
    return spte;
  }
  spte |= MMU_PRESENT;
  if (r.hostWritable) spte |= HOST_WRITABLE;
  if ((r.granted & ACC.WRITE) !== 0) spte |= MMU_WRITABLE;
  return spte;
}

/** An entry that points to a shadow page: all rights, so that the leaf decides. */
export const makeShadowTable = (generation: ShadowGeneration, table: Hpa): bigint =>
  table | PTE_P | PTE_RW | PTE_US | PTE_A | (generation === 'modern' ? MMU_PRESENT : 0n);

export function makeShadowMmio(generation: ShadowGeneration, address: Gpa, memslotGeneration: number): bigint {
  const frame = address & FRAME_MASK;
  if (generation === 'classic') return frame | CLASSIC_IO_MARK;
  const gen = BigInt(memslotGeneration & GENERATION_MASK);
  return (frame & ~MODERN_MMIO) | MODERN_MMIO | PTE_P | ((gen & 0xffn) << 3n) | ((gen >> 8n) << 52n);
}
export const isShadowMmio = (generation: ShadowGeneration, spte: bigint): boolean =>
  generation === 'classic'
    ? (spte & (CLASSIC_IO_MARK | PTE_P)) === CLASSIC_IO_MARK
    : (spte & (MODERN_MMIO | PTE_P | MMU_PRESENT)) === (MODERN_MMIO | PTE_P);
/** get_mmio_spte_gfn, and the byte in the page. */
export const shadowMmioGpa = (spte: bigint, linear: bigint): Gpa =>
  gpa((spte & FRAME_MASK & ~MODERN_MMIO) | (linear & 0xfffn));
/** check_mmio_spte: the mark was made under the present memslots. */
export const shadowMmioCurrent = (spte: bigint, generation: number): boolean =>
  Number(bits(spte, 10, 3) | (bits(spte, 62, 52) << 8n)) === (generation & GENERATION_MASK);

/** A translation or a table, not an MMIO mark. */
export const isShadowPresent = (generation: ShadowGeneration, spte: bigint): boolean =>
  (spte & (generation === 'modern' ? MMU_PRESENT : PTE_P)) !== 0n;
export const isShadowLeaf = (spte: bigint, level: number): boolean => level === 1 || (spte & PTE_PS) !== 0n;
export const shadowFrame = (spte: bigint): bigint => spte & FRAME_MASK;
export const isShadowWritable = (spte: bigint): boolean => (spte & PTE_RW) !== 0n;
export const isHostWritable = (spte: bigint): boolean => (spte & HOST_WRITABLE) !== 0n;
/** What write protection takes. The modern mark stays away too, so that nobody takes the entry for one that was only cleaned. */
export const SHADOW_WRITE_BITS = PTE_RW | PTE_D;
