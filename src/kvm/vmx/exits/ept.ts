import { gpa, gva } from '../../../base/address';
import { hex } from '../../../base/hex';
import { INTERRUPTIBILITY } from '../../../isa/vmcs-controls';
import { EPT_QUALIFICATION as Q } from '../../../hw/vmx/ept-exit';
import { cost } from '../../../trace/costs';
import { setBlocking } from '../../events';
import { kvmMmuPageFault } from '../../exits/mmu-fault';
import type { PageFault } from '../../mmu/fault';
import type { VmxExitHandler } from './handler';

/** handle_ept_violation: converts the exit qualification to a page-fault error code and calls the MMU. */
export const handleEptViolation: VmxExitHandler = function* (v, { vmcs }) {
  const q = Number(vmcs.read('EXIT_QUALIFICATION'));
  // the IRET that faulted had already unblocked NMIs: block them until it completes
  if ((q & Q.NMI_UNBLOCKED) !== 0 && !v.events.vectoring) setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  const address = gpa(vmcs.read('GUEST_PHYSICAL_ADDRESS'));
  const linear = (q & Q.GLA_VALID) !== 0 ? gva(vmcs.read('GUEST_LINEAR_ADDRESS')) : undefined;
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
  return yield* kvmMmuPageFault(v, fault);
};

/** handle_ept_misconfig: an entry that hardware rejects, as KVM uses for MMIO. */
export const handleEptMisconfig: VmxExitHandler = function* (v, { vmcs }) {
  const address = gpa(vmcs.read('GUEST_PHYSICAL_ADDRESS'));
  yield v.step('handle_ept_misconfig', `GPA ${hex(address)} met an entry that misconfigures`, cost('vmread'), {
    addresses: { gpa: address },
  });
  return yield* kvmMmuPageFault(v, { gpa: address, write: false, exec: false, present: true, rsvd: true });
};
