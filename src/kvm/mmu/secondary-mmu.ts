import type { Gpa } from '../../base/address';
import type { TableAccess } from '../../trace/step';

/**
 * The interface of memslots, MMU notifiers and the dirty log to the tables that KVM keeps for a guest, of either
 * kind: EPT, nested or shadow tables. Each method edits entries that map part of a GPA range, and returns whether
 * cached translations may now grant more than the tables do, so that VCPUs must flush. `writes` receives the changed
 * entries, up to the number that will be shown.
 */
export interface SecondaryMmu {
  /** Clears every leaf that maps part of the range (kvm_unmap_gfn_range). */
  zapRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /**
   * A slot is deleted: nothing of it stays mapped, and no guest table in it stays shadowed
   * (kvm_arch_flush_shadow_memslot).
   */
  flushSlot(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /** Drops everything, including MMIO marks (kvm_mmu_zap_all_fast). */
  zapAll(writes?: TableAccess[]): boolean;
  /** Whether a leaf of the range was used since the last call (kvm_age_gfn). */
  ageRange(start: Gpa, end: Gpa): boolean;
  /** The same question without side effects (kvm_test_age_gfn). */
  testAgeRange(start: Gpa, end: Gpa): boolean;
  /**
   * Removes write access from the range's leaves, whole large ones included: the fault of the first write splits them
   * (kvm_mmu_slot_remove_write_access).
   */
  writeProtectRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
  /** Clears the dirty flag of the range's writable leaves, so that hardware logs the next write (kvm_mmu_slot_leaf_clear_dirty). */
  clearDirtyRange(start: Gpa, end: Gpa, writes?: TableAccess[]): boolean;
}
