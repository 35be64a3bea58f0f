import type { Gpa, Hpa } from '../../../base/address';
import type { AddressSpace } from '../../../host/address-space';
import type { HostKernel } from '../../../host/kernel';
import type { Memslots } from '../../memslots';
import type { Stats, VmStat } from '../../stats';

/** What shadow paging needs from the VM whose memory it maps. */
export interface ShadowOwner {
  readonly kernel: HostKernel;
  /** The process whose memory is guest RAM. */
  readonly space: AddressSpace;
  readonly stats: Stats<VmStat>;
  readonly memslots: Memslots;
  /** Where a GPA leads now; nothing is faulted in. */
  lookup(address: Gpa): { readonly hpa: Hpa | undefined } | undefined;
  /** kvm_vcpu_mark_page_dirty. */
  markPageDirty(address: Gpa): void;
  /** KVM_REQ_TLB_FLUSH to every VCPU. */
  requestFlush(): void;
}
