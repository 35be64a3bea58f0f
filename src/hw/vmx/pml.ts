import { FIELD } from '../../isa/vmcs-fields';
import { hpa } from '../../base/address';
import { VMX_EXIT } from '../../isa/exits';
import type { HostMemory } from '../memory/host-memory';
import type { VmExit } from '../state/event';
import type { Vmcs } from './vmcs';

/** Entries of the page-modification log: one 4 KiB page of 64-bit addresses. */
export const PML_ENTRIES = 512;

/**
 * The page-modification log of the current VMCS (SDM vol. 3, 28.3.6). The PML index, a 16-bit guest-state field, names the entry to be written next and counts
 * down from 511:
 *
 *   PML address + 8 × index:  63..12 guest physical page | 11..0 zero
 */
export class PmlLog {
  constructor(
    private readonly memory: HostMemory,
    private readonly vmcs: Vmcs,
  ) {}

  /** No entry is left: an access that needs an EPT flag set exits first, with nothing changed. */
  get full(): boolean {
    return this.index >= PML_ENTRIES;
  }
  /** A dirty flag was set for an access to `address` (a GPA). */
  add(address: bigint): void {
    const { index } = this;
    this.memory.write64(hpa(this.vmcs.read(FIELD.PML_ADDRESS) + BigInt(index * 8)), address & ~0xfffn);
    this.vmcs.write(FIELD.GUEST_PML_INDEX, BigInt((index - 1) & 0xffff));
  }

  private get index(): number {
    return Number(this.vmcs.read(FIELD.GUEST_PML_INDEX));
  }
}

/** Page-modification log full (62). The qualification tells of NMI unblocking by IRET alone. */
export const pmlFullExit = (): VmExit => ({ reason: VMX_EXIT.PML_FULL, qualification: 0n });
