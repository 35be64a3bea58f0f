import type { Gpa, Hva } from '../base/address';
import { gpa, hva } from '../base/address';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import { levelSize } from '../host/page-tables';

/** Slot numbers available to user space (KVM_USER_MEM_SLOTS on x86). */
const USER_MEM_SLOTS = 32764;

/** struct kvm_userspace_memory_region. A size of 0 deletes the slot. */
export interface UserMemoryRegion {
  readonly slot: number;
  /** KVM_MEM_READONLY: the guest's writes go to user space as MMIO. */
  readonly readonly: boolean;
  /** KVM_MEM_LOG_DIRTY_PAGES. Default: off. */
  readonly logDirty?: boolean;
  /** 4 KiB aligned, like the others. */
  readonly guestPhysAddr: Gpa;
  /** Bytes. */
  readonly memorySize: bigint;
  readonly userspaceAddr: Hva;
}

/** struct kvm_memory_slot: one constant offset between GPA and HVA for the whole range. */
export interface Memslot {
  readonly id: number;
  readonly start: Gpa;
  /** First GPA after the slot. */
  readonly end: Gpa;
  readonly hva: Hva;
  readonly readonly: boolean;
  readonly logDirty: boolean;
}

export type SlotChange =
  | { readonly kind: 'create'; readonly slot: Memslot }
  | { readonly kind: 'delete'; readonly old: Memslot }
  | { readonly kind: 'move'; readonly old: Memslot; readonly slot: Memslot }
  | { readonly kind: 'flags'; readonly old: Memslot; readonly slot: Memslot }
  | { readonly kind: 'none' };

/** The guest physical address space: slots, and holes between them, which are MMIO. */
export class Memslots {
  private slots: readonly Memslot[] = [];
  private gen = 0;

  /** Generation: counts changes. MMIO entries record it and are stale once it has advanced. */
  get generation(): number {
    return this.gen;
  }
  /** Sorted by GPA. */
  get all(): readonly Memslot[] {
    return this.slots;
  }

  /** gfn_to_memslot. */
  find(address: Gpa): Memslot | undefined {
    return this.slots.find((s) => address >= s.start && address < s.end);
  }
  byId(id: number): Memslot | undefined {
    return this.slots.find((s) => s.id === id);
  }
  /** The slots that map any part of an HVA range, as needed by the MMU notifier. */
  byHva(start: Hva, end: Hva): readonly { readonly slot: Memslot; readonly start: Gpa; readonly end: Gpa }[] {
    return this.slots.flatMap((slot) => {
      const slotEnd = slot.hva + (slot.end - slot.start);
      const from = start > slot.hva ? start : slot.hva;
      const to = end < slotEnd ? end : slotEnd;
      return from < to
        ? [{ slot, start: gpa(slot.start + (from - slot.hva)), end: gpa(slot.start + (to - slot.hva)) }]
        : [];
    });
  }
  /** GPAs that lead to an HVA: several if slots alias. */
  gpasOf(address: Hva): readonly Gpa[] {
    return this.byHva(address, hva(address + 1n)).map((r) => r.start);
  }

  /** __kvm_set_memory_region: checks and errors are the kernel's. */
  set(region: UserMemoryRegion): Result<SlotChange, string> {
    const { slot: id, memorySize, guestPhysAddr, userspaceAddr } = region;
    const name = `memory slot ${id}`;
    if (!Number.isInteger(id) || id < 0 || id >= USER_MEM_SLOTS)
      return err(`${name}: numbers are 0 to ${USER_MEM_SLOTS - 1} (EINVAL)`);
    if (memorySize < 0n || memorySize % 4096n !== 0n)
      return err(`${name}: ${hex(memorySize)} bytes is not a whole number of pages (EINVAL)`);
    if (guestPhysAddr % 4096n !== 0n) return err(`${name}: GPA ${hex(guestPhysAddr)} is not page aligned (EINVAL)`);
    if (userspaceAddr % 4096n !== 0n) return err(`${name}: HVA ${hex(userspaceAddr)} is not page aligned (EINVAL)`);
    const old = this.byId(id);
    if (memorySize === 0n) {
      if (!old) return err(`${name}: there is none to delete (EINVAL)`);
      this.swap(this.slots.filter((s) => s !== old));
      return ok({ kind: 'delete', old });
    }
    const slot: Memslot = {
      id,
      start: guestPhysAddr,
      end: gpa(guestPhysAddr + memorySize),
      hva: userspaceAddr,
      readonly: region.readonly,
      logDirty: region.logDirty ?? false,
    };
    if (slot.end > 1n << 52n)
      return err(`${name}: ${hex(slot.start)}-${hex(slot.end)} ends beyond 52-bit physical addresses (EINVAL)`);
    if (old) {
      if (old.end - old.start !== memorySize || old.readonly !== slot.readonly || old.hva !== slot.hva)
        return err(`${name}: size, HVA and read-only flag of an existing slot cannot change; delete it first (EINVAL)`);
      if (old.start === slot.start && old.logDirty === slot.logDirty) return ok({ kind: 'none' });
    }
    const clash = this.slots.find((s) => s !== old && s.start < slot.end && s.end > slot.start);
    if (clash)
      return err(
        `${name} (${hex(slot.start)}-${hex(slot.end)}) overlaps slot ${clash.id} (${hex(clash.start)}-${hex(clash.end)}) (EEXIST)`,
      );
    this.swap([...this.slots.filter((s) => s !== old), slot].sort((a, b) => (a.start < b.start ? -1 : 1)));
    if (!old) return ok({ kind: 'create', slot });
    return ok({ kind: old.start === slot.start ? 'flags' : 'move', old, slot });
  }

  save(): { readonly slots: readonly Memslot[]; readonly generation: number } {
    return { slots: this.slots, generation: this.gen };
  }
  restore(s: ReturnType<Memslots['save']>): void {
    this.slots = s.slots;
    this.gen = s.generation;
  }

  private swap(slots: readonly Memslot[]): void {
    this.slots = slots;
    this.gen++;
  }
}

/** __gfn_to_hva_memslot: adds the slot's constant. */
export const slotHva = (slot: Memslot, address: Gpa): Hva => hva(slot.hva + (address - slot.start));

/**
 * The largest level at which the slot itself allows a mapping for `address`: GPA and HVA agree modulo the page size,
 * and the whole page lies in the slot (kvm_alloc_memslot_metadata's disallow_lpage).
 */
export function slotMaxLevel(slot: Memslot, address: Gpa): 1 | 2 | 3 {
  for (const level of [3, 2] as const) {
    const size = levelSize(level);
    if (((slot.start ^ slot.hva) & (size - 1n)) !== 0n) continue;
    const start = address & ~(size - 1n);
    if (start >= slot.start && start + size <= slot.end) return level;
  }
  return 1;
}
