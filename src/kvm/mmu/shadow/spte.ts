import type { Gpa, Hpa } from '../../../base/address';
import { gpa } from '../../../base/address';
import { bits } from '../../../base/bits';
import { FRAME_MASK, PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_RW, PTE_US, PTE_XD } from '../../../isa/entries';
import { GENERATION_MASK } from '../spte';
import { ACC, type ShadowGeneration } from './role';

/**
 * Shadow page-table entries: ordinary entries of the 64-bit format (isa/entries), which hardware walks, with KVM's
 * marks in bits that hardware ignores.
 *
 * Classic (Linux 2.6.20, drivers/kvm/mmu.c, set_pte_common): A, D, G and XD are the guest's (PT64_PTE_COPY_MASK),
 * bits 10 and 11 its R/W and U/S (PT_SHADOW_WRITABLE_MASK, PT_SHADOW_USER_MASK), whatever hardware is shown of them.
 * Bit 9 with P clear marks MMIO (PT_SHADOW_IO_MARK); in an entry that points to a table it marks a large guest page
 * (PT_SHADOW_PS_MARK):
 *
 *    63   51..12         11      10       9        8  7  6  5  2   1   0
 *   |XD | frame        |guest U|guest W|MMIO mark|G |0 |D |A |US |RW |P |
 *
 * Modern (arch/x86/kvm/mmu/spte.h): bit 11 marks what KVM mapped, 9 and 10 why it may be written. MMIO is present
 * with bit 51 set, which is reserved below 52 physical address bits, so the #PF's RSVD bit identifies it at once; the
 * memslot generation is in the other ignored bits, and the guest's rights in their usual place (make_mmio_spte,
 * shadow_mmio_access_mask):
 *
 *    63   62..52     51  50..12    11      10           9             7  6  5  2   1   0
 *   |XD | (gen 18..8)|0 | frame  |mapped|MMU-writable|host-writable|PS|D |A |US |RW |P |
 *    0    gen 18..8   1   GPA      0     gen 7..0 in bits 10..3               |US |RW |1 |
 */
const CLASSIC_MARK = 1n << 9n;
/** Shift from R/W and U/S to the copies of the guest's (PT_SHADOW_BITS_OFFSET). */
const CLASSIC_BITS_OFFSET = 9n;
const HOST_WRITABLE = 1n << 9n;
const MMU_WRITABLE = 1n << 10n;
const MMU_PRESENT = 1n << 11n;
const MODERN_MMIO = 1n << 51n;

/** R/W and U/S from ACC_*. */
const accessBits = (access: number): bigint =>
  ((access & ACC.WRITE) !== 0 ? PTE_RW : 0n) | ((access & ACC.USER) !== 0 ? PTE_US : 0n);

/**
 * The guest leaf's bits that 2.6.20's set_pte copies; undefined for a guest without paging, whose entries are bare
 * (nonpaging_map).
 */
export interface GuestBits {
  /** ACC_WRITE and ACC_USER of all its entries together. */
  readonly access: number;
  readonly dirty: boolean;
  readonly global: boolean;
}

/** set_pte, set_pde and nonpaging_map in 2.6.20. `granted`: the ACC_* that hardware sees. */
export function makeClassicLeaf(frame: Hpa, granted: number, guest: GuestBits | undefined): bigint {
  return frame | PTE_P | accessBits(granted) | (guest ? copiedBits(guest, granted) : 0n);
}
const copiedBits = (guest: GuestBits, granted: number): bigint =>
  PTE_A |
  (guest.dirty ? PTE_D : 0n) |
  (guest.global ? PTE_G : 0n) |
  ((granted & ACC.EXEC) === 0 ? PTE_XD : 0n) |
  (accessBits(guest.access) << CLASSIC_BITS_OFFSET);

export interface LeafRights {
  /**
   * ACC_* rights; the entry has WRITE only if nothing of KVM's own (write protection, a clean guest entry, the host)
   * forbids it.
   */
  readonly granted: number;
  readonly hostWritable: boolean;
}

