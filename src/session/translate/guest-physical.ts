import type { Hpa } from '../../base/address';
import { hva as asHva } from '../../base/address';
import type { AddressSpace } from '../../host/address-space';
import type { HostMemory } from '../../hw/memory/host-memory';
import type { EntryPort } from '../../hw/paging/ordinary';
import type { WalkOut } from '../../hw/paging/walk-out';

/** A memslot as the session needs it. */
export interface SlotInfo {
  readonly slot: number;
  readonly gpa: bigint;
  readonly size: bigint;
  readonly hva: bigint;
  readonly readOnly: boolean;
}

/**
 * Guest physical memory as host software sees it: GPA → memslot → HVA → host tables → HPA, reading only. What is not there yet is not
 * made: a page that nobody has touched has no HPA.
 */
export class GuestPhysical {
  constructor(
    readonly memory: HostMemory,
    private readonly host: AddressSpace,
    private readonly slotList: () => readonly SlotInfo[],
  ) {}

  get slots(): readonly SlotInfo[] {
    return this.slotList();
  }
  slotOf(gpa: bigint): SlotInfo | undefined {
    return this.slots.find((s) => gpa >= s.gpa && gpa < s.gpa + s.size);
  }
  hvaOf(gpa: bigint): bigint | undefined {
    const slot = this.slotOf(gpa);
    return slot && slot.hva + (gpa - slot.gpa);
  }
  hpaOf(gpa: bigint): Hpa | undefined {
    const at = this.hvaOf(gpa);
    return at === undefined ? undefined : this.host.lookup(asHva(at))?.hpa;
  }
  /** Offset in the machine's memory of the byte at `gpa`, or −1. */
  offsetOf(gpa: bigint): number {
    const at = this.hpaOf(gpa);
    return at === undefined ? -1 : this.memory.offsetOf(at);
  }
  /** Every GPA that a memslot maps to `hva`. */
  gpasOf(hva: bigint): bigint[] {
    return this.slots.filter((s) => hva >= s.hva && hva < s.hva + s.size).map((s) => s.gpa + (hva - s.hva));
  }
}

/**
 * Guest table entries found by software, as KVM's walk_addr finds them: through the memslots instead of through EPT. The walk itself is the
 * hardware's own code.
 */
export class SoftwareEntryPort implements EntryPort {
  readonly table = 'guest' as const;
  readonly space = 'gpa' as const;
  constructor(private readonly physical: GuestPhysical) {}
  get memory(): HostMemory {
    return this.physical.memory;
  }
  locate(address: bigint, _write: boolean, out: WalkOut): number {
    const at = this.physical.offsetOf(address);
    if (at < 0) out.fail('guest', 'no-memory', 0, 0n, address);
    return at;
  }
}
