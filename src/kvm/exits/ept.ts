import { gpa, gva } from '../../base/address';
import { hex } from '../../base/hex';
import { INTERRUPTIBILITY } from '../../isa/vmcs-controls';
import { EPT_QUALIFICATION as Q } from '../../hw/vmx/ept-exit';
import { cost } from '../../host/costs';
import type { Work } from '../../host/step';
import { setBlocking } from '../events';
import { kvmEmulateInstruction } from '../emulator/emulate';
import { handleMmioPageFault, kvmTdpPageFault, type PageFault } from '../mmu/fault';
import { REENTER, internalError, toUserspace, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import type { ExitHandler } from './handler';

/** handle_ept_violation: the exit qualification becomes a page-fault error code, and the MMU takes over. */
export const handleEptViolation: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const q = Number(v.vmcs.read('EXIT_QUALIFICATION'));
  // the IRET that faulted had unblocked NMIs already: they are blocked until it completes
  if ((q & Q.NMI_UNBLOCKED) !== 0 && !v.events.vectoring) setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  const address = gpa(v.vmcs.read('GUEST_PHYSICAL_ADDRESS'));
  const linear = (q & Q.GLA_VALID) !== 0 ? gva(v.vmcs.read('GUEST_LINEAR_ADDRESS')) : undefined;
  const fault: PageFault = {
    gpa: address,
    write: (q & Q.WRITE) !== 0,
    exec: (q & Q.FETCH) !== 0,
    present: (q & (Q.READABLE | Q.WRITABLE | Q.EXECUTABLE)) !== 0,
    rsvd: false,
  };
  const access = fault.exec ? 'fetch' : fault.write ? ((q & Q.READ) !== 0 ? 'read and write' : 'write') : 'read';
  const of =
    linear === undefined
      ? ''
      : (q & Q.GLA_TRANSLATED) !== 0
        ? `, for GVA ${hex(linear)}`
        : `, a guest table entry on the way to GVA ${hex(linear)}`;
  yield v.step(
    'handle_ept_violation',
    `reads the exit qualification: ${access} of GPA ${hex(address)}${of}`,
    cost('vmread', 3),
    {
      addresses: linear === undefined ? { gpa: address } : { gva: linear, gpa: address },
    },
  );
  return yield* kvmMmuPageFault(vcpu, fault);
};

/** handle_ept_misconfig: an entry that no hardware takes, as KVM leaves them for MMIO. */
export const handleEptMisconfig: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const address = gpa(v.vmcs.read('GUEST_PHYSICAL_ADDRESS'));
  yield v.step('handle_ept_misconfig', `GPA ${hex(address)} met an entry that misconfigures`, cost('vmread'), {
    addresses: { gpa: address },
  });
  return yield* kvmMmuPageFault(vcpu, { gpa: address, write: false, exec: false, present: true, rsvd: true });
};

/** kvm_mmu_page_fault. */
function* kvmMmuPageFault(vcpu: Vcpu, fault: PageFault): Work<Handled> {
  const { context: v } = vcpu;
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
      return yield* kvmEmulateInstruction(vcpu);
    }
    if (verdict === 'bug')
      return internalError(
        'UNEXPECTED_EXIT_REASON',
        `an EPT misconfiguration at GPA ${hex(fault.gpa)} that is not KVM's own mark`,
      );
  }
  const r = yield* kvmTdpPageFault(v.vm, fault);
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
      return yield* kvmEmulateInstruction(vcpu);
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
