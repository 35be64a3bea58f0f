import { gpa } from '../../../base/address';
import { hex } from '../../../base/hex';
import { cost } from '../../../trace/costs';
import { NPF } from '../../../isa/vmcb-fields';
import { kvmMmuPageFault } from '../../exits/mmu-fault';
import type { PageFault } from '../../mmu/fault';
import type { SvmExitHandler } from './handler';

/** npf_interception: EXITINFO1 already is the error code, EXITINFO2 the address. */
export const handleNpf: SvmExitHandler = function* (v, { vmcb }) {
  const code = vmcb.read('EXITINFO1');
  const address = gpa(vmcb.read('EXITINFO2'));
  const has = (bit: bigint): boolean => (code & bit) !== 0n;
  const fault: PageFault = {
    gpa: address,
    write: has(NPF.W),
    exec: has(NPF.ID),
    present: has(NPF.P),
    rsvd: has(NPF.RSVD),
  };
  const access = fault.exec ? 'fetch' : fault.write ? 'write' : 'read';
  const of = has(NPF.TABLE_WALK) ? "a guest table entry's address, by the walk" : `the ${access}'s own address`;
  yield v.step('npf_interception', `reads EXITINFO1: ${access} of GPA ${hex(address)}, ${of}`, cost('kvmHandler'), {
    addresses: { gpa: address },
  });
  return yield* kvmMmuPageFault(v, fault);
};
