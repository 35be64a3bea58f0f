import type { Gpa, Hpa } from '../../base/address';
import { EPTE_A, EPTE_D, PTE_A, PTE_D, PTE_P, PTE_PS, PTE_RW, PTE_US } from '../../isa/entries';
import { ACC } from './shadow/role';
import { isShadowMmio, makeModernMmio, shadowMmioCurrent } from './shadow/spte';
import {
  SPTE_MMU_PRESENT,
  isMmioSpte,
  makeMmioSpte,
  makeNonleafSpte,
  makeSpte,
  mmioSpteCurrent,
  type SpteRights,
} from './spte';

/**
 * The TDP MMU's interface to its entry format: EPT's own (spte.ts), or the ordinary one that nested paging walks
 * (shadow_*_mask, arch/x86/kvm/mmu/spte.c). In both, R/W or W is bit 1, a large page bit 7, KVM's own present mark
 * bit 11, and the frame lies in bits 51:12.
 */
export interface SpteFormat {
  readonly table: 'ept' | 'npt';
  readonly name: 'EPT' | 'NPT';
  readonly accessed: bigint;
  readonly dirty: bigint;
  /** make_spte, make_nonleaf_spte, make_mmio_spte. `ad`: hardware maintains accessed and dirty flags. */
  leaf(frame: Hpa, level: number, rights: SpteRights, ad: boolean): bigint;
  nonleaf(table: Hpa, ad: boolean): bigint;
  mmio(address: Gpa, generation: number): bigint;
  isMmio(spte: bigint): boolean;
  /** check_mmio_spte: made under the current memslots. */
  mmioCurrent(spte: bigint, generation: number): boolean;
}

export const EPT_FORMAT: SpteFormat = {
  table: 'ept',
  name: 'EPT',
  accessed: EPTE_A,
  dirty: EPTE_D,
  leaf: makeSpte,
  nonleaf: makeNonleafSpte,
  mmio: makeMmioSpte,
  isMmio: isMmioSpte,
  mmioCurrent: mmioSpteCurrent,
};

/**
 * Nested paging's entries: ordinary ones, with U/S since every guest access counts as a user access. MMIO is present
 * with bit 51 set, which is reserved below 52 physical address bits, as in shadow tables
 * (kvm_mmu_reset_all_pte_masks), and with R/W and U/S, since the guest has all rights there:
 *
 *   63..52     51  50..12    11      10           9             7  6  5  2   1   0
 *  |(gen 18..8)|0 | frame  |mapped|MMU-writable|host-writable|PS|D |A |US |RW |P |
 */
const HOST_WRITABLE = 1n << 9n;
const MMU_WRITABLE = 1n << 10n;
export const NPT_FORMAT: SpteFormat = {
  table: 'npt',
  name: 'NPT',
  accessed: PTE_A,
  dirty: PTE_D,
  leaf(frame, level, rights) {
    let spte = frame | SPTE_MMU_PRESENT | PTE_P | PTE_US | PTE_A;
    if (level > 1) spte |= PTE_PS;
    if (rights.hostWritable) spte |= HOST_WRITABLE;
    if (rights.writable) spte |= PTE_RW | PTE_D | MMU_WRITABLE;
    return spte;
  },
  nonleaf: (table) => table | SPTE_MMU_PRESENT | PTE_P | PTE_RW | PTE_US | PTE_A,
  mmio: (address, generation) => makeModernMmio(address, generation, ACC.ALL),
  isMmio: (spte) => isShadowMmio('modern', spte),
  mmioCurrent: shadowMmioCurrent,
};
