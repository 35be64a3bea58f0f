import { hex } from '../../../base/hex';
import { INTERRUPTIBILITY } from '../../../isa/vmcs-controls';
import { EPT_QUALIFICATION } from '../../../hw/vmx/ept-exit';
import { cost } from '../../../trace/costs';
import { setBlocking } from '../../events';
import { kvmMmuPageFault } from '../../exits/mmu-fault';
import { causeOfKind } from '../../exit-cause';
import type { VmxExitHandler } from './handler';

/** handle_ept_violation: the exit qualification is a page fault of the MMU, which takes over. */
export const handleEptViolation: VmxExitHandler = function* (v, { vmcs }, info) {
  const { gva: linear } = info;
  const q = Number(vmcs.read('EXIT_QUALIFICATION'));
  // the IRET that faulted had already unblocked NMIs: block them until it completes
  if ((q & EPT_QUALIFICATION.NMI_UNBLOCKED) !== 0 && !v.events.vectoring)
    setBlocking(v.regs, INTERRUPTIBILITY.NMI, true);
  vmcs.read('GUEST_PHYSICAL_ADDRESS');
  if (linear !== undefined) vmcs.read('GUEST_LINEAR_ADDRESS');
  const fault = causeOfKind(info, 'second-level');
  const access = fault.exec ? 'fetch' : fault.write ? (fault.read ? 'read and write' : 'write') : 'read';
  const of =
    linear === undefined
      ? ''
      : fault.tableWalk
        ? `, a guest table entry on the way to GVA ${hex(linear)}`
        : `, for GVA ${hex(linear)}`;
  yield v.step(
    'handle_ept_violation',
    `reads the exit qualification: ${access} of GPA ${hex(fault.gpa)}${of}`,
    cost('vmread', 3),
    {
      addresses: linear === undefined ? { gpa: fault.gpa } : { gva: linear, gpa: fault.gpa },
    },
  );
  return yield* kvmMmuPageFault(v, fault);
};

/** handle_ept_misconfig: an entry that hardware rejects, as KVM uses for MMIO. */
export const handleEptMisconfig: VmxExitHandler = function* (v, { vmcs }, info) {
  vmcs.read('GUEST_PHYSICAL_ADDRESS');
  const fault = causeOfKind(info, 'second-level');
  yield v.step('handle_ept_misconfig', `GPA ${hex(fault.gpa)} met an entry that misconfigures`, cost('vmread'), {
    addresses: { gpa: fault.gpa },
  });
  return yield* kvmMmuPageFault(v, fault);
};
