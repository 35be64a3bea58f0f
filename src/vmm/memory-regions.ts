import type { Gpa, Hva } from '../base/address';
import { gpa, hva } from '../base/address';
import { hex } from '../base/hex';
import type { Result } from '../base/result';
import { err, ok } from '../base/result';
import type { AddressSpace } from '../host/address-space';
import { cost } from '../trace/costs';
import { vmmStep, type Work } from '../trace/step';
import type { Memslot, UserMemoryRegion } from '../kvm/memslots';
import type { GuestRam } from './accelerator';

/** What happened, in one sentence; or why it is not possible. */
type Outcome = Work<Result<string, string>>;

/**
 * Changes that the VMM makes to the guest's physical memory while the guest runs (QEMU's kvm_region_add,
 * kvm_region_del and kvm_set_user_memory_region). What KVM does not change in a slot, the VMM changes by deleting the
 * slot and creating it again. Memory that is no longer in a slot stays mapped in the VMM.
 */
export class MemoryRegions {
  constructor(
    private readonly ram: GuestRam,
    private readonly space: AddressSpace,
  ) {}

  private get range(): string {
    return this.ram.calls.range;
  }
  private missing(id: number): Result<never, string> {
    return err(`there is no memory ${this.range} ${id}`);
  }

  /** New guest RAM: `size` bytes of fresh memory. */
  *add(id: number, start: Gpa, size: bigint, readonly: boolean): Outcome {
    if (this.ram.memslots.byId(id)) return err(`${this.range} ${id} exists already`);
    const hint = this.space.vmas().reduce((end: bigint, v) => (v.end > end ? v.end : end), 0n);
    const vma = this.space.mmap(size, { hint: hva(hint + 0x1000n), name: `ram${id}` });
    if (!vma.ok) return vma;
    yield vmmStep(
      'qemu_ram_mmap',
      `maps ${hex(size)} bytes of memory at HVA ${hex(vma.value.start)}`,
      cost('syscall') + cost('hostFault'),
      { addresses: { hva: vma.value.start } },
    );
    const made = yield* this.set({
      slot: id,
      readonly,
      guestPhysAddr: start,
      memorySize: size,
      userspaceAddr: vma.value.start,
    });
    if (made.ok)
      return ok(
        `${this.range} ${id}: GPA ${hex(start)}-${hex(start + size)} is HVA ${hex(vma.value.start)}${readonly ? ', read-only' : ''}`,
      );
    yield* this.space.munmap(vma.value.start, vma.value.end);
    return made;
  }

  *remove(id: number): Outcome {
    const slot = this.ram.memslots.byId(id);
    const gone = yield* this.set({
      slot: id,
      readonly: false,
      guestPhysAddr: gpa(0n),
      memorySize: 0n,
      userspaceAddr: hva(0n),
    });
    return gone.ok && slot ? ok(`GPA ${hex(slot.start)}-${hex(slot.end)} is a hole now`) : gone;
  }

  /** Moves it to another GPA. */
  *move(id: number, start: Gpa): Outcome {
    const slot = this.ram.memslots.byId(id);
    if (!slot) return this.missing(id);
    const moved = yield* this.set({ ...regionOf(slot), guestPhysAddr: start });
    return moved.ok
      ? ok(`${this.range} ${id} is at GPA ${hex(start)}-${hex(start + (slot.end - slot.start))} now`)
      : moved;
  }

  /** Moves it to other VMM memory: that at `to`, newly mapped if nothing is there yet. */
  *remap(id: number, to: Hva): Outcome {
    const slot = this.ram.memslots.byId(id);
    if (!slot) return this.missing(id);
    const size = slot.end - slot.start;
    if (to % 4096n !== 0n) return err(`HVA ${hex(to)} is not page aligned`);
    const end = hva(to + size);
    const there = this.space.vmas().filter((v) => v.start < end && v.end > to);
    if (there.length === 0) {
      const vma = this.space.mmap(size, { at: to, name: `ram${id}` });
      if (!vma.ok) return vma;
      yield vmmStep(
        'qemu_ram_mmap',
        `maps ${hex(size)} bytes of memory at HVA ${hex(to)}`,
        cost('syscall') + cost('hostFault'),
        { addresses: { hva: to } },
      );
    } else if (there.length > 1 || there.some((v) => v.start > to || v.end < end)) {
      return err(`HVA ${hex(to)}-${hex(end)} is mapped in part: give an address where all of it is mapped, or nothing`);
    }
    const again = yield* this.replace(slot, { ...regionOf(slot), userspaceAddr: to });
    return again.ok
      ? ok(`${this.range} ${id}: GPA ${hex(slot.start)} is HVA ${hex(to)} now; it was HVA ${hex(slot.hva)}`)
      : again;
  }

  *setReadonly(id: number, readonly: boolean): Outcome {
    const slot = this.ram.memslots.byId(id);
    if (!slot) return this.missing(id);
    if (slot.readonly === readonly) return ok(`${this.range} ${id} is ${readonly ? 'read-only' : 'writable'} already`);
    const again = yield* this.replace(slot, { ...regionOf(slot), readonly });
    return again.ok ? ok(`${this.range} ${id} is ${readonly ? 'read-only' : 'writable'} now`) : again;
  }

  *setLogging(id: number, logDirty: boolean): Outcome {
    const slot = this.ram.memslots.byId(id);
    if (!slot) return this.missing(id);
    const done = yield* this.set({ ...regionOf(slot), logDirty });
    return done.ok ? ok(`${this.range} ${id}: dirty pages are ${logDirty ? '' : 'no longer '}logged`) : done;
  }

  *dirtyPages(id: number): Work<Result<readonly Gpa[], string>> {
    const { calls } = this.ram;
    yield vmmStep(calls.dirtyLog, `asks for the dirty pages of ${calls.range} ${id}`, calls.cycles);
    return yield* this.ram.getDirtyLog(id);
  }

  private *replace(old: Memslot, region: UserMemoryRegion): Outcome {
    const gone = yield* this.set({ ...regionOf(old), memorySize: 0n });
    return gone.ok ? yield* this.set(region) : gone;
  }

  private *set(region: UserMemoryRegion): Outcome {
    const { slot, memorySize, guestPhysAddr, userspaceAddr } = region;
    const { calls } = this.ram;
    const what =
      memorySize === 0n
        ? `deletes ${calls.range} ${slot}`
        : `${calls.range} ${slot}, GPA ${hex(guestPhysAddr)}, ${hex(memorySize)} bytes, HVA ${hex(userspaceAddr)}`;
    yield vmmStep(calls.set(region, this.ram.memslots.byId(slot)), what, calls.cycles);
    const changed = yield* this.ram.setUserMemoryRegion(region);
    return changed.ok ? ok(what) : changed;
  }
}

const regionOf = (s: Memslot): UserMemoryRegion => ({
  slot: s.id,
  readonly: s.readonly,
  logDirty: s.logDirty,
  guestPhysAddr: s.start,
  memorySize: s.end - s.start,
  userspaceAddr: s.hva,
});
