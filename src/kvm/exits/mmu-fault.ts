import { hex } from '../../base/hex';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import { kvmEmulateInstruction } from '../emulator/emulate';
import { handleMmioPageFault, kvmTdpPageFault, type PageFault } from '../mmu/fault';
import { REENTER, internalError, toUserspace, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/** kvm_mmu_page_fault. */
export function* kvmMmuPageFault(v: Vcpu, fault: PageFault): Work<Handled> {
  v.stats.add('pf_taken');
  yield v.step(
    'kvm_mmu_page_fault',
    `a page fault of the MMU at GPA ${hex(fault.gpa)}, error code ${errorCodeName(fault)}`,
    cost('kvmHandler'),
    { addresses: { gpa: fault.gpa } },
  );
  if (fault.rsvd) {
    const verdict = yield* handleMmioPageFault(v.vm, fault.gpa);
    if (verdict === 'emulate') {
      v.stats.add('pf_emulate');
      return yield* kvmEmulateInstruction(v);
    }
    if (verdict === 'bug')
      return internalError(
        'UNEXPECTED_EXIT_REASON',
        `an EPT misconfiguration at GPA ${hex(fault.gpa)} that is not KVM's own mark`,
      );
  }
  const r = yield* kvmTdpPageFault(v.vm, fault, v.apf);
  switch (r.kind) {
    case 'fixed':
      v.stats.add('pf_fixed');
      return REENTER;
    case 'spurious':
      v.stats.add('pf_spurious');
      return REENTER;
    case 'retry':
      return REENTER;
    case 'emulate':
      v.stats.add('pf_emulate');
      if (!v.vm.memslots.find(fault.gpa)) v.stats.add('pf_mmio_spte_created');
      return yield* kvmEmulateInstruction(v);
    case 'error':
      return toUserspace({ reason: 'EFAULT', gpa: fault.gpa, why: r.why });
  }
}

/** PFERR_* bits by name, as KVM's tracepoint kvm_page_fault shows them. */
function errorCodeName(f: PageFault): string {
  const names = [f.present && 'PRESENT', f.write && 'WRITE', f.exec && 'FETCH', f.rsvd && 'RSVD'].filter(
    (n) => n !== false,
  );
  return names.length > 0 ? names.join(' ') : '0';
}
