/** What an entry of the shadow tables says, wherever it lies. */
import { PTE_P, PTE_PS, pteFlags } from '../../isa/entries';
import { isLarge, reservedSet } from '../../isa/reserved-bits';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import { isShadowMmio, isShadowPresent, shadowFrame, shadowMmioGpa } from '../../kvm/mmu/shadow/spte';

export interface DecodedShadow {
  readonly present: boolean;
  readonly leaf: boolean;
  /** A mark for MMIO that no hardware accepts: nothing of it is a flag. */
  readonly mmio: boolean;
  readonly flags: readonly string[];
  /** HPA of the page or of the next table; of an MMIO mark its GPA. */
  readonly target: bigint;
}

export function decodeShadowEntry(mmu: ShadowMmu, level: number, entry: bigint): DecodedShadow {
  const { entryRules: rules, generation } = mmu;
  // the four PDPTEs of a guest with a 32-bit format have no mark of KVM's
  const pointer = rules?.format === 'pae' && level === 3;
  const mmio = !pointer && isShadowMmio(generation, entry);
  const leaf = level === 1 || (rules !== undefined && isLarge(rules, level, (entry & PTE_PS) !== 0n));
  return {
    present: !mmio && (pointer ? (entry & PTE_P) !== 0n : isShadowPresent(generation, entry)),
    leaf,
    mmio,
    flags: mmio ? [] : pteFlags(entry, leaf, level, rules ? reservedSet(rules, level, entry) : 0n),
    target: mmio ? shadowMmioGpa(entry, 0n) : shadowFrame(entry),
  };
}