/** make_spte. Accessed and dirty are preset: KVM has set the guest's own. */
export function makeModernLeaf(frame: Hpa, level: number, r: LeafRights): bigint {
  let spte = frame | PTE_P | PTE_A | MMU_PRESENT | accessBits(r.granted);
  if (level > 1) spte |= PTE_PS;
  if ((r.granted & ACC.WRITE) !== 0) spte |= PTE_D | MMU_WRITABLE;
  if ((r.granted & ACC.EXEC) === 0) spte |= PTE_XD;
  if (r.hostWritable) spte |= HOST_WRITABLE;
  return spte;
}

/**
 * An entry that points to a shadow page: all rights, so the leaf decides. `below`: what 2.6.20 marks with it, a table
 * for a large guest page ('large') or for a guest without paging ('nonpaging'), whose entries it makes without A.
 */
export function makeShadowTable(
  generation: ShadowGeneration,
  table: Hpa,
  below: 'table' | 'large' | 'nonpaging' = 'table',
): bigint {
  const spte = table | PTE_P | PTE_RW | PTE_US;
  if (generation === 'modern') return spte | PTE_A | MMU_PRESENT;
  return below === 'nonpaging' ? spte : spte | PTE_A | (below === 'large' ? CLASSIC_MARK : 0n);
}

/** set_pte_common without a slot. */
export const makeClassicMmio = (address: Gpa, granted: number, guest: GuestBits): bigint =>
  (address & FRAME_MASK) | CLASSIC_MARK | accessBits(granted) | copiedBits(guest, granted);
/** make_mmio_spte of shadow and nested paging. `access`: ACC_* of the translation. */
export function makeModernMmio(address: Gpa, memslotGeneration: number, access: number): bigint {
  const gen = BigInt(memslotGeneration & GENERATION_MASK);
  const frame = address & FRAME_MASK & ~MODERN_MMIO;
  return frame | MODERN_MMIO | PTE_P | accessBits(access) | ((gen & 0xffn) << 3n) | ((gen >> 8n) << 52n);
}
/** get_mmio_spte_access: R/W and U/S as stored in a modern mark. */
export const isMmioOfAccess = (spte: bigint, access: number): boolean =>
  (spte & (PTE_RW | PTE_US)) === accessBits(access);
export const isShadowMmio = (generation: ShadowGeneration, spte: bigint): boolean =>
  generation === 'classic'
    ? (spte & (CLASSIC_MARK | PTE_P)) === CLASSIC_MARK
    : (spte & (MODERN_MMIO | PTE_P | MMU_PRESENT)) === (MODERN_MMIO | PTE_P);
/** get_mmio_spte_gfn, plus the byte offset in the page. */
export const shadowMmioGpa = (spte: bigint, linear: bigint): Gpa =>
  gpa((spte & FRAME_MASK & ~MODERN_MMIO) | (linear & 0xfffn));
/** check_mmio_spte: the mark was made under the current memslots. */
export const shadowMmioCurrent = (spte: bigint, generation: number): boolean =>
  Number(bits(spte, 10, 3) | (bits(spte, 62, 52) << 8n)) === (generation & GENERATION_MASK);

/** A translation or a table, not an MMIO mark. */
export const isShadowPresent = (generation: ShadowGeneration, spte: bigint): boolean =>
  (spte & (generation === 'modern' ? MMU_PRESENT : PTE_P)) !== 0n;
export const isShadowLeaf = (spte: bigint, level: number): boolean => level === 1 || (spte & PTE_PS) !== 0n;
export const shadowFrame = (spte: bigint): bigint => spte & FRAME_MASK;
export const isShadowWritable = (spte: bigint): boolean => (spte & PTE_RW) !== 0n;
export const isHostWritable = (spte: bigint): boolean => (spte & HOST_WRITABLE) !== 0n;
/**
 * The bits that write protection clears. D is among them in modern entries, so a protected entry is not mistaken for
 * a merely cleaned one; in a classic entry D is the guest's (rmap_write_protect).
 */
export const shadowWriteBits = (generation: ShadowGeneration): bigint =>
  generation === 'classic' ? PTE_RW : PTE_RW | PTE_D;
/** Whether two classic entries differ at most in what hardware sets: nonpaging_map leaves A and D to it. */
export const sameClassicEntry = (a: bigint, b: bigint): boolean => ((a ^ b) & ~(PTE_A | PTE_D)) === 0n;
