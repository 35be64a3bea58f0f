import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { causeOfKind } from '../../exit-cause';
import { kvmMmuPageFault } from '../../exits/mmu-fault';
import type { SvmExitHandler } from './handler';

/** npf_interception: EXITINFO1 already is the error code, EXITINFO2 the address. */
export const handleNpf: SvmExitHandler = function* (v, { vmcb }, info) {
  vmcb.read('EXITINFO1');
  vmcb.read('EXITINFO2');
  const fault = causeOfKind(info, 'second-level');
  const access = fault.exec ? 'fetch' : fault.write ? 'write' : 'read';
  const of = fault.tableWalk ? "a guest table entry's address, by the walk" : `the ${access}'s own address`;
  yield v.step('npf_interception', `reads EXITINFO1: ${access} of GPA ${hex(fault.gpa)}, ${of}`, cost('kvmHandler'), {
    addresses: { gpa: fault.gpa },
  });
  return yield* kvmMmuPageFault(v, fault);
};
