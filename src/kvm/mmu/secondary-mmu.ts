import type { Gpa } from '../../base/address';
import type { TableAccess } from '../../trace/step';

/**
 * What memslots, MMU notifiers and the dirty log ask of the tables that KVM keeps for a guest, of whatever kind those are: EPT, nested or shadow tables.
 * Each edits entries that map a part of a GPA range, and says whether cached translations may now grant more than the tables do, so that VCPUs must flush.
 * `writes` receives the entries changed, as far as anybody will look at them.
 */
export interface SecondaryMmu {
  /** Clears every leaf that maps a part of the range (kvm_unmap_gfn_range). */
  zapRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /** A slot goes: nothing of it stays mapped, and no table of the guest's that lay in it stays shadowed (kvm_arch_flush_shadow_memslot). */
  flushSlot(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /** Everything goes, MMIO marks too (kvm_mmu_zap_all_fast). */
  zapAll(writes?: TableAccess[]): boolean;
  /** Whether a leaf of the range was used since this was last asked (kvm_age_gfn). */
  ageRange(start: Gpa, end: Gpa): boolean;
  /** The same question, without any change (kvm_test_age_gfn). */
  testAgeRange(start: Gpa, end: Gpa): boolean;
  /** Takes write access from the range's leaves, large ones whole: the fault of the first write splits them (kvm_mmu_slot_remove_write_access). */
  writeProtectRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /** Clears the dirty flag of the range's writable leaves, so that hardware logs the next write (kvm_mmu_slot_leaf_clear_dirty). */
  clearDirtyRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
}
