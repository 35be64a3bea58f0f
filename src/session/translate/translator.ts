import type { AddressSpace } from '../../host/address-space';
import type { Mmu } from '../../hw/cpu/mmu';
import type { PagingControls, PagingFormat } from '../../hw/paging/controls';
import type { SecondLevelTables } from '../../hw/paging/second-level';
import type { WalkStart } from '../../hw/paging/walk-out';
import type { TlbContext } from '../../hw/tlb/context';
import type { TlbEntryView } from '../../hw/tlb/tlb';
import type { ShadowMmu } from '../../kvm/mmu/shadow/mmu';
import type { GuestPhysical } from './guest-physical';

/** Everything that translates a guest's addresses at one moment. */
export interface Translator {
  /** Probes with the guest's registers, whether the CPU is in the guest or the guest's state lies in the VMCS. */
  readonly mmu: Mmu;
  readonly controls: PagingControls;
  readonly cr3: bigint;
  readonly cpl: number;
  readonly physicalBits: number;
  readonly nested: SecondLevelTables | undefined;
  /** The tables that hardware walks where EPT is off. */
  readonly shadow: ShadowMmu | undefined;
  /** The VMM emulates the CPU: it walks the guest's tables itself, and knows memory regions instead of KVM's memslots. */
  readonly emulated: boolean;
  /** What is dropped from the TLB before the guest runs on, by KVM's own doing. */
  readonly flushDue: { readonly guest: boolean; readonly second: boolean };
  /** RFLAGS.AC: explicit supervisor accesses may use user pages under SMAP. */
  readonly ac: boolean;
  readonly physical: GuestPhysical;
  readonly host: AddressSpace;
  /** The PAE page-directory-pointer registers. */
  readonly pdptes: readonly bigint[] | undefined;
  /** The TLB entry that the guest's next access to `linear` would use. */
  tlbEntry(linear: bigint): TlbEntryView | undefined;
  /** Where a walk to `linear` begins by the paging-structure caches; undefined: at the root. `format`: of the tables that the CPU walks. */
  walkStart(
    linear: bigint,
    format: PagingFormat,
  ): { readonly start: WalkStart; readonly context: TlbContext } | undefined;
  readonly vpid: number;
  /** The guest's processor has INVPCID. */
  readonly hasInvpcid: boolean;
}
