import type { Gpa, Hpa } from '../../base/address';
import { bits } from '../../base/bits';
import {
  EPTE_A,
  EPTE_D,
  EPTE_IPAT,
  EPTE_MT_SHIFT,
  EPTE_PS,
  EPTE_R,
  EPTE_RWX,
  EPTE_W,
  EPTE_X,
  FRAME_MASK,
} from '../../isa/entries';

/**
 * EPT entries as KVM writes them (arch/x86/kvm/mmu/spte.h), in the hardware's format (isa/entries). KVM's own marks
 * use bits that hardware ignores:
 *
 *   63  58            57            52           51..12  11       10 9  8  7   6     5..3     2  1  0
 *  |..|MMU-writable|host-writable|..|A/D disabled| frame |present|..|D |A |PS |IPAT |memtype |X |W |R |
 */
export const SPTE_MMU_PRESENT = 1n << 11n;
const SPTE_AD_DISABLED = 1n << 52n;
const EPT_SPTE_HOST_WRITABLE = 1n << 57n;
const EPT_SPTE_MMU_WRITABLE = 1n << 58n;
/**
 * MTRR_TYPE_WRBACK. Guest RAM is always write-back; ignore-PAT keeps the guest from changing that, as without
 * assigned devices.
 */
const WRITE_BACK = 6n << EPTE_MT_SHIFT;

export interface SpteRights {
  /** Slot and host mapping allow writes. */
  readonly writable: boolean;
  readonly hostWritable: boolean;
}

/** make_spte: a leaf. Accessed and dirty are preset if the entry is made for an access that would set them. */
export function makeSpte(frame: Hpa, level: number, rights: SpteRights, ad: boolean): bigint {
  let spte = frame | SPTE_MMU_PRESENT | EPTE_R | EPTE_X | WRITE_BACK | EPTE_IPAT;
  spte |= ad ? EPTE_A : SPTE_AD_DISABLED;
  if (level > 1) spte |= EPTE_PS;
  if (rights.hostWritable) spte |= EPT_SPTE_HOST_WRITABLE;
  if (rights.writable) spte |= EPTE_W | EPT_SPTE_MMU_WRITABLE | (ad ? EPTE_D : 0n);
  return spte;
}

/** make_nonleaf_spte: all rights, so the leaf decides. */
export const makeNonleafSpte = (table: Hpa, ad: boolean): bigint =>
  table | SPTE_MMU_PRESENT | EPTE_RWX | (ad ? EPTE_A : SPTE_AD_DISABLED);

/**
 * make_mmio_spte: write and execute without read, which hardware reports as a misconfiguration, so the next access is
 * recognized as MMIO at once. The memslot generation shows whether the hole still exists. The GPA is stored in place
 * of the frame.
 *
 *   62..52           51..12     11  10..3            2 1 0
 *  |generation 18..8| GPA frame | 0 |generation 7..0| 1 1 0 |
 */
export function makeMmioSpte(address: Gpa, generation: number): bigint {
  const gen = BigInt(generation & GENERATION_MASK);
  return (address & FRAME_MASK) | EPTE_W | EPTE_X | ((gen & 0xffn) << 3n) | ((gen >> 8n) << 52n);
}
/** Bits of the generation that fit into an MMIO entry (MMIO_SPTE_GEN_MASK). */
export const GENERATION_MASK = 0x7_ffff;

export const isMmioSpte = (spte: bigint): boolean => (spte & EPTE_RWX) === (EPTE_W | EPTE_X);
export const mmioSpteGeneration = (spte: bigint): number => Number(bits(spte, 10, 3) | (bits(spte, 62, 52) << 8n));
/** check_mmio_spte: made under the current memslots. */
export const mmioSpteCurrent = (spte: bigint, generation: number): boolean =>
  mmioSpteGeneration(spte) === (generation & GENERATION_MASK);

export const isPresentSpte = (spte: bigint): boolean => (spte & SPTE_MMU_PRESENT) !== 0n;
export const isLastSpte = (spte: bigint, level: number): boolean => level === 1 || (spte & EPTE_PS) !== 0n;
export const spteFrame = (spte: bigint): bigint => spte & FRAME_MASK;
