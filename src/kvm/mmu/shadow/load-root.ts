import { gpa } from '../../../base/address';
import { must } from '../../../base/assert';
import { hex } from '../../../base/hex';
import type { Work } from '../../../trace/step';
import { toUserspace, type Handled } from '../../userspace-exit';
import type { Vcpu } from '../../vcpu';
import { emulationRequired } from '../../vmx/guest-state';
import { guestPaging } from './guest-walk';

/** CR3 bits 11:0 with CR4.PCIDE. */
const PCID_MASK = 0xfffn;
/** Shadow pages that a root needs: four below a PAE root. */
const ROOT_FRAMES = 5;

/**
 * kvm_mmu_reload and KVM_REQ_MMU_SYNC: under shadow paging, loads a root for the guest's CR3 and paging mode, as
 * current as the guest's TLB would be. Otherwise does nothing.
 */
export function* reloadRoot(v: Vcpu): Work<Handled | undefined> {
  const { vm } = v;
  const { shadow } = vm;
  if (!shadow || emulationRequired(v)) return undefined;
  yield* vm.space.makeRoom(ROOT_FRAMES);
  const paging = guestPaging(v.regs, v.model);
  const change = shadow.load(paging);
  if (change.kind === 'no-memory')
    return toUserspace({
      reason: 'EFAULT',
      gpa: gpa(paging.cr3),
      why: 'host memory is exhausted: no frame for a shadow root',
    });
  yield* change.steps;
  if (v.flushGuest) shadow.freeUnsyncPrevious();
  if ((v.syncRoots || v.flushGuest) && change.kind !== 'loaded') yield* shadow.syncRoot(paging);
  v.syncRoots = false;
  if (change.kind === 'same') return undefined;
  const root = must(shadow.rootHpa, 'a loaded MMU has a root');
  v.ops.loadRoot(root, paging.controls.pcide ? paging.cr3 & PCID_MASK : 0n);
  // what was cached under a newly made root is unknown
  if (change.kind === 'loaded') v.requestFlush('another root');
  yield v.step(
    'vmx_load_mmu_pgd',
    `GUEST_CR3 is the shadow root, HPA ${hex(root)}; the guest's own CR3 ${hex(paging.cr3)} is kept by KVM`,
    v.ops.accessCost(1),
    { addresses: { hpa: root } },
  );
  return undefined;
}
